import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ContentVerdict } from '../content/content-check.ts';
import { type Mail, mailBytes, MailSource } from '../content/mail.ts';
import type { Failure } from '../load-error.ts';
import { ReplyReader } from './reply-reader.ts';
import { SmtpSender } from './sender.ts';
import { SmtpSink } from './sink.ts';

const RUN = 'c0ffee02';
const mailOf = (sequence: number, wanted = 700): Mail => ({ worker: 0, sequence, bytes: mailBytes(wanted) });

/** A sender with so many mails to send, and everything it says. */
class Client {
  readonly events: string[] = [];
  readonly said: Buffer[] = [];
  failure: Failure | undefined;
  readonly sender: SmtpSender;

  constructor(mails: Mail[], init: { readonly sendsContent?: boolean } = {}) {
    this.sender = new SmtpSender({
      write: (bytes) => this.said.push(Buffer.from(bytes)),
      onGreeting: () => this.events.push('greeting'),
      nextMail: () => mails.shift(),
      sendContent: (mail) => {
        if (init.sendsContent === false) return;
        const source = new MailSource(RUN, mail);
        for (let piece = source.take(); piece !== undefined; piece = source.take()) this.said.push(piece);
        this.sender.contentSent();
      },
      onMail: (mail) => this.events.push(`mail ${mail.sequence}`),
      onDone: () => this.events.push('done'),
      onFailure: (failure) => {
        this.failure = failure;
        this.events.push('failed');
      },
    });
  }

  hear(text: string | Buffer): void {
    const bytes = Buffer.from(text);
    this.sender.onBytes(bytes, bytes.length);
  }

  take(): Buffer {
    return Buffer.concat(this.said.splice(0));
  }
}

function server(takes: (verdict: ContentVerdict) => boolean = () => true) {
  const said: Buffer[] = [];
  const verdicts: ContentVerdict[] = [];
  let bytes = 0;
  let ended = false;
  const sink = new SmtpSink(
    {
      write: (reply) => said.push(reply),
      end: () => (ended = true),
      onContent: (verdict) => {
        verdicts.push(verdict);
        return takes(verdict);
      },
      onContentBytes: (count) => (bytes += count),
    },
    { run: RUN },
  );
  return { sink, verdicts, take: () => Buffer.concat(said.splice(0)), bytes: () => bytes, ended: () => ended };
}

test('sender and sink understand each other, mail after mail, however the bytes are cut', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 2000 }), { minLength: 1, maxLength: 6 }), fc.integer({ min: 0, max: 3 }), (cuts, count) => {
      const mails = Array.from({ length: count }, (_, index) => mailOf(index, 300 + index * 1000));
      const client = new Client([...mails]);
      const { sink, verdicts, take, ended, bytes } = server();
      client.hear('220 hello\r\n');
      for (let turn = 0; !ended(); turn += 1) {
        expect(turn).toBeLessThan(200);
        const said = client.take();
        for (let at = 0, cut = 0; at < said.length; cut += 1) {
          const length = cuts[cut % cuts.length] ?? 1;
          sink.onBytes(said.subarray(at, at + length));
          at += length;
        }
        for (const byte of take()) client.hear(Buffer.of(byte));
      }
      expect(client.events).toEqual(['greeting', ...mails.map(({ sequence }) => `mail ${sequence}`), 'done']);
      expect(verdicts).toEqual(mails.map((mail) => ({ kind: 'intact', mail })));
      expect(bytes()).toBe(mails.reduce((sum, mail) => sum + mail.bytes + 3, 0));
    }),
    { numRuns: 50 },
  );
});

test.each([
  ['421 4.3.2 try again later (DRAINING, session 0a)\r\n', 'refused_temporary', 'greeting', 'DRAINING'],
  ['554 5.7.1 no (DEVICE_DISABLED, session 0a)\r\n', 'refused_permanent', 'greeting', 'DEVICE_DISABLED'],
  ['554 no (WHATEVER, session 0a)\r\n', 'refused_permanent', 'greeting', undefined],
  ['hello\r\n', 'protocol', 'greeting', undefined],
  ['22\r\n', 'protocol', 'greeting', undefined],
  ['354 what?\r\n', 'protocol', 'greeting', undefined],
  [`220${'-'.repeat(5000)}\r\n`, 'protocol', 'greeting', undefined],
  ['220 hi\r\n250 ok\r\n450 busy\r\n', 'refused_temporary', 'commands', undefined],
])('the answer %j ends a session as %s', (said, code, stage, refusal) => {
  const client = new Client([mailOf(1)]);
  client.hear(said);
  expect(client.failure).toEqual({ code, stage, refusal });
  client.take();
  client.hear('220 hello again\r\n');
  expect(client.take()).toHaveLength(0);
  expect(client.events.filter((event) => event === 'failed')).toHaveLength(1);
});

test('a multi-line reply is one, and its last line counts', () => {
  const client = new Client([mailOf(1)]);
  client.hear('220-welcome\r\n220 to this server\r\n');
  expect(client.events).toEqual(['greeting']);
  expect(client.take().toString()).toMatch(/^EHLO [^\r\n]+\r\n$/u);
});

test('what refuses the content is told apart from what breaks off before its end', () => {
  const client = new Client([mailOf(1)], { sendsContent: false });
  client.hear('220 a\r\n250 b\r\n250 c\r\n250 d\r\n354 e\r\n');
  expect(client.sender.stage).toBe('content');
  client.hear('250 too soon\r\n');
  expect(client.failure).toEqual({ code: 'protocol', stage: 'content', refusal: undefined });

  const refused = new Client([mailOf(1)]);
  refused.hear('220 a\r\n250 b\r\n250 c\r\n250 d\r\n354 e\r\n451 4.7.1 not now\r\n');
  expect(refused.failure).toEqual({ code: 'refused_temporary', stage: 'final', refusal: undefined });
  expect(refused.events).not.toContain('mail 1');
});

test('the sink does not say 250 to what it does not store', () => {
  const { sink, take, verdicts } = server(() => false);
  sink.onBytes(Buffer.from('EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<b@c>\r\nDATA\r\nSubject: x\r\n\r\nhello\r\n.\r\nWHAT\r\n'));
  const replies = take().toString().split('\r\n').filter((line) => /^\d{3} /u.test(line)).map((line) => line.slice(0, 3));
  expect(replies).toEqual(['250', '250', '250', '354', '554', '500']);
  expect(verdicts).toEqual([{ kind: 'foreign' }]);
});

test('a command without an end is not kept', () => {
  expect(() => server().sink.onBytes(Buffer.alloc(2000, 'x'))).toThrow(RangeError);
  const { sink } = server();
  sink.onBytes(Buffer.alloc(1000, 'x'));
  expect(() => sink.onBytes(Buffer.alloc(100, 'x'))).toThrow(RangeError);
});

test('a reader is dead after its first error', () => {
  const reader = new ReplyReader();
  expect(() => reader.read(Buffer.from('x'), 0, 1)).toThrow(RangeError);
  expect(reader.read(Buffer.from('220 a\r\n'), 0, 7)).toBeUndefined();
});
