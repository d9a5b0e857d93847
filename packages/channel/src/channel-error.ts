/** Why a channel could not be made, or ended. */
export type ChannelErrorCode =
  | 'TIMEOUT'
  | 'UNREACHABLE'
  | 'ABORTED'
  | 'TLS'
  | 'IDENTITY'
  | 'PROTOCOL'
  | 'BUSY'
  | 'CLOSED';

export class ChannelError extends Error {
  override readonly name = 'ChannelError';
  readonly code: ChannelErrorCode;

  constructor(code: ChannelErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
