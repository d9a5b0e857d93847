import { decodeText } from './charset.ts';
import { type Headers, parameterOf, readHeaders } from './header-block.ts';
import { htmlToText } from './html-text.ts';
import { LineCursor } from './line-cursor.ts';
import { decodeTransfer } from './transfer-encoding.ts';

/** Multiparts within multiparts; a deeper one is not looked into. */
export const MAX_MIME_DEPTH = 8;
/** Parts of a notice; those that follow are not looked at. */
export const MAX_MIME_PARTS = 64;
/** Characters of text, still encoded, that are looked at in all parts together. */
export const MAX_TEXT_CHARS = 128 * 1024;

export interface TextPart {
  readonly type: 'plain' | 'html';
  readonly text: string;
}

export interface ReadMail {
  readonly headers: Headers;
  readonly parts: readonly TextPart[];
}

/**
 * Takes a mail apart (RFC 2045, 2046) and returns its own headers and the texts in it: not what is attached, and nothing of a
 * mail or of headers that it encloses, because that is what the virus wrote. Never throws; any bytes have some meaning.
 */
export function readMail(bytes: Buffer): ReadMail {
  return new MimeReader(bytes.toString('latin1')).read();
}

class MimeReader {
  readonly #raw: string;
  readonly #lines: LineCursor;
  /** Boundaries of the multiparts that are open, the innermost last. */
  readonly #boundaries: string[] = [];
  readonly #parts: TextPart[] = [];
  #charsLeft = MAX_TEXT_CHARS;

  constructor(raw: string) {
    this.#raw = raw;
    this.#lines = new LineCursor(raw);
  }

  read(): ReadMail {
    const headers = readHeaders(this.#lines);
    this.#readEntity(headers);
    for (let count = 1; count < MAX_MIME_PARTS && this.#boundaries.length > 0 && !this.#lines.isAtEnd; count += 1) {
      this.#readEntity(readHeaders(this.#lines));
    }
    return { headers, parts: this.#parts };
  }

  /** One part, up to the headers of the next: a multipart is opened, a text is kept, all else is passed over. */
  #readEntity(headers: Headers): void {
    const type = headers['content-type'] ?? 'text/plain';
    const boundary = /^multipart\//iu.test(type) ? parameterOf(type, 'boundary') : undefined;
    if (boundary !== undefined && this.#boundaries.length < MAX_MIME_DEPTH) this.#boundaries.push(boundary.trimEnd());
    const from = this.#lines.at;
    const to = this.#nextPart();
    const kind = boundary === undefined ? textType(type, headers['content-disposition']) : undefined;
    if (kind !== undefined) this.#keep(kind, this.#raw.slice(from, Math.min(to, from + this.#charsLeft)), headers);
  }

  #keep(type: TextPart['type'], encoded: string, headers: Headers): void {
    this.#charsLeft -= encoded.length;
    const bytes = decodeTransfer(encoded, headers['content-transfer-encoding']);
    const text = decodeText(bytes, parameterOf(headers['content-type'] ?? '', 'charset'));
    this.#parts.push({ type, text: type === 'html' ? htmlToText(text) : text });
  }

  /** Goes past the boundary in front of the next part and returns where that boundary is, or the end of the mail. */
  #nextPart(): number {
    let end: number | undefined;
    while (!this.#lines.isAtEnd) {
      const { at } = this.#lines;
      const line = this.#lines.peek();
      this.#lines.skip();
      const mark = line.startsWith('--') ? this.#boundaryIn(line.slice(2).trimEnd()) : undefined;
      if (mark === undefined) continue;
      end ??= at;
      // An inner multipart that was never closed ends with the outer one (RFC 2046 5.1.2).
      this.#boundaries.length = mark.isLast ? mark.level : mark.level + 1;
      if (!mark.isLast) break;
    }
    return end ?? this.#lines.at;
  }

  #boundaryIn(text: string): { level: number; isLast: boolean } | undefined {
    for (let level = this.#boundaries.length - 1; level >= 0; level -= 1) {
      const boundary = this.#boundaries[level];
      if (text === boundary) return { level, isLast: false };
      if (text === `${boundary}--`) return { level, isLast: true };
    }
    return undefined;
  }
}

function textType(type: string, disposition = ''): TextPart['type'] | undefined {
  if (/^\s*attachment\b/iu.test(disposition)) return undefined;
  if (/^text\/plain\b/iu.test(type)) return 'plain';
  return /^text\/html\b/iu.test(type) ? 'html' : undefined;
}
