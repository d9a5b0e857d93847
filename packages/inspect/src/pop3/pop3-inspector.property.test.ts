import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Disposition } from '../inspector.ts';
import { MemoryRelay, type MemoryRelayInit } from './testing/memory-relay.ts';

type Side = 'client' | 'server';
interface Turn {
  readonly side: Side;
  readonly text: string;
}

const RELEASE: Disposition = { action: 'release' };

/** Pieces of these sizes, over and over; no sizes: as a whole. */
function pieces(text: string, sizes: readonly number[]): Buffer[] {
  const all: Buffer[] = [];
  for (let at = 0; at < text.length; ) {
    const size = sizes[all.length % sizes.length] ?? text.length;
    // A chunk of its own: a view beside others would hide a read past its end.
    all.push(Buffer.from(text.slice(at, at + size), 'latin1'));
    at += size;
  }
  return all;
}

function run(turns: readonly Turn[], init: MemoryRelayInit, sizes: readonly number[]): MemoryRelay {
  const relay = new MemoryRelay(init);
  for (const { side, text } of turns) relay.send(side, pieces(text, sizes));
  return relay;
}

const outcome = (relay: MemoryRelay): object => ({
  state: relay.inspector.state,
  client: relay.client,
  server: relay.server,
  contents: relay.contents.map((content) => content.toString('latin1')),
  events: relay.events,
  isAmbiguous: relay.inspector.messageIsAmbiguous,
});

const client = (text: string): Turn => ({ side: 'client', text });
const server = (text: string): Turn => ({ side: 'server', text });

const MAILS = [
  'From: a\r\nSubject: one\r\n\r\nbody\r\n..\r\n...dots\r\n\r\n',
  '\r\nno header\r\n',
  `Received: x\r\n\ty\r\nMIME-Version: 1.0\r\n\r\n${'A'.repeat(76)}\r\n`,
];
const [FIRST = '', SECOND = '', THIRD = ''] = MAILS;

/** As Thunderbird does it with PIPELINING. */
const PIPELINED: readonly Turn[] = [
  server('+OK ready\r\n'),
  client('CAPA\r\nAUTH PLAIN\r\n'),
  server('+OK\r\nTOP\r\nUIDL\r\nPIPELINING\r\nSASL PLAIN\r\n.\r\n+ \r\n'),
  client('AGpvZQBzZWNyZXQ=\r\n'),
  server('+OK 3 messages\r\n'),
  client('STAT\r\nLIST\r\nUIDL\r\nRETR 1\r\nRETR 2\r\nTOP 3 10\r\nDELE 1\r\nQUIT\r\n'),
  server('+OK 3 300\r\n+OK\r\n1 100\r\n2 100\r\n3 100\r\n.\r\n+OK\r\n1 a\r\n2 b\r\n3 c\r\n.\r\n'),
  server(`+OK 100\r\n${FIRST}.\r\n+OK 100\r\n${SECOND}.\r\n`),
  server(`+OK\r\n${THIRD}.\r\n`),
  server('+OK deleted\r\n+OK bye\r\n'),
];
const all = (side: Side): string => PIPELINED.map((turn) => (turn.side === side ? turn.text : '')).join('');

test('a clean conversation comes out as it went in, however much was pipelined and however it is cut', () => {
  for (const keepAlives of [0, 1, 5, 1000])
    for (const size of [Infinity, ...Array.from({ length: 40 }, (_, index) => index + 1)]) {
      const relay = run(PIPELINED, { decisions: [RELEASE], keepAlives }, [size]);
      expect(relay.client).toBe(all('server'));
      expect(relay.server).toBe(all('client'));
      expect(relay.contents.map(String)).toEqual(MAILS);
    }
});

test('pipelined with one withheld in the middle: it keeps its place and is not deleted', () => {
  const refuse: Disposition = { action: 'refuse', temporary: false, text: 'no' };
  const relay = run(PIPELINED, { decisions: [refuse, { action: 'replace', notice: Buffer.from('N: n\r\n') }, RELEASE] }, []);
  expect(relay.server).toBe(all('client').replace('DELE 1\r\n', ''));
  expect(relay.client).toContain(
    `3 c\r\n.\r\n-ERR [SYS/PERM] no (r1)\r\n+OK 6 octets\r\nN: n\r\n.\r\n+OK\r\n${THIRD}.\r\n` +
      // The server was not asked: its +OK is the reply to QUIT.
      '-ERR [SYS/PERM] message 1 was withheld and stays on the server (r1)\r\n+OK deleted\r\n',
  );
});

