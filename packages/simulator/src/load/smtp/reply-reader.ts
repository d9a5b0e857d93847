/** RFC 5321 4.5.3.1.5 has 512 bytes; some servers' greetings are longer. */
const MAX_REPLY_BYTES = 4096;
const LF = 0x0a;
const DIGIT_0 = 0x30;
const HYPHEN = 0x2d;

/** A reply of an SMTP server: its code, and its last line if it refuses. */
export interface Reply {
  readonly code: number;
  readonly line: string;
}

/** Takes replies out of bytes, multi-line ones as one (RFC 5321 4.2.1). Dead after its first error. */
export class ReplyReader {
  #column = 0;
  #code = 0;
  #isLast = true;
  #bytes = 0;
  #line = '';
  #isDead = false;

  /** The first reply that ends in these bytes; undefined without one. Throws RangeError for what is no reply. */
  read(chunk: Buffer, start: number, end: number): { readonly reply: Reply; readonly next: number } | undefined {
    if (this.#isDead) return undefined;
    for (let at = start; at < end; at += 1) {
      const byte = chunk[at] ?? 0;
      if (byte === LF) {
        const reply = this.#endLine(chunk.toString('latin1', start, at));
        if (reply !== undefined) return { reply, next: at + 1 };
        start = at + 1;
      } else this.#take(byte);
    }
    this.#line += chunk.toString('latin1', start, end);
    return undefined;
  }

  #take(byte: number): void {
    this.#bytes += 1;
    if (this.#bytes > MAX_REPLY_BYTES) this.#die('a reply is too long');
    if (this.#column < 3) {
      if (byte < DIGIT_0 || byte > DIGIT_0 + 9) this.#die('a reply does not begin with a code');
      this.#code = this.#code * 10 + byte - DIGIT_0;
    } else if (this.#column === 3) this.#isLast = byte !== HYPHEN;
    this.#column += 1;
  }

  #endLine(rest: string): Reply | undefined {
    if (this.#column < 3) this.#die('a reply is too short');
    const reply = this.#isLast ? { code: this.#code, line: this.#line + rest } : undefined;
    this.#column = 0;
    this.#code = 0;
    this.#line = '';
    this.#isLast = true;
    if (reply !== undefined) this.#bytes = 0;
    return reply;
  }

  #die(why: string): never {
    this.#isDead = true;
    throw new RangeError(why);
  }
}
