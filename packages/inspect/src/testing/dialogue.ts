import { deepEqual } from 'node:assert/strict';
import type { Disposition, Inspector, InspectorSink } from '../inspector.ts';
import { Conversation, type Side } from './conversation.ts';

/**
 * Plays a dialogue through an inspector. A line each; what comes out must be said, all of it, before the next goes in:
 *
 * ```
 * c -> QUIT             the client sends this and CRLF
 * s <- QUIT             the server gets it
 * s => 221 bye          the server sends it, and the client gets it as it is; c => likewise
 * c ~> a\r\n.\r         the client sends this and no CRLF; \r \n \0 \\ \xhh
 * s <~ a\r\n            the server gets exactly this
 * m <- line, m <~ raw   content that was given out; may be left unsaid
 * c -|                  the client sends its FIN; s -| likewise
 * c waits 7             so many of the client's bytes were not taken
 * state held            the state of the inspector
 * ! release             decide(); also ! refuse 5 text, ! refuse 4 text, ! replace raw, ! keepAlive, ! contentReleased
 * * messageStart        an event of the sink, in its order
 * ```
 */
export function play(make: (sink: InspectorSink) => Inspector, script: string): Conversation {
  const dialogue = new Dialogue(make);
  for (const line of script.split('\n')) {
    const text = line.trimStart();
    if (text !== '' && !text.startsWith('#')) dialogue.step(text);
  }
  dialogue.expectNothingMore('the end');
  return dialogue.conversation;
}

const SIDES: Readonly<Record<string, Side>> = { c: 'client', s: 'server' };
const ESCAPES: Readonly<Record<string, string>> = { r: '\r', n: '\n', '0': '\0', '\\': '\\' };
const LINE = /^(?<who>[csm*!]|state)(?: (?<arrow>->|~>|=>|<-|<~|-\||waits)(?= |$))?(?: (?<text>.*))?$/u;

class Dialogue {
  readonly conversation: Conversation;
  readonly #read = { client: 0, server: 0, message: 0, events: 0 };

  constructor(make: (sink: InspectorSink) => Inspector) {
    this.conversation = new Conversation(make);
  }

  step(line: string): void {
    const { who = '', arrow = '', text = '' } = LINE.exec(line)?.groups ?? {};
    if (who === 'state') return deepEqual({ line, state: this.conversation.inspector.state }, { line, state: text });
    if (who === '*') return this.#expectEvent(text, line);
    if (who === 'm') return this.#expectBytes('message', wire(arrow, text), line);
    if (arrow === 'waits') return this.#expectWaiting(sideOf(who), Number(text), line);
    if (arrow === '<-' || arrow === '<~') return this.#expectBytes(sideOf(who), wire(arrow, text), line);
    this.expectNothingMore(line);
    if (who === '!') return this.#act(text);
    if (arrow === '-|') return this.conversation.end(sideOf(who));
    if (arrow === '') throw new Error(`not a line of a dialogue: ${line}`);
    this.conversation.send(sideOf(who), wire(arrow, text));
    if (arrow === '=>') this.#expectBytes(who === 'c' ? 'server' : 'client', wire(arrow, text), line);
  }

  expectNothingMore(before: string): void {
    const { heard } = this.conversation;
    const unsaid = {
      client: heard.client.toString('latin1', this.#read.client),
      server: heard.server.toString('latin1', this.#read.server),
      events: heard.events.slice(this.#read.events),
    };
    deepEqual({ before, ...unsaid }, { before, client: '', server: '', events: [] });
  }

  #expectBytes(stream: 'client' | 'server' | 'message', expected: Buffer, line: string): void {
    const start = this.#read[stream];
    const heard = this.conversation.heard[stream].toString('latin1', start, start + expected.length);
    deepEqual({ line, heard }, { line, heard: expected.toString('latin1') });
    this.#read[stream] += expected.length;
  }

  #expectEvent(expected: string, line: string): void {
    deepEqual({ line, event: this.conversation.heard.events[this.#read.events] }, { line, event: expected });
    this.#read.events += 1;
  }

  #expectWaiting(side: Side, expected: number, line: string): void {
    deepEqual({ line, waiting: this.conversation.waiting(side) }, { line, waiting: expected });
  }

  #act(text: string): void {
    if (text === 'keepAlive') return this.conversation.keepAlive();
    if (text === 'contentReleased') return this.conversation.contentReleased();
    this.conversation.decide(dispositionOf(text));
  }
}

function dispositionOf(text: string): Disposition {
  const [, action = '', digit = '', rest = ''] = /^(release|refuse|replace) ?(?:([45]) )?(.*)$/u.exec(text) ?? [];
  if (action === 'release') return { action };
  if (action === 'refuse') return { action, temporary: digit === '4', text: unescape(rest) };
  if (action === 'replace') return { action, notice: Buffer.from(unescape(rest), 'latin1') };
  throw new Error(`not an action of a dialogue: ${text}`);
}

function sideOf(who: string): Side {
  const side = SIDES[who];
  if (side === undefined) throw new Error(`not a side of a dialogue: ${who}`);
  return side;
}

function wire(arrow: string, text: string): Buffer {
  const isRaw = arrow === '~>' || arrow === '<~';
  return Buffer.from(isRaw ? unescape(text) : `${text}\r\n`, 'latin1');
}

function unescape(text: string): string {
  return text.replaceAll(/\\(?:x([0-9a-f]{2})|(.))/gu, (_, hex: string | undefined, name: string) =>
    hex === undefined ? (ESCAPES[name] ?? name) : String.fromCodePoint(Number.parseInt(hex, 16)),
  );
}