test('the reply to RETR cut anywhere, and anywhere twice', () => {
  const reply = '+OK 1\r\n.\r.\r\n..\r\nA: \r\n\n\r\r\n..\r\n.\r\n+OK 2\r\n.\r\n';
  const turns = (...cut: number[]): Turn[] => [
    server('+OK\r\n'),
    client('RETR 1\r\nTOP 2 0\r\n'),
    ...[0, ...cut].map((from, index) => server(reply.slice(from, cut[index] ?? reply.length))),
  ];
  for (const decision of [RELEASE, { action: 'replace', notice: Buffer.from('n') } as const]) {
    const whole = outcome(run(turns(), { decisions: [decision], keepAlives: 3 }, []));
    for (let one = 0; one < reply.length; one += 1)
      for (let two = one; two < reply.length; two += 1)
        expect(outcome(run(turns(one, two), { decisions: [decision], keepAlives: 3 }, []))).toEqual(whole);
  }
});

const anySizes = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 4 });

const COMMANDS = ['RETR 1', 'TOP 1 0', 'RETR 2', 'DELE 1', 'DELE 2', 'NOOP', 'LIST', 'UIDL 1', 'CAPA', 'AUTH', 'AUTH PLAIN', 'STLS', 'X', 'QUIT'];
const REPLY_LINES = ['+OK', '-ERR no', '+ ', '+OK x', 'From: a', ' b', 'Content-Type: c', 'body\xfe', '', '.', '..', '...', 'STLS', 'UIDL'];
const lines = (texts: readonly string[]): string[] => texts.map((line) => `${line}\r\n`);
const clientText = fc.constantFrom(...lines(COMMANDS), '\r\n', '\n', '\r', '\0', 'RETR', ' 1', '*\r\n');
const serverText = fc.constantFrom(...lines(REPLY_LINES), '.', '\r\n.\r\n', '\n.\r\n', '\r', '\n', '\0', '+OK', 'body\xfe');
const joined = (text: fc.Arbitrary<string>, maxLength: number): fc.Arbitrary<string> =>
  fc.array(text, { maxLength }).map((texts) => texts.join(''));

/** Both sides in step, more or less. */
const exchange = fc.oneof(
  fc.tuple(fc.constantFrom('RETR 1', 'TOP 2 0', 'LIST', 'CAPA'), joined(serverText, 6)).map(([command, text]) => [
    client(`${command}\r\nDELE 1\r\n`),
    server(`+OK\r\nFrom: a\r\n${text}\r\n.\r\n`),
  ]),
  fc.constantFrom(
    [client('NOOP\r\n'), server('+OK\r\n')],
    [client('AUTH PLAIN\r\n'), server('+ \r\n'), client('AA==\r\n'), server('+OK\r\n')],
    [client('STLS\r\n'), server('+OK\r\n'), client('\x16')],
    [client('STLS\r\n'), server('-ERR\r\n')],
    [client('DELE 1\r\n'), server('+OK\r\n')],
  ),
);
const outOfStep = fc.oneof(
  joined(clientText, 4).map(client),
  joined(serverText, 8).map(server),
  fc.uint8Array({ maxLength: 20 }).map((bytes) => client(Buffer.from(bytes).toString('latin1'))),
  fc.uint8Array({ maxLength: 20 }).map((bytes) => server(Buffer.from(bytes).toString('latin1'))),
);
const anyTurns: fc.Arbitrary<Turn[]> = fc
  .array(fc.oneof({ weight: 3, arbitrary: exchange }, outOfStep.map((turn) => [turn])), { maxLength: 8, size: 'max' })
  .map((parts) => [server('+OK\r\n'), ...parts.flat()]);
const anyDecision: fc.Arbitrary<Disposition> = fc.constantFrom<Disposition>(
  RELEASE,
  { action: 'refuse', temporary: true, text: 'no' },
  { action: 'replace', notice: Buffer.from('N: n\r\n\r\n.n\r\n') },
);
const anyInit = fc.record({
  starttls: fc.constantFrom('pass', 'hide', 'refuse'),
  decisions: fc.array(anyDecision, { maxLength: 3 }),
  keepAlives: fc.nat(12),
});

