import { expect, test } from 'vitest';
import type { Disposition } from '../inspector.ts';
import { KEEP_ALIVE_BYTES } from './held-message.ts';
import { dialogue, LOGIN } from './testing/dialogues.ts';
import { MemoryRelay } from './testing/memory-relay.ts';

const SAFE = 'Received: from a\r\n\tby b;\r\nX: \xe9\r\nSubject: hi\r\n';
const CONTENT = `${SAFE}Content-Type: text/plain\r\nTo: me\r\n\r\n..body\r\n`;
const STATUS = '+OK 120 octets\r\n';
const NOTICE = 'From: "Sekisho" <x@y.invalid>\r\n\r\n.notice\r\n';
const SAFE_CALLS = 1 + Math.ceil(SAFE.length / KEEP_ALIVE_BYTES);

function retrieve(keepAlives: number, ...decisions: Disposition[]): MemoryRelay & { readonly heard: string } {
  const relay = new MemoryRelay({ decisions, keepAlives });
  relay.send('server', [Buffer.from('+OK\r\n')]);
  relay.send('client', [Buffer.from('RETR 1\r\n')]);
  relay.send('server', [Buffer.from(`${STATUS}${CONTENT}.\r\n`, 'latin1')]);
  return Object.assign(relay, { heard: relay.client.slice('+OK\r\n'.length) });
}

test('the status line first, then the header up to what says how to read the body, and no more', () => {
  for (let calls = 0; calls < SAFE_CALLS + 5; calls += 1) {
    const given = calls === 0 ? '' : STATUS + SAFE.slice(0, (calls - 1) * KEEP_ALIVE_BYTES);
    expect(retrieve(calls).heard).toBe(given);
  }
});

test('released: every byte once and in order, however much was given', () => {
  for (let calls = 0; calls < SAFE_CALLS + 5; calls += 1) {
    expect(retrieve(calls, { action: 'release' }).heard).toBe(`${STATUS}${CONTENT}.\r\n`);
  }
});

test('refused: in words before anything was given, and broken off without an end after that', () => {
  const refusal = { action: 'refuse', temporary: true, text: 'no' } as const;
  expect(retrieve(0, refusal)).toMatchObject({ heard: '-ERR [SYS/TEMP] no (r1)\r\n', events: ['start', 'end'] });
  for (let calls = 1; calls < SAFE_CALLS + 5; calls += 1) {
    expect(retrieve(calls, refusal)).toMatchObject({
      heard: STATUS + SAFE.slice(0, (calls - 1) * KEEP_ALIVE_BYTES),
      events: ['start', 'end', 'endClient', 'resetServer'],
    });
  }
});

test('replaced: the notice follows whole lines of the header', () => {
  const replacement = { action: 'replace', notice: Buffer.from(NOTICE) } as const;
  const stuffed = NOTICE.replace('.notice', '..notice');
  expect(retrieve(0, replacement).heard).toBe(`+OK ${NOTICE.length} octets\r\n${stuffed}.\r\n`);
  for (let calls = 1; calls < SAFE_CALLS + 5; calls += 1) {
    const given = SAFE.slice(0, (calls - 1) * KEEP_ALIVE_BYTES);
    const lines = given === '' || given.endsWith('\n') ? given : SAFE.slice(0, SAFE.indexOf('\n', given.length) + 1);
    expect(retrieve(calls, replacement).heard).toBe(`${STATUS}${lines}${stuffed}.\r\n`);
  }
});

test('while the message still comes, too; a header line that has not come whole is not given', () => {
  const { inspector } = dialogue(`
    ${LOGIN}
    ! keepAlive
    c => RETR 1
    ! keepAlive
    s -> +OK it comes
    * messageStart
    ! keepAlive
    c <- +OK it comes
    s ~> A: b
    ! keepAlive
    s ~> \\r
    ! keepAlive
    s ~> \\nMIME
    ! keepAlive
    c <~ A
    ! keepAlive
    c <~ :
    s ~> -Version: 1.0\\r\\n\\r\\nC: d\\r\\n.\\r\\n
    * messageEnd
    ! release
    * releaseContent 2
    ! contentReleased
    c <- .
    ! keepAlive
  `);
  expect(inspector.state).toBe('reply');
});
