/** RFC 5321 4.5.3.1.4 and RFC 2449 section 4 have 512 and 255 bytes. */
const MAX_COMMAND_BYTES = 1024;
const LF = 0x0a;

/** Takes the lines of commands out of what clients send. */
export class CommandLines {
  #partial = '';

  /** The next line without its end, from `start` on; undefined when it is not whole yet. Throws RangeError when it is too long. */
  read(chunk: Buffer, start: number, end: number): { readonly line: string; readonly next: number } | undefined {
    const found = chunk.indexOf(LF, start);
    const stop = found === -1 || found >= end ? end : found;
    if (this.#partial.length + stop - start > MAX_COMMAND_BYTES) throw new RangeError('a command is too long');
    const text = this.#partial + chunk.toString('latin1', start, stop);
    if (stop === end) {
      this.#partial = text;
      return undefined;
    }
    this.#partial = '';
    return { line: text.endsWith('\r') ? text.slice(0, -1) : text, next: stop + 1 };
  }
}