test('a split never changes the outcome', () => {
  fc.assert(
    fc.property(anyTurns, anyInit, anySizes, (turns, init, sizes) => {
      expect(outcome(run(turns, init, sizes))).toEqual(outcome(run(turns, init, [])));
    }),
    { numRuns: 2000 },
  );
});

test('whatever both sides say: no throw, and before the decision the client gets nothing but the beginning of the header', () => {
  const seen = { held: 0, early: 0, dead: 0, ended: 0, blind: 0 };
  fc.assert(
    fc.property(anyTurns, anyInit, anySizes, fc.boolean(), fc.boolean(), (turns, init, sizes, clientEnds, serverEnds) => {
      const relay = run(turns, { ...init, decisions: [] }, sizes);
      if (clientEnds) relay.end('client');
      if (serverEnds) relay.end('server');
      const early = Buffer.concat(relay.early).toString('latin1');
      const [statusLine = ''] = /^\+OK[^\r\n]*\r\n/u.exec(early) ?? [];
      const given = early.slice(statusLine.length);
      // Of the one message that there can be.
      const content = Buffer.concat(relay.data).toString('latin1');
      expect(content.startsWith(given)).toBe(true);
      const begun = given.endsWith('\n') ? given.length : content.indexOf('\n', given.length) + 1;
      if (given !== '') expect(content.slice(0, begun)).toMatch(/^(?:(?!content-|mime-version)[!-~]+:.*\r\n(?:[ \t].*\r\n)*)+$/iu);
      const { state } = relay.inspector;
      const silent = outcome(relay);
      if (state === 'dead' || state === 'ended') {
        relay.send('client', [Buffer.from('NOOP\r\n')]);
        relay.send('server', [Buffer.from('+OK\r\n')]);
        relay.inspector.keepAlive();
        relay.inspector.decide(RELEASE);
        relay.inspector.contentReleased();
        relay.end('client');
        relay.end('server');
        expect(outcome(relay)).toEqual(silent);
      }
      if (state in seen) seen[state as keyof typeof seen] += 1;
      if (early !== '') seen.early += 1;
    }),
    { numRuns: 2000 },
  );
  // It has been where it matters: `held`, `dead` ... are the states at the end.
  for (const [what, times] of Object.entries(seen)) expect(times, what).toBeGreaterThan(5);
});

test('a message that was not released is never deleted', () => {
  let refusals = 0;
  fc.assert(
    fc.property(fc.array(fc.constantFrom('RETR', 'TOP', 'DELE', 'RSET'), { maxLength: 12 }), fc.array(anyDecision, { minLength: 1, maxLength: 5 }), fc.boolean(), (verbs, decisions, isPipelined) => {
      const relay = new MemoryRelay({ decisions });
      relay.send('server', [Buffer.from('+OK\r\n')]);
      const commands = verbs.map((verb) => `${verb} ${verb === 'TOP' ? '1 0' : verb === 'RSET' ? '' : '1'}\r\n`);
      if (isPipelined) relay.send('client', [Buffer.from(commands.join(''))]);
      // What a server that answers all that it is told would say.
      let answered = 0;
      let isWithheld = false;
      let messages = 0;
      const serve = (): void => {
        for (let told = relay.server.split('\r\n'); answered < told.length - 1; told = relay.server.split('\r\n')) {
          const verb = told[answered]?.split(' ')[0];
          if (verb === 'DELE') expect(isWithheld).toBe(false);
          if (verb === 'RETR' || verb === 'TOP') {
            const isReleased = decisions[messages % decisions.length]?.action === 'release';
            messages += 1;
            if (!isReleased) isWithheld = true;
            else if (verb === 'RETR') isWithheld = false;
          }
          answered += 1;
          relay.send('server', [Buffer.from(verb === 'RETR' || verb === 'TOP' ? '+OK\r\nbody\r\n.\r\n' : '+OK\r\n')]);
        }
      };
      serve();
      for (const command of isPipelined ? [] : commands) {
        relay.send('client', [Buffer.from(command)]);
        serve();
      }
      refusals += relay.client.split('was withheld').length - 1;
      expect(relay.client.match(/^(?:\+OK|-ERR)/gmu)).toHaveLength(1 + verbs.length);
    }),
    { numRuns: 300 },
  );
  expect(refusals).toBeGreaterThan(50);
});
