import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Disposition } from '../inspector.ts';
import { Conversation, type Side } from '../testing/conversation.ts';
import { Recorder } from '../testing/recorder.ts';
import { SmtpInspector } from './smtp-inspector.ts';
import { READERS } from './testing/readers.ts';

type Step =
  | { readonly send: Side; readonly text: string; readonly sizes: readonly number[] }
  | { readonly decide: Disposition }
  | { readonly end: Side };

const RELEASE: Disposition = { action: 'release' };
const REFUSE: Disposition = { action: 'refuse', temporary: false, text: 'no' };

const send = (side: Side, text: string): Step => ({ send: side, text, sizes: [] });

const GREETING = [send('server', '220 hello\r\n')];
const IN_CONTENT = [
  ...GREETING,
  send('client', 'EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n'),
  send('server', '250-mx\r\n250 CHUNKING\r\n250 ok\r\n250 ok\r\n354 go\r\n'),
];
const HELD = [...IN_CONTENT, send('client', 'Subject: x\r\n\r\ntext\r\n.\r\n')];
const AUTH = [...GREETING, send('client', 'AUTH LOGIN\r\n'), send('server', '334 \r\n')];

const CLIENT_WORDS = [
  'EHLO c\r\n', 'MAIL FROM:<a@b>\r\n', 'RCPT TO:<c@d>\r\n', 'DATA\r\n', 'RSET\r\n', 'QUIT\r\n', 'NOOP\r\n',
  'AUTH LOGIN\r\n', 'STARTTLS\r\n', 'BDAT 3\r\n', 'XYZZY\r\n',
  'x', '\r\n', '.', '\r', '\n', '\0', '.\r\n', '\r\n.\r\n', '..', 'x\r\n.', '\r\n..\r\n',
];
const SERVER_WORDS = [
  '220 go\r\n', '250 ok\r\n', '250-mx\r\n', '250 SIZE\r\n', '250-CHUNKING\r\n', '354 go\r\n', '334 x\r\n', '235 ok\r\n',
  '421 bye\r\n', '421-bye\r\n', '451 later\r\n', '550-no\r\n', '550 no\r\n', '\r\n', '\n', '\0', '2', 'x',
];

const wordsOf = (words: readonly string[]): fc.Arbitrary<string> =>
  fc.array(fc.constantFrom(...words), { minLength: 1, maxLength: 8 }).map((chosen) => chosen.join(''));
const sizes = fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 12 });
const anyBytes = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('latin1'));
const sending = (side: Side, words: readonly string[]): fc.Arbitrary<Step> =>
  fc.record({
    send: fc.constant(side),
    text: fc.oneof({ weight: 9, arbitrary: wordsOf(words) }, { weight: 1, arbitrary: anyBytes }),
    sizes,
  });

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: sending('client', CLIENT_WORDS) },
  { weight: 8, arbitrary: sending('server', SERVER_WORDS) },
  { weight: 4, arbitrary: fc.constantFrom<Step>({ decide: RELEASE }, { decide: REFUSE }) },
  { weight: 1, arbitrary: fc.constantFrom<Step>({ end: 'client' }, { end: 'server' }) },
);
const steps: fc.Arbitrary<Step[]> = fc
  .tuple(fc.constantFrom<Step[]>([], GREETING, IN_CONTENT, HELD, AUTH), fc.array(step, { maxLength: 12 }))
  .map(([beginning, rest]) => [...beginning, ...rest]);
const starttls = fc.constantFrom('pass' as const, 'hide' as const, 'refuse' as const);

/** Knows which bytes a server takes for a message: those between onMessageStart() and the reply, or the reset. */
class MessageRecorder extends Recorder {
  readonly unfinished: string[] = [];
  readonly released: string[] = [];
  #open: string | undefined;

  override onMessageStart(): void {
    super.onMessageStart();
    this.#open = '';
  }

