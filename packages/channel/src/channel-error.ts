/** Why a channel could not be made, or ended (docs/errors.md). */
export const CHANNEL_ERROR_CODES = [
  'TIMEOUT',
  'UNREACHABLE',
  'ABORTED',
  'TLS',
  'IDENTITY',
  'PROTOCOL',
  'BUSY',
  'CLOSED',
] as const;
export type ChannelErrorCode = (typeof CHANNEL_ERROR_CODES)[number];

export class ChannelError extends Error {
  override readonly name = 'ChannelError';
  readonly code: ChannelErrorCode;

  constructor(code: ChannelErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
