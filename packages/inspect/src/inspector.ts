/**
 * What an inspector wants done, in this order. A buffer is the receiver's to keep: the inspector never writes into it
 * again. The sink does not call the inspector from within one of these calls.
 */
export interface InspectorSink {
  toServer(bytes: Buffer): void;
  toClient(bytes: Buffer): void;
  /** FIN, after everything that was written. */
  endServer(): void;
  endClient(): void;
  /** Breaks the server's connection off with a reset, so that nothing unfinished looks finished. */
  resetServer(): void;
  /** A message begins. */
  onMessageStart(): void;
  /** Its content as it is on the wire, dots stuffed and without the final dot (unstuff it with DotUnstuffer). */
  onMessageData(bytes: Buffer): void;
  /** Its end has come and is held back until decide(). */
  onMessageEnd(): void;
  /** It will not be completed: no decide() for it. */
  onMessageAbort(): void;
  /** POP3: writes the kept content from this byte on to the client, and calls contentReleased() when that is done. */
  releaseContent(fromByte: number): void;
  /** From here on bytes pass unseen. */
  onUninspected(cause: UninspectedCause): void;
  /** The peer broke the protocol in a way that could hide a message; the inspector has answered, and is dead. */
  onViolation(violation: Violation): void;
}

/** Why bytes pass unseen: a closed set (docs/inspection.md). */
export const UNINSPECTED_CAUSES = ['implicit_tls', 'starttls', 'imap', 'off'] as const;
export type UninspectedCause = (typeof UNINSPECTED_CAUSES)[number];

/** How the protocol was broken: a closed set (docs/inspection.md). */
export const VIOLATIONS = [
  'line_too_long', // a command or reply past its limit
  'bare_line_break', // CR or LF alone in a command or reply, or where it could make or hide an end of data; NUL likewise
  'starttls_injection', // plaintext between STARTTLS or STLS and the handshake, from either side
  'unoffered_command', // a command with a payload of its own that was not offered: BDAT, XEXCH50
  'unexpected_reply', // a reply nobody asked for, other than a farewell
  'malformed_reply', // no reply code, or lines of different codes
  'premature_accept', // the server accepts a message whose end it has not seen
] as const;
export type ViolationCode = (typeof VIOLATIONS)[number];

export interface Violation {
  readonly code: ViolationCode;
  readonly by: 'client' | 'server';
  /** For the log; holds nothing of the peer's text. */
  readonly detail: string;
}

/** What becomes of a message whose end is held back. */
export type Disposition =
  /** Clean, or passed by policy: as if nobody had looked. */
  | { readonly action: 'release' }
  /** The client is told that it failed. `text` is for people; it is made printable and cut. */
  | { readonly action: 'refuse'; readonly temporary: boolean; readonly text: string }
  /** POP3 only: the client gets this message (RFC 5322, CRLF) in its place. */
  | { readonly action: 'replace'; readonly notice: Buffer };

/**
 * A conversation seen from the middle: bytes in, bytes and events out through its sink. Both sides are offered to it in
 * any pieces; it takes as many bytes as it can, and the rest is to be offered again after any other call. It is dead
 * after a violation: it then takes everything and says nothing.
 */
export interface Inspector {
  /** Named, for tests and logs. */
  readonly state: string;
  /** The beginning of the header of the message that is held; empty when its protocol needs no notice in its place. */
  readonly messageHeader?: Buffer;
  /** Clients differ about what the held message is, or where it ends: it may not be released, whatever a scanner says. */
  readonly messageIsAmbiguous?: boolean;
  /** Returns how many bytes were taken: fewer when the rest must wait for the server or for decide(). */
  fromClient(bytes: Buffer): number;
  /** Returns how many bytes were taken: fewer when the rest must wait for decide() or contentReleased(). */
  fromServer(bytes: Buffer): number;
  /** The client has sent its FIN; to be called once all its bytes were taken. */
  clientEnded(): void;
  /** The same of the server. */
  serverEnded(): void;
  /** Settles the message whose end is held back. */
  decide(disposition: Disposition): void;
  /** The client has waited long for a held message: gives it a few safe bytes, if there are any. */
  keepAlive(): void;
  /** The content asked for with releaseContent() has been written. */
  contentReleased(): void;
}
