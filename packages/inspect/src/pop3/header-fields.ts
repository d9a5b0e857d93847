/** Characters of a field that are quoted to the reader. */
export const MAX_QUOTED_CHARACTERS = 120;
/** Of a field, before it is decoded: encoding makes text several times longer. */
const MAX_FIELD_CHARACTERS = 2000;

const FIELD_START = /^([!-9;-~]+)[ \t]*:(.*)$/su;
/** RFC 2047 section 2. */
const ENCODED_WORD = /=\?([A-Za-z0-9_-]+)(?:\*[A-Za-z0-9-]*)?\?([BbQq])\?([!->@-~]*)\?=/gu;
/** White space between encoded words is not part of the text (RFC 2047 section 6.2). */
const BETWEEN_WORDS = /(\?=)[ \t]+(?==\?[A-Za-z0-9_-]+[^? ]*\?[BbQq]\?)/gu;
/** Controls, format characters such as those that turn the direction of writing, line separators, halves of pairs. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]+/gu;

/**
 * The first field of this name in a header that may be cut off, for a person to read: unfolded, decoded, in one line of
 * printable characters, and cut. Undefined: there is none.
 */
export function quotedField(header: Buffer, name: string): string | undefined {
  const unfolded = header.toString('utf8').replaceAll(/\r?\n(?=[ \t])/gu, '');
  for (const line of unfolded.split(/\r?\n/u)) {
    if (line === '') return undefined;
    const [, found = '', value = ''] = FIELD_START.exec(line) ?? [];
    if (found.toLowerCase() === name.toLowerCase()) return quoted(value.slice(0, MAX_FIELD_CHARACTERS));
  }
  return undefined;
}

/** One line of printable characters, cut. */
export function quoted(text: string): string {
  const decoded = text.replaceAll(BETWEEN_WORDS, '$1').replaceAll(ENCODED_WORD, decodedWord);
  const characters = Array.from(decoded.replaceAll(UNPRINTABLE, ' ').replaceAll(/ +/gu, ' ').trim());
  const isCut = characters.length > MAX_QUOTED_CHARACTERS;
  return characters.slice(0, MAX_QUOTED_CHARACTERS).join('') + (isCut ? '...' : '');
}

function decodedWord(word: string, charset: string, encoding: string, text: string): string {
  const bytes = encoding.toUpperCase() === 'B' ? Buffer.from(text, 'base64') : quotedPrintable(text);
  try {
    return new TextDecoder(charset).decode(bytes);
  } catch {
    // A character set that nobody knows.
    return word;
  }
}

function quotedPrintable(text: string): Buffer {
  const characters = text
    .replaceAll('_', ' ')
    .replaceAll(/=([0-9A-Fa-f]{2})/gu, (_, hex: string) => String.fromCodePoint(Number.parseInt(hex, 16)));
  return Buffer.from(characters, 'latin1');
}
