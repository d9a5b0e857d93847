import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Mail, mailBytes, MailSource } from '../content/mail.ts';
import type { Failure } from '../load-error.ts';
import { Pop3Fetcher } from './fetcher.ts';
import { Pop3Mailbox } from './mailbox.ts';

const RUN = 'c0ffee03';

function content(mail: Mail): Buffer {
  const source = new MailSource(RUN, mail);
  const pieces: Buffer[] = [];
  for (let piece = source.take(); piece !== undefined; piece = source.take()) pieces.push(piece);
  return Buffer.concat(pieces);
}

function client(mails: Mail[]) {
  const events: string[] = [];
  const said: Buffer[] = [];
  const failures: Failure[] = [];
  const fetcher = new Pop3Fetcher(
    {
      write: (bytes) => said.push(Buffer.from(bytes)),
      onGreeting: () => events.push('greeting'),
      nextMail: () => mails.shift(),
      sendContent: () => {},
      onMail: ({ sequence }) => events.push(`mail ${sequence}`),
      onDone: () => events.push('done'),
      onFailure: (failure) => failures.push(failure),
    },
    { run: RUN },
  );
  return { fetcher, events, failures, take: () => Buffer.concat(said.splice(0)), hear: (bytes: Buffer) => fetcher.onBytes(bytes, bytes.length) };
}

function server() {
  const said: Buffer[] = [];
  let ended = false;
  const mailbox = new Pop3Mailbox({
    write: (bytes) => said.push(bytes),
    end: () => (ended = true),
    sendContent: (mail) => said.push(content(mail)),
  });
  return { mailbox, take: () => Buffer.concat(said.splice(0)), ended: () => ended };
}

test('fetcher and mailbox understand each other, mail after mail, however the bytes are cut', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 3000 }), fc.integer({ min: 0, max: 3 }), (cut, count) => {
      const mails = Array.from({ length: count }, (_, index) => ({ worker: 2, sequence: 40 + index, bytes: mailBytes(1500) }));
      const { events, failures, take, hear } = client([...mails]);
      const { mailbox, take: takeServer, ended } = server();
      hear(Buffer.from('+OK hello\r\n'));
      for (let turn = 0; !ended(); turn += 1) {
        expect(turn).toBeLessThan(50);
        for (const byte of take()) mailbox.onBytes(Buffer.of(byte));
        const said = takeServer();
        for (let at = 0; at < said.length; at += cut) hear(said.subarray(at, at + cut));
      }
      expect(failures).toEqual([]);
      expect(events).toEqual(['greeting', ...mails.map(({ sequence }) => `mail ${sequence}`), 'done']);
    }),
    { numRuns: 50 },
  );
});

const START = '+OK hello\r\n+OK\r\n+OK\r\n+OK 1 100\r\n+OK follows\r\n';
const mail: Mail = { worker: 2, sequence: 9, bytes: mailBytes(1500) };

test.each([
  ['-ERR [SYS/TEMP] later (FULL, session 0a)\r\n', 'refused_temporary', 'greeting', 'FULL'],
  ['-ERR [SYS/PERM] no (RIGHTS, session 0a)\r\n', 'refused_permanent', 'greeting', 'RIGHTS'],
  ['220 I speak SMTP\r\n', 'protocol', 'greeting', undefined],
  ['+OK hello\r\n-ERR who?\r\n', 'refused_temporary', 'commands', undefined],
  [`+OK hello\r\n${'x'.repeat(2000)}`, 'protocol', 'commands', undefined],
])('the answer %j ends a session as %s', (said, code, stage, refusal) => {
  const { failures, hear } = client([mail]);
  hear(Buffer.from(said));
  hear(Buffer.from('+OK\r\n'));
  expect(failures).toEqual([{ code, stage, refusal }]);
});

test.each([
  ['another mail', content({ ...mail, sequence: 8 })],
  ["another's mail", content({ ...mail, worker: 3 })],
  ['another size', content({ ...mail, bytes: mailBytes(1600) })],
  ['a changed byte', Buffer.from(content(mail).toString('latin1').replace(/.(?=\r\n\.\r\n$)/u, '~'), 'latin1')],
])('%s than the one that was asked for is altered', (_, bytes) => {
  const { failures, events, hear } = client([mail]);
  hear(Buffer.concat([Buffer.from(START), bytes]));
  expect(failures).toEqual([{ code: 'altered', stage: 'content', refusal: undefined }]);
  expect(events).toEqual(['greeting']);
});

test('the mailbox gives out nothing that it cannot make', () => {
  const { mailbox, take } = server();
  const ask = (line: string): string => {
    mailbox.onBytes(Buffer.from(`${line}\r\n`));
    return take().toString('latin1').slice(0, 4);
  };
  expect(ask('RETR 1')).toBe('-ERR');
  expect(ask('USER somebody')).toBe('-ERR');
  expect(ask('USER w1.s99999999999')).toBe('-ERR');
  expect(ask('USER w1.s10')).toBe('-ERR');
  expect(ask('USER w1.s4096')).toBe('+OK\r');
  expect(ask('RETR 0')).toBe('-ERR');
  expect(ask('RETR x')).toBe('-ERR');
  expect(ask('RETR 5')).toBe('+OK ');
  expect(ask('TOP 1 0')).toBe('-ERR');
});
