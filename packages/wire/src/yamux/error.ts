/** What a peer can do against the protocol. The mux is dead afterwards and GoAway(1) is queued. */
export const MUX_VIOLATIONS = [
  'BAD_VERSION', // version is not 0
  'BAD_TYPE', // type is not data, window update, ping or go away
  'BAD_FLAGS', // unknown flags, or flags that contradict each other, the frame's type or the stream's opener
  'BAD_STREAM_ID', // a stream's frame on id 0, or ping or go away on any other id
  'BAD_GO_AWAY', // a reason that the specification does not have
  'WRONG_PARITY', // SYN with an id of ours: clients open odd streams, servers even ones
  'ID_REUSED', // SYN with an id that was opened before
  'UNKNOWN_STREAM', // a frame for a stream that nobody opened
  'FRAME_TOO_LARGE', // a data frame larger than the whole receive window
  'WINDOW_EXCEEDED', // more data than the stream's receive window has left
  'WINDOW_OVERFLOW', // updates raise the send window past 2^32 - 1
  'SENT_AFTER_FIN', // data or another FIN after FIN
  'CONTROL_FLOOD', // more answers provoked than the peer is ready to read
] as const;
export type MuxViolation = (typeof MUX_VIOLATIONS)[number];

/** Why a call was refused. Nothing was sent, and the mux goes on (if it was alive). */
export const MUX_REFUSALS = [
  'MUX_CLOSED', // open() after abort() or a violation
  'GOING_AWAY', // open() after GoAway was sent or received
  'IDS_EXHAUSTED', // open(): all 2^31 ids of this side are used up; a new connection is needed
  'TOO_MANY_STREAMS', // open(): maxStreams are open
  'TOO_MANY_UNACKED', // open(): maxUnackedOutbound streams wait for their ACK
  'WRITE_AFTER_END', // write() after end()
] as const;

export type MuxErrorCode = MuxViolation | (typeof MUX_REFUSALS)[number];

/** The one error of the multiplexer; `code` is stable, the message is for people. */
export class MuxError extends Error {
  override readonly name = 'MuxError';
  readonly code: MuxErrorCode;

  constructor(code: MuxErrorCode, message: string) {
    super(`${code}: ${message}`);
    this.code = code;
  }
}