  override toServer(bytes: Buffer): void {
    super.toServer(bytes);
    if (this.#open !== undefined) this.#open += bytes.toString('latin1');
  }

  override resetServer(): void {
    super.resetServer();
    this.close(this.unfinished);
  }

  close(list: string[]): void {
    if (this.#open !== undefined) list.push(this.#open);
    this.#open = undefined;
  }
}

interface Played {
  readonly conversation: Conversation;
  readonly messages: MessageRecorder;
  /** All that the server has said. */
  readonly said: string;
}

function play(played: readonly Step[], init: { readonly starttls: 'pass' | 'hide' | 'refuse'; readonly isSplit: boolean }): Played {
  const messages = new MessageRecorder();
  const conversation = new Conversation((sink) => new SmtpInspector({ sink }, { starttls: init.starttls, reference: 'r' }), messages);
  let said = '';
  for (const next of played) {
    if ('end' in next) conversation.end(next.end);
    else if ('decide' in next) {
      const isReleased = conversation.inspector.state === 'held' && next.decide === RELEASE;
      conversation.decide(next.decide);
      if (isReleased) messages.close(messages.released);
    } else {
      if (next.send === 'server') said += next.text;
      conversation.send(next.send, Buffer.from(next.text, 'latin1'), init.isSplit ? next.sizes : []);
    }
  }
  messages.close(messages.unfinished);
  return { conversation, messages, said };
}

test('any bytes, any split: no server sees an end of data that was not released', () => {
  fc.assert(
    fc.property(steps, starttls, (played, starttls) => {
      const { messages } = play(played, { starttls, isSplit: true });
      for (const content of messages.unfinished)
        for (const [name, reader] of Object.entries(READERS)) expect(reader(content).end, name).toBe(-1);
      for (const content of messages.released) expect(content).toMatch(/^(?:[^]*\r\n)?\.\r\n$/u);
      for (const content of messages.released)
        for (const [name, reader] of Object.entries(READERS))
          if (name !== 'qmail') expect(reader(content).end, name).toBe(content.length);
    }),
    { numRuns: 1000 },
  );
});

test('any bytes, any split: the client hears no 2xx or 354 that the server did not say', () => {
  fc.assert(
    fc.property(steps, starttls, (played, starttls) => {
      const { messages, said } = play(played, { starttls, isSplit: true });
      if (messages.events.includes('uninspected starttls')) return;
      // The separator of the last extension may have changed.
      const saidLines = new Set(said.split('\r\n').map((line) => line.replace(/^(\d{3})-/u, '$1 ')));
      const lines = messages.client.toString('latin1').split('\r\n');
      const positive = lines.filter((line) => /^[23]/u.test(line) && line !== '221 2.0.0 bye (r)');
      expect(positive.filter((line) => !saidLines.has(line.replace(/^(\d{3})-/u, '$1 ')))).toEqual([]);
    }),
    { numRuns: 1000 },
  );
});

test('a split changes nothing', () => {
  fc.assert(
    fc.property(steps, starttls, (played, starttls) => {
      const outcome = ({ conversation: { inspector, heard } }: Played): unknown => ({
        state: inspector.state,
        client: heard.client.toString('latin1'),
        server: heard.server.toString('latin1'),
        message: heard.message.toString('latin1'),
        events: heard.events,
      });
      expect(outcome(play(played, { starttls, isSplit: true }))).toEqual(outcome(play(played, { starttls, isSplit: false })));
    }),
    { numRuns: 1000 },
  );
});

test('a clean conversation comes out as it went in', () => {
  const line = fc.stringMatching(/^[ -~\u00a0-\u00ff]{0,30}$/u).map((text) => text.replace(/^\./u, '..'));
  const message = fc.array(line, { maxLength: 10 }).map((lines) => lines.map((text) => `${text}\r\n`).join(''));
  fc.assert(
    fc.property(fc.array(message, { maxLength: 4 }), fc.boolean(), sizes, (contents, isPipelined, cuts) => {
      const { conversation, heard, client, server } = cleanConversation(contents, { isPipelined, cuts });
      expect(heard.server.toString('latin1')).toBe(client);
      expect(heard.client.toString('latin1')).toBe(server);
      expect(heard.message.toString('latin1')).toBe(contents.join(''));
      expect(heard.violations).toEqual([]);
      expect(conversation.inspector.state).toBe('ended');
    }),
    { numRuns: 300 },
  );
});

/** Plays a conversation with these messages, all of them released. `client` and `server` are what each has said. */
function cleanConversation(contents: readonly string[], init: { readonly isPipelined: boolean; readonly cuts: readonly number[] }) {
  const conversation = new Conversation((sink) => new SmtpInspector({ sink }, { starttls: 'pass', reference: 'r' }));
  const said = { client: '', server: '' };
  const say = (side: Side, text: string): void => {
    said[side] += text;
    conversation.send(side, Buffer.from(text, 'latin1'), init.cuts);
  };
  const ask = (commands: readonly string[], replies: readonly string[]): void => {
    if (init.isPipelined) {
      say('client', commands.join(''));
      say('server', replies.join(''));
      return;
    }
    for (const [index, command] of commands.entries()) {
      say('client', command);
      say('server', replies[index] ?? '');
    }
  };
  say('server', '220-mx\r\n220 hello\r\n');
  ask(['EHLO c\r\n'], ['250-mx\r\n250-PIPELINING\r\n250 SIZE\r\n']);
  for (const content of contents) {
    ask(['MAIL FROM:<a@b>\r\n', 'RCPT TO:<c@d>\r\n', 'DATA\r\n'], ['250 ok\r\n', '250 ok\r\n', '354 go\r\n']);
    say('client', `${content}.\r\n`);
    conversation.decide(RELEASE);
    say('server', '250-queued\r\n250 as 1\r\n');
  }
  ask(['QUIT\r\n'], ['221 bye\r\n']);
  conversation.end('server');
  return { conversation, heard: conversation.heard, ...said };
}
