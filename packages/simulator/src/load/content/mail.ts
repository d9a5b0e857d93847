/**
 * The mails of a run. Each is known from its marker and its size alone: a header that carries both, then lines that are the
 * same in every mail. So nothing is kept of a mail that is under way, every process can make it and every process can
 * tell each byte of it that is wrong.
 */
export interface Mail {
  /** The process that sends it, or asks for it. */
  readonly worker: number;
  /** Its number there. */
  readonly sequence: number;
  /** From the first byte of the header to the CRLF before the final dot. */
  readonly bytes: number;
}

/** A run's name: 8 hexadecimal digits. */
export type RunId = string;

const RUN = '00000000';
const WORKER = '0000';
const SEQUENCE = '00000000';
const SIZE = '0000000000';
const HEADER = [
  'From: Office <office@load.invalid>',
  'To: Mailbox <mailbox@load.invalid>',
  'Subject: sekisho load',
  'Date: Thu, 1 Jan 2026 00:00:00 +0000',
  `Message-ID: <${RUN}.${WORKER}.${SEQUENCE}.${SIZE}@load.invalid>`,
  'MIME-Version: 1.0',
  'Content-Type: text/plain; charset=us-ascii',
  '',
  '',
].join('\r\n');
const RUN_AT = HEADER.indexOf(`${RUN}.`);
const WORKER_AT = RUN_AT + RUN.length + 1;
const SEQUENCE_AT = WORKER_AT + WORKER.length + 1;
const SIZE_AT = SEQUENCE_AT + SEQUENCE.length + 1;
const TEMPLATE = Buffer.from(HEADER, 'latin1');

export const HEADER_BYTES = TEMPLATE.length;
/** A line of the body with its CRLF: what is usual for base64. */
const LINE_BYTES = 78;
const LINES = 840;
/** What is written at once: whole lines, and less than a read of 64 KiB. */
export const SLICE_BYTES = LINE_BYTES * LINES;
const EMPTY_LINE_BYTES = 2;
export const MIN_MAIL_BYTES = HEADER_BYTES + EMPTY_LINE_BYTES;
/** More than any mail server takes. */
export const MAX_MAIL_BYTES = 1024 * 1024 * 1024;
/** Distinct sizes of a run; the ends of their mails are kept. */
const MAX_SIZES = 64;
const END_OF_DATA = '.\r\n';

/** The body twice over, so that what begins anywhere in a slice goes on for one more. */
export const PATTERN = pattern();
/** One slice of the body. */
const SLICE = PATTERN.subarray(0, SLICE_BYTES);

/** Lines of base64 characters, none of which begins with a dot; no two lines of a slice are the same. */
function pattern(): Buffer {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
  let state = 1;
  const lines = Array.from({ length: LINES }, () => {
    let line = '';
    while (line.length < LINE_BYTES - EMPTY_LINE_BYTES) {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      line += alphabet[state >>> 26] ?? '';
    }
    return `${line}\r\n`;
  }).join('');
  return Buffer.from(lines + lines, 'latin1');
}

/** The size of a mail of about so many bytes: its body ends with a whole line. */
export function mailBytes(wanted: number): number {
  const bytes = Math.max(Math.round(wanted), MIN_MAIL_BYTES);
  // A last line of one byte has no room for its CRLF.
  return (bytes - HEADER_BYTES) % LINE_BYTES === 1 ? bytes + 1 : bytes;
}

/** Writes the header of a mail into a buffer of at least HEADER_BYTES. */
function writeHeader(into: Buffer, run: RunId, mail: Mail): void {
  TEMPLATE.copy(into);
  into.write(run, RUN_AT, 'latin1');
  into.write(mail.worker.toString(16).padStart(WORKER.length, '0'), WORKER_AT, 'latin1');
  into.write(mail.sequence.toString(16).padStart(SEQUENCE.length, '0'), SEQUENCE_AT, 'latin1');
  into.write(mail.bytes.toString().padStart(SIZE.length, '0'), SIZE_AT, 'latin1');
}

/** What a header says, or undefined when it has other bytes than a header of this run. */
export function readHeader(header: Buffer, run: RunId): Mail | undefined {
  const digits = (at: number, like: string, radix: number): number => Number.parseInt(header.toString('latin1', at, at + like.length), radix);
  const mail = { worker: digits(WORKER_AT, WORKER, 16), sequence: digits(SEQUENCE_AT, SEQUENCE, 16), bytes: digits(SIZE_AT, SIZE, 10) };
  if (!(mail.worker >= 0 && mail.sequence >= 0 && mail.bytes >= MIN_MAIL_BYTES && mail.bytes <= MAX_MAIL_BYTES)) return undefined;
  writeHeader(SCRATCH, run, mail);
  return header.compare(SCRATCH, 0, HEADER_BYTES, 0, HEADER_BYTES) === 0 ? mail : undefined;
}

const SCRATCH = Buffer.alloc(HEADER_BYTES);

/** Whether a header that cannot be read as one of ours at least claims another run. */
export function claimsRun(header: Buffer, run: RunId): boolean {
  return header.toString('latin1', RUN_AT, RUN_AT + RUN.length) === run;
}

/** Whole slices between the header and the end of a mail of this size. */
export function sliceCount(bytes: number): number {
  return Math.floor((bytes - HEADER_BYTES - EMPTY_LINE_BYTES) / SLICE_BYTES);
}

const ends = new Map<number, Buffer>();

/** What follows the whole slices: the remaining lines, the last one shortened, and the final dot. */
export function endOf(bytes: number): Buffer {
  const known = ends.get(bytes);
  if (known !== undefined) return known;
  const rest = bytes - HEADER_BYTES - sliceCount(bytes) * SLICE_BYTES;
  const end = Buffer.concat([PATTERN.subarray(0, rest - EMPTY_LINE_BYTES), Buffer.from(`\r\n${END_OF_DATA}`)]);
  // A line that ends where the pattern has its own CR or CRLF is as long as that.
  if (rest % LINE_BYTES === 0) PATTERN.copy(end, 0, 0, rest);
  if (ends.size >= MAX_SIZES) ends.clear();
  ends.set(bytes, end);
  return end;
}

/** A mail of up to one slice, with header and final dot, to be written at once. */
function wholeMail(run: RunId, mail: Mail): Buffer {
  const end = endOf(mail.bytes);
  const whole = Buffer.allocUnsafe(HEADER_BYTES + end.length);
  writeHeader(whole, run, mail);
  end.copy(whole, HEADER_BYTES);
  return whole;
}

/** What is written for a mail, one after the other; `undefined` when all of it was given out. */
export class MailSource {
  readonly #mail: Mail;
  readonly #run: RunId;
  /** The header, then the slices, then the end. */
  #next = 0;

  constructor(run: RunId, mail: Mail) {
    this.#run = run;
    this.#mail = mail;
  }

  /** Nothing is left. */
  get isTaken(): boolean {
    const slices = sliceCount(this.#mail.bytes);
    return this.#next > (slices === 0 ? 0 : slices + 1);
  }

  take(): Buffer | undefined {
    const slices = sliceCount(this.#mail.bytes);
    const index = this.#next;
    this.#next += 1;
    if (slices === 0) return index === 0 ? wholeMail(this.#run, this.#mail) : undefined;
    if (index === 0) {
      const header = Buffer.allocUnsafe(HEADER_BYTES);
      writeHeader(header, this.#run, this.#mail);
      return header;
    }
    if (index <= slices) return SLICE;
    return index === slices + 1 ? endOf(this.#mail.bytes) : undefined;
  }
}
