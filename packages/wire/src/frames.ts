import { decodeFields, encodeFields, type Fields } from './fields.ts';
import { MESSAGES, type Message, type MessageName } from './messages.ts';
import { WireError } from './wire-error.ts';

/** A frame: `length u16` of what follows, `type u8`, fields. */
const LENGTH_BYTES = 2;
const HEADER_BYTES = LENGTH_BYTES + 1;

const NAME_OF_TYPE = new Map<number, MessageName>(
  Object.entries(MESSAGES).map(([name, { type }]) => [type, name as MessageName]),
);

/** Encodes a message as one frame. Throws WireError when a field is out of bounds. */
export function encodeFrame<N extends MessageName>(message: Message<N>): Buffer {
  const { type, maxBytes, fields } = MESSAGES[message.type];
  const frame = encodeFields<Fields>(fields, message, HEADER_BYTES);
  if (frame.length > maxBytes) throw new WireError('TOO_LONG', `a ${message.type} frame of ${frame.length} bytes`);
  frame.writeUInt16BE(frame.length - LENGTH_BYTES, 0);
  frame[LENGTH_BYTES] = type;
  return frame;
}

/**
 * Cuts a byte stream into frames. It accepts only the message types it was made for and checks a frame's length
 * against the limit of its type as soon as the three header bytes are there, before anything is buffered. After its
 * first error it is dead: every further call throws.
 */
export class FrameReader<N extends MessageName> {
  readonly #accepts: ReadonlySet<MessageName>;
  #state: 'reading' | 'dead' = 'reading';
  #pending: Buffer = Buffer.alloc(0);

  constructor(accepts: readonly N[]) {
    this.#accepts = new Set(accepts);
  }

  /** Bytes held back until their frame is complete; at most the largest accepted frame. */
  get bufferedBytes(): number {
    return this.#pending.length;
  }

  /**
   * Takes the next bytes and returns the messages that they complete. Byte fields are views of `chunk`.
   * Throws WireError on a malformed or unexpected frame.
   */
  push(chunk: Buffer): Message<N>[] {
    const messages: Message<N>[] = [];
    this.read(chunk, Number.POSITIVE_INFINITY, messages);
    return messages;
  }

  /**
   * Takes bytes until one frame is complete, for a stream whose first frame is a preamble.
   * @returns the message and the bytes behind it, or undefined when more bytes are needed
   */
  pushOne(chunk: Buffer): { message: Message<N>; rest: Buffer } | undefined {
    const messages: Message<N>[] = [];
    const rest = this.read(chunk, 1, messages);
    const message = messages[0];
    return message === undefined ? undefined : { message, rest };
  }

  private read(chunk: Buffer, count: number, into: Message<N>[]): Buffer {
    if (this.#state === 'dead') throw new WireError('DEAD', 'the stream already had an error');
    try {
      let bytes = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
      this.#pending = EMPTY;
      while (into.length < count && bytes.length >= HEADER_BYTES) {
        const end = LENGTH_BYTES + bytes.readUInt16BE(0);
        const name = this.nameOf(bytes[LENGTH_BYTES] ?? 0, end);
        if (bytes.length < end) break;
        const fields: Fields = MESSAGES[name].fields;
        into.push({ type: name, ...decodeFields(fields, bytes.subarray(HEADER_BYTES, end)) } as unknown as Message<N>);
        bytes = bytes.subarray(end);
      }
      if (into.length >= count) return bytes;
      // A copy, because the chunk may be the view of a much larger buffer.
      this.#pending = Buffer.from(bytes);
      return EMPTY;
    } catch (error) {
      this.#state = 'dead';
      this.#pending = EMPTY;
      throw error;
    }
  }

  private nameOf(type: number, frameBytes: number): N {
    const name = NAME_OF_TYPE.get(type);
    if (name === undefined || !this.#accepts.has(name))
      throw new WireError('UNKNOWN_TYPE', `frame type ${type} is not expected here`);
    if (frameBytes > MESSAGES[name].maxBytes)
      throw new WireError('TOO_LONG', `a ${name} frame of ${frameBytes} bytes`);
    if (frameBytes < HEADER_BYTES) throw new WireError('TRUNCATED', 'a frame without a type');
    return name as N;
  }
}

const EMPTY = Buffer.alloc(0);

/** The highest protocol version both sides speak, or undefined. `offered` is one byte a version. */
export function chooseVersion(offered: Uint8Array, spoken: readonly number[]): number | undefined {
  let best: number | undefined;
  for (const version of offered) if (spoken.includes(version) && version > (best ?? 0)) best = version;
  return best;
}
