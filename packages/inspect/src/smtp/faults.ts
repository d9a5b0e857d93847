import type { Violation } from '../inspector.ts';
import type { LineFault } from '../line-reader.ts';
import type { ReplyFault } from './reply-reader.ts';

/** A violation, and what the client hears of it; without words: nothing. */
export interface Fault extends Violation {
  readonly words?: string;
}

const BROKEN_SERVER = '421 4.5.0 the server broke the protocol, try again later';
const PREMATURE_ACCEPT = '451 4.5.0 the server replied before the end of the message, try again later';

/** By the client, in a line of a command or of an AUTH exchange. */
export const LINE_FAULTS: Readonly<Record<LineFault, Fault>> = {
  line_too_long: {
    code: 'line_too_long',
    by: 'client',
    detail: 'a command or AUTH line past its limit',
    words: '500 5.5.2 the line is too long',
  },
  bare_line_break: {
    code: 'bare_line_break',
    by: 'client',
    detail: 'a CR, LF or NUL in a command or AUTH line',
    words: '500 5.5.2 a line ends with CRLF, and has no other CR, LF or NUL',
  },
};

/** By the server, in a line of a reply. */
export const REPLY_FAULTS: Readonly<Record<ReplyFault, Fault>> = {
  line_too_long: {
    code: 'line_too_long',
    by: 'server',
    detail: 'a line of a reply past its limit',
    words: BROKEN_SERVER,
  },
  bare_line_break: {
    code: 'bare_line_break',
    by: 'server',
    detail: 'a CR, LF or NUL in a reply',
    words: BROKEN_SERVER,
  },
  malformed_reply: {
    code: 'malformed_reply',
    by: 'server',
    detail: 'a line without a code, or with another than the line before it',
    words: BROKEN_SERVER,
  },
};

export const FAULTS = {
  smuggling: {
    code: 'bare_line_break',
    by: 'client',
    detail: 'a CR, LF or NUL beside a dot that begins a line of a message',
    words: '554 5.6.0 the message has a CR, LF or NUL beside a dot that begins a line',
  },
  /** The client has its reply to that message. */
  smugglingUnheard: {
    code: 'bare_line_break',
    by: 'client',
    detail: 'a CR, LF or NUL beside a dot that begins a line of a message that was refused already',
  },
  unofferedCommand: {
    code: 'unoffered_command',
    by: 'client',
    detail: 'a command with a payload that was not offered',
    words: '502 5.5.1 this command was not offered',
  },
  clientInjection: {
    code: 'starttls_injection',
    by: 'client',
    detail: 'bytes between STARTTLS and its reply',
    words: '554 5.7.0 nothing may follow STARTTLS before its reply',
  },
  /** The client waits for a handshake, not for a line. */
  serverInjection: {
    code: 'starttls_injection',
    by: 'server',
    detail: 'bytes between the reply to STARTTLS and the handshake',
  },
  longExtensions: {
    code: 'line_too_long',
    by: 'server',
    detail: 'a reply to EHLO past its limit',
    words: BROKEN_SERVER,
  },
  unaskedReply: {
    code: 'unexpected_reply',
    by: 'server',
    detail: 'a reply to nothing',
    words: BROKEN_SERVER,
  },
  /** The server has read other commands than we have. */
  oddIntermediateReply: {
    code: 'unexpected_reply',
    by: 'server',
    detail: 'an intermediate reply to a command that has none, or another one',
    words: BROKEN_SERVER,
  },
  earlyAccept: {
    code: 'premature_accept',
    by: 'server',
    detail: 'a message is accepted before its end',
    words: PREMATURE_ACCEPT,
  },
  acceptedData: {
    code: 'premature_accept',
    by: 'server',
    detail: 'DATA itself is accepted',
    words: PREMATURE_ACCEPT,
  },
} as const satisfies Readonly<Record<string, Fault>>;
