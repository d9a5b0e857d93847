const CR = 0x0d;
const LF = 0x0a;
const DOT = 0x2e;

/**
 * Takes away the first dot of each line that begins with one (RFC 5321 4.5.2, RFC 1939 section 3), where lines begin
 * behind CRLF and at the start. What comes in has no end of data in it.
 */
export class DotUnstuffer {
  /** How much of CRLF stands before the next byte. */
  #breakBytes: 0 | 1 | 2 = 2;

  /** Returns the text in views of `chunk`; none is empty. */
  push(chunk: Buffer): Buffer[] {
    if (chunk.length === 0) return [];
    const views: Buffer[] = [];
    let from = 0;
    const skip = (dot: number): void => {
      if (dot > from) views.push(chunk.subarray(from, dot));
      from = dot + 1;
    };
    if (this.#breakBytes === 2 && chunk[0] === DOT) skip(0);
    else if (this.#breakBytes === 1 && chunk[0] === LF && chunk[1] === DOT) skip(1);
    for (let cr = chunk.indexOf('\r\n.', from); cr !== -1; cr = chunk.indexOf('\r\n.', cr + 3)) skip(cr + 2);
    if (from < chunk.length) views.push(from === 0 ? chunk : chunk.subarray(from));
    this.#breakBytes = this.#breakBehind(chunk);
    return views;
  }

  #breakBehind(chunk: Buffer): 0 | 1 | 2 {
    const last = chunk.length - 1;
    if (chunk[last] === CR) return 1;
    if (chunk[last] !== LF) return 0;
    return (last === 0 ? this.#breakBytes === 1 : chunk[last - 1] === CR) ? 2 : 0;
  }
}
