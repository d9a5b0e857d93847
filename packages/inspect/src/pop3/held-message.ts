import { KeptHeader } from './kept-header.ts';

/**
 * What one call of keepAlive() gives of the header. One byte restarts a client's timer as well as many do, and the header
 * in front of the first Content field may be short.
 */
export const KEEP_ALIVE_BYTES = 1;

const LF = 0x0a;
const FINAL_DOT = '.\r\n';
const NOTHING = Buffer.alloc(0);

/** A message that the client is still waiting for, and how much of it the client has been given all the same. */
export class HeldMessage {
  readonly number: number;
  /** Asked for with RETR, not with TOP. */
  readonly isWhole: boolean;
  readonly header = new KeptHeader();
  readonly #statusLine: Buffer;
  #hasGivenStatus = false;
  #givenBytes = 0;

  /** @param init.statusLine of the server, with its CRLF */
  constructor(init: { readonly number: number; readonly isWhole: boolean; readonly statusLine: Buffer }) {
    this.number = init.number;
    this.isWhole = init.isWhole;
    // A copy: it must not keep the whole chunk in memory.
    this.#statusLine = Buffer.from(init.statusLine);
  }

  /** The client has heard of the message: what was said cannot be taken back. */
  get hasGiven(): boolean {
    return this.#hasGivenStatus;
  }

  /** Of the content. */
  get givenBytes(): number {
    return this.#givenBytes;
  }

  /** The status line, unless the client has it. */
  takeStatusLine(): Buffer {
    if (this.#hasGivenStatus) return NOTHING;
    this.#hasGivenStatus = true;
    return this.#statusLine;
  }

  /** The next few bytes that do no harm whatever the message is: the status line, then of the header. May be empty. */
  takeSafeBytes(): Buffer {
    if (!this.#hasGivenStatus) return this.takeStatusLine();
    const from = this.#givenBytes;
    this.#givenBytes = Math.min(from + KEEP_ALIVE_BYTES, this.header.safeLength);
    return Buffer.from(this.header.bytes.subarray(from, this.#givenBytes));
  }

  /** A reply with this message in place of the one held, or the rest of such a reply. */
  replacement(notice: Buffer): Buffer {
    const written = notice.toString('latin1');
    const text = written.endsWith('\r\n') ? written : `${written}\r\n`;
    const start = this.#hasGivenStatus ? this.#restOfLine() : `+OK ${text.length} octets\r\n`;
    return Buffer.from(start + text.replaceAll(/(?<=^|\n)\./gu, '..') + FINAL_DOT, 'latin1');
  }

  /** What ends the header line begun. Cut off where it is, it might be no header line; and all of it is safe. */
  #restOfLine(): string {
    const { bytes } = this.header;
    const given = this.#givenBytes;
    if (given === 0 || bytes[given - 1] === LF) return '';
    return bytes.toString('latin1', given, bytes.indexOf(LF, given) + 1);
  }
}
