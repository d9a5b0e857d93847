import { decodeHeader } from './encoded-words.ts';
import { readMail, type TextPart } from './text-parts.ts';

/** Lines of a notice that patterns are tried on. */
export const MAX_LINES = 2000;
/** Characters of one line that patterns are tried on. */
export const MAX_LINE_CHARS = 1000;
/** RFC 5322 2.1.1 gives a line, and so a Message-ID, 998 characters; a longer one is cut. */
const MAX_MESSAGE_ID_CHARS = 998;

/** What patterns are tried on. All of it was written by strangers. */
export interface NoticeMail {
  /** The address in From, in lower case; empty if there is none. */
  readonly from: string;
  /** The subject, then each line of the text that is not empty: trimmed, runs of white space and of controls made one space. */
  readonly lines: readonly string[];
  readonly messageId: string | undefined;
}

/** Reads a notice: plain text, or HTML where there is no plain text. Never throws. */
export function readNoticeMail(bytes: Buffer): NoticeMail {
  const { headers, parts } = readMail(bytes);
  const plain = parts.filter(({ type }) => type === 'plain');
  return {
    from: addressIn(cleaned(decodeHeader(headers.from ?? ''))),
    lines: linesOf(decodeHeader(headers.subject ?? ''), plain.length > 0 ? plain : parts),
    messageId: messageIdOf(headers['message-id'] ?? ''),
  };
}

function linesOf(subject: string, parts: readonly TextPart[]): string[] {
  const lines = [cleaned(subject)];
  for (const { text } of parts) {
    let at = 0;
    while (at < text.length && lines.length < MAX_LINES) {
      const end = text.indexOf('\n', at);
      const line = cleaned(text.slice(at, end === -1 ? text.length : end));
      if (line !== '') lines.push(line);
      at = end === -1 ? text.length : end + 1;
    }
  }
  return lines;
}

function cleaned(text: string): string {
  return text.replaceAll(/[\s\p{Cc}]+/gu, ' ').trim().slice(0, MAX_LINE_CHARS);
}

function addressIn(from: string): string {
  const angle = from.lastIndexOf('<');
  return (angle === -1 ? from : from.slice(angle + 1).replace(/>.*$/u, '')).trim().toLowerCase();
}

function messageIdOf(header: string): string | undefined {
  const id = header.trim().slice(0, MAX_MESSAGE_ID_CHARS);
  // `<>` and the like, which some gateways write, would make one of all their notices.
  return /[a-z0-9]/iu.test(id) ? id : undefined;
}
