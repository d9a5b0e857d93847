import { decodeText } from './charset.ts';
import { decodeQuoted } from './transfer-encoding.ts';

// Bounded runs: RFC 2047 2 gives a word 75 characters, some gateways write longer ones.
const WORD = /=\?([^?\s]{1,60})\?([bq])\?([^?\s]{0,1000})\?=/giu;

/** Decodes a header, given with one character a byte: encoded words of RFC 2047, and 8-bit text as many send it. */
export function decodeHeader(raw: string): string {
  // White space between two encoded words is not part of the text (RFC 2047 6.2).
  const joined = decodeText(Buffer.from(raw, 'latin1'), undefined).replaceAll(/\?=\s+=\?/gu, '?==?');
  return joined.replaceAll(WORD, (_, charset: string, encoding: string, text: string) =>
    decodeText(
      encoding.toLowerCase() === 'b' ? Buffer.from(text, 'base64') : decodeQuoted(text.replaceAll('_', ' ')),
      // RFC 2231 5: a language may follow the charset.
      charset.replace(/\*.*$/u, ''),
    ),
  );
}
