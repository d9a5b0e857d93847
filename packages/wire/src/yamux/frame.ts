/**
 * The yamux frame header: 12 bytes, network order (hashicorp/yamux spec.md, "Framing").
 *
 *     version(8) type(8) flags(16) streamId(32) length(32)
 */
export const HEADER_BYTES = 12;

/** Receive window that both sides assume of every stream until an update says more (spec.md, "Flow Control"). */
export const INITIAL_WINDOW_BYTES = 256 * 1024;

export const FrameType = { data: 0, windowUpdate: 1, ping: 2, goAway: 3 } as const;

export const Flag = { none: 0, syn: 1, ack: 2, fin: 4, rst: 8 } as const;

/** Every flag that the specification names. */
export const KNOWN_FLAGS = Flag.syn | Flag.ack | Flag.fin | Flag.rst;

/** Why a session ends (spec.md, "Session termination"). */
export const GoAwayCode = { normal: 0, protocolError: 1, internalError: 2 } as const;
export type GoAwayCode = (typeof GoAwayCode)[keyof typeof GoAwayCode];

/** Largest stream id, window and ping value: they are unsigned 32-bit fields. */
export const MAX_UINT32 = 0xffff_ffff;

/**
 * Writes one header. `length` is the payload's bytes (data), a window delta in bytes (window update), the opaque value
 * (ping) or the reason (go away). The first word carries version 0 by itself.
 */
export function writeHeader(
  view: DataView,
  offset: number,
  type: number,
  flags: number,
  streamId: number,
  length: number,
): void {
  view.setUint32(offset, (type << 16) | flags);
  view.setUint32(offset + 4, streamId);
  view.setUint32(offset + 8, length);
}
