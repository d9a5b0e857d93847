const NUL = 0;
const LF = 0x0a;
const CR = 0x0d;
const DOT = 0x2e;
const HELD_DOT = Buffer.from('.');

/** What stands before the next byte of the content, as far as it matters to a dot there. */
type Before =
  | 'line_start' // CRLF, or nothing at all
  | 'cr'
  | 'odd_break' // LF alone, or NUL behind any kind of line break
  | 'text';

/** Where content stops being content: at this dot. */
interface Stop {
  readonly at: number;
  readonly dot: 'end' | 'smuggling' | 'undecided';
}

export interface ContentRead {
  readonly taken: number;
  readonly outcome: 'more' | 'end' | 'smuggling';
}

/**
 * Finds the end of SMTP content, CRLF.CRLF and nothing else (RFC 5321 4.1.1.4), and refuses what servers read differently
 * (CVE-2023-51764, 51765, 51766). All that matters happens at a dot; so this is decided there, and only there:
 *
 * 1. A dot at the beginning of a line (behind CRLF, or first of all), and behind it
 *    - CRLF: the end.
 *    - LF, NUL, or CR without LF (CR CR LF too): smuggling. Servers take `.LF` (Exim, sendmail, Postfix), `.CR` (Cisco)
 *      and `.CR CR LF` (Postfix drops every CR before LF) for the end, or a NUL for the end of the text of the line.
 *    - anything else: content. RFC 5321 4.5.2 has the dot taken away, doubled or not. A few servers leave one that is
 *      not doubled: their text has that dot more than the scanner's, and the same end.
 * 2. A dot directly behind a CR, or behind an LF that has no CR before it: smuggling. Where such a break ends a line, the
 *    dot may be the end, or it is unstuffed and the server has another text than the scanner.
 * 3. A dot behind NULs that stand behind a CR or LF (CRLF too), or that begin the content: smuggling. A server that drops
 *    NULs has 1 or 2.
 *
 * A dot anywhere else is content for everybody: no reader has the beginning of a line there. Every end of data and all
 * unstuffing need one, so CR, LF and NUL that are not beside such a dot pass as they are; whatever line break a server
 * makes of them, it sees the same end. `CR CR LF . CR LF` is an end by the letter and for all of the above: some have one
 * line break before the dot, and some have two. Should a server see no end where we see one, then it waits, and so does
 * the client: no byte of it follows an end of data before the reply.
 *
 * The end itself, and a dot that may become one, are never given out.
 */
export class ContentReader {
  #before: Before = 'line_start';
  /** Of an end of data: '.' or '.CR'. */
  #heldBytes = 0;

  /**
   * Gives content out in views of `bytes` (a dot that was held comes on its own), and stops behind the end, or at the dot
   * that is smuggling. After that the reader is used up.
   */
  read(bytes: Buffer, give: (content: Buffer) => void): ContentRead {
    if (bytes.length === 0) return { taken: 0, outcome: 'more' };
    if (this.#heldBytes > 0) {
      const read = this.#resume(bytes);
      if (read !== undefined) return read;
      this.#heldBytes = 0;
      this.#before = 'text';
      give(HELD_DOT);
    }
    const stop = this.#firstStop(bytes);
    const content = stop === undefined ? bytes : bytes.subarray(0, stop.at);
    if (content.length > 0) give(content);
    if (stop === undefined) this.#before = this.#behind(bytes);
    else if (stop.dot === 'undecided') this.#heldBytes = bytes.length - stop.at;
    else if (stop.dot === 'smuggling') return { taken: stop.at, outcome: 'smuggling' };
    else return { taken: stop.at + 3, outcome: 'end' };
    return { taken: bytes.length, outcome: 'more' };
  }

  /** What the held bytes have become; undefined: the dot was content. */
  #resume(bytes: Buffer): ContentRead | undefined {
    const [first, second] = bytes;
    const dot = this.#heldBytes === 1 ? judgeDot(first, second) : judgeDot(CR, first);
    if (dot === 'content') return undefined;
    if (dot === 'smuggling') return { taken: 0, outcome: 'smuggling' };
    if (dot === 'end') return { taken: 3 - this.#heldBytes, outcome: 'end' };
    this.#heldBytes = 2;
    return { taken: bytes.length, outcome: 'more' };
  }

  /** Passes of native searches, since each byte of every message comes through here: the order of the text is restored at the end. */
  #firstStop(bytes: Buffer): Stop | undefined {
    if (!bytes.includes(DOT)) return undefined;
    const regular = this.#firstLineDot(bytes);
    const head = regular === undefined ? bytes : bytes.subarray(0, regular.at);
    const odd = Math.min(behindBareCr(head), this.#behindNul(head));
    return odd < head.length ? { at: odd, dot: 'smuggling' } : regular;
  }

  /** The first dot behind an LF, or at the beginning of `bytes`, that is not plain content. */
  #firstLineDot(bytes: Buffer): Stop | undefined {
    if (bytes[0] === DOT && this.#before !== 'text') {
      const dot = this.#before === 'line_start' ? judgeDot(bytes[1], bytes[2]) : 'smuggling';
      if (dot !== 'content') return { at: 0, dot };
    }
    for (let lf = bytes.indexOf('\n.'); lf !== -1; lf = bytes.indexOf('\n.', lf + 2)) {
      const isCrlf = lf === 0 ? this.#before === 'cr' : bytes[lf - 1] === CR;
      const dot = isCrlf ? judgeDot(bytes[lf + 2], bytes[lf + 3]) : 'smuggling';
      if (dot !== 'content') return { at: lf + 1, dot };
    }
    return undefined;
  }

  /** Where the first dot of rule 3 is; Infinity: nowhere. */
  #behindNul(bytes: Buffer): number {
    for (let nul = bytes.indexOf('\0.'); nul !== -1; nul = bytes.indexOf('\0.', nul + 2))
      if (this.#followsBreak(bytes, nul)) return nul + 1;
    return Number.POSITIVE_INFINITY;
  }

  /** Whether the run of NULs that ends here stands behind a line break of any kind. */
  #followsBreak(bytes: Buffer, lastNul: number): boolean {
    let at = lastNul;
    while (bytes[at] === NUL) at -= 1;
    return at === -1 ? this.#before !== 'text' : bytes[at] === CR || bytes[at] === LF;
  }

  #behind(bytes: Buffer): Before {
    const last = bytes.length - 1;
    switch (bytes[last]) {
      case CR:
        return 'cr';
      case LF:
        return (last === 0 ? this.#before === 'cr' : bytes[last - 1] === CR) ? 'line_start' : 'odd_break';
      case NUL:
        return this.#followsBreak(bytes, last) ? 'odd_break' : 'text';
      default:
        return 'text';
    }
  }
}

/** What a dot at the beginning of a line is, by the two bytes behind it; undefined: not there yet. */
function judgeDot(first: number | undefined, second: number | undefined): Stop['dot'] | 'content' {
  if (first === undefined || (first === CR && second === undefined)) return 'undecided';
  if (first === CR) return second === LF ? 'end' : 'smuggling';
  return first === LF || first === NUL ? 'smuggling' : 'content';
}

/** Where the first dot behind a CR is; Infinity: nowhere. */
function behindBareCr(bytes: Buffer): number {
  const cr = bytes.indexOf('\r.');
  return cr === -1 ? Number.POSITIVE_INFINITY : cr + 1;
}
