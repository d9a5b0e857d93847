/** The reply to EHLO, which is collected. Real ones have a few hundred bytes. */
export const MAX_EHLO_REPLY_BYTES = 16 * 1024;

/**
 * What may be offered to the client (IANA's list of SMTP service extensions). An extension is here when it leaves alone
 * where commands and messages begin and end: it adds parameters to MAIL and RCPT, or commands of one line and one reply.
 *
 * Not here, on purpose: CHUNKING and BINARYMIME, whose messages have no final dot to hold back (docs/decisions/006); BURL,
 * by which the server fetches a message that we never see; CHECKPOINT, which begins content in its middle; XCLIENT
 * and XFORWARD, by which a client would speak for the relay; XEXCH50, which has a payload; ATRN and TURN, which change the roles;
 * all of X-, and what we have never heard of.
 */
const PASSED: ReadonlySet<string> = new Set([
  '8BITMIME', // RFC 6152
  'AUTH', // RFC 4954
  'CONNEG', // RFC 4141
  'CONPERM', // RFC 4141
  'DELIVERBY', // RFC 2852
  'DSN', // RFC 3461
  'ENHANCEDSTATUSCODES', // RFC 2034
  'ETRN', // RFC 1985: the mail comes by a connection of its own
  'EXPN', // RFC 5321
  'FUTURERELEASE', // RFC 4865
  'HELP', // RFC 5321
  'LIMITS', // RFC 9422
  'MT-PRIORITY', // RFC 6710
  'MTRK', // RFC 3885
  'NO-SOLICITING', // RFC 3865
  'PIPELINING', // RFC 2920
  'REQUIRETLS', // RFC 8689
  'RRVS', // RFC 7293
  'SIZE', // RFC 1870
  'SMTPUTF8', // RFC 6531
  'STARTTLS', // RFC 3207
  'SUBMITTER', // RFC 4405
  'VRFY', // RFC 5321
]);

const HYPHEN = 0x2d;
const SPACE = 0x20;
const SEPARATOR_AT = 3;

/** Collects the reply to EHLO, and gives it out with the extensions that may pass. */
export class ExtensionsReply {
  readonly #hidesStarttls: boolean;
  #lines: Buffer[] = [];
  #bytes = 0;

  constructor(init: { readonly hidesStarttls: boolean }) {
    this.#hidesStarttls = init.hidesStarttls;
  }

  /** Adds a line with its CRLF. Returns false when that makes it too long; no more is then to be added. */
  add(line: Buffer): boolean {
    this.#bytes += line.length;
    // A copy: a view of a few bytes would hold its whole chunk.
    if (this.#bytes <= MAX_EHLO_REPLY_BYTES) this.#lines.push(Buffer.from(line));
    return this.#bytes <= MAX_EHLO_REPLY_BYTES;
  }

  /** The lines that pass, as they came, but for the separator of the one that is now the last; and begins anew. */
  take(): Buffer {
    const lines = this.#lines.filter((line, index) => index === 0 || this.#passes(line));
    const last = lines.at(-1);
    if (last?.[SEPARATOR_AT] === HYPHEN) last[SEPARATOR_AT] = SPACE;
    this.#lines = [];
    this.#bytes = 0;
    return Buffer.concat(lines);
  }

  #passes(line: Buffer): boolean {
    // Old servers say AUTH=LOGIN, for clients that are older still.
    const [keyword = ''] = line.toString('latin1', SEPARATOR_AT + 1).split(/[ =\r]/u, 1);
    const name = keyword.toUpperCase();
    return PASSED.has(name) && !(this.#hidesStarttls && name === 'STARTTLS');
  }
}
