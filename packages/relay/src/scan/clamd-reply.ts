import type { ScanOutcome } from './scanner.ts';

/** clamd's own names are shorter; this goes into a protocol line, a log line and a label. */
export const MAX_SIGNATURE_CHARS = 128;
/** Of a reply that is not understood, this much is quoted. */
const MAX_QUOTED_CHARS = 80;
const MAX_ENGINE_CHARS = 64;

const NOT_PRINTABLE_ASCII = /[^\x20-\x7e]/gu;
const TOO_BIG = 'INSTREAM size limit exceeded. ERROR';

/**
 * Reads the answer to INSTREAM.
 *
 * What clamd finds by its limits (AlertExceedsMax) or because it cannot look inside (AlertEncrypted) says nothing about a
 * virus and is unscannable. Any other `Heuristics.*` (spoofed links, macros, card numbers, broken executables) is a
 * statement about the content by a check that the operator switched on in clamd.conf, or left on: it is infected, for to
 * withhold such mail is what that switch is for, and taking it for unscannable could deliver it.
 */
export function parseScanReply(reply: string): ScanOutcome {
  if (reply === 'stream: OK') return { kind: 'clean' };
  const signature = /^stream: (.+) FOUND$/su.exec(reply)?.[1];
  if (signature !== undefined) return found(printableAscii(signature, MAX_SIGNATURE_CHARS));
  if (reply === TOO_BIG) return { kind: 'unscannable', cause: 'too_big', detail: 'longer than StreamMaxLength of the scanner' };
  return { kind: 'failed', why: `it answered ${quoted(reply)}` };
}

function found(signature: string): ScanOutcome {
  if (signature.startsWith('Heuristics.Limits.Exceeded')) return { kind: 'unscannable', cause: 'limits', detail: signature };
  if (signature.startsWith('Heuristics.Encrypted')) return { kind: 'unscannable', cause: 'encrypted', detail: signature };
  return { kind: 'infected', signature };
}

export interface ClamdVersion {
  readonly engine: string;
  /** Of the signature database; 0 when unknown. */
  readonly signatures: number;
  /** When that was made, milliseconds since 1970; 0 when unknown. */
  readonly signaturesAt: number;
}

/**
 * Reads the answer to VERSION: `ClamAV 1.4.3/27450/Sat Nov 15 08:23:12 2025`, or without the rest when there are only
 * local signatures. The time is ctime(3) of the scanner's clock and names no zone: it is taken for one of ours.
 */
export function parseVersionReply(reply: string): ClamdVersion {
  const [engine = '', signatures = '', at = ''] = reply.split('/', 3);
  const time = Date.parse(at);
  return {
    engine: printableAscii(engine, MAX_ENGINE_CHARS),
    signatures: /^\d{1,9}$/u.test(signatures) ? Number(signatures) : 0,
    signaturesAt: Number.isNaN(time) ? 0 : time,
  };
}

export function quoted(reply: string): string {
  return `"${printableAscii(reply, MAX_QUOTED_CHARS)}"`;
}

function printableAscii(text: string, maxChars: number): string {
  return text.slice(0, maxChars).replaceAll(NOT_PRINTABLE_ASCII, '?');
}
