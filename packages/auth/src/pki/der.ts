const SEQUENCE = 0x30;
const INTEGER = 0x02;

/**
 * Splits a DER SEQUENCE that fills `bytes` exactly into its elements, headers included. Undefined when it is no such
 * sequence, has another number of elements, or when any of these lengths is not in its one DER form (X.690, 10.1).
 */
export function splitSequence(bytes: Buffer, count: number): Buffer[] | undefined {
  const outer = elementAt(bytes, 0);
  if (outer === undefined || outer.end !== bytes.length || bytes[0] !== SEQUENCE) return undefined;
  const elements: Buffer[] = [];
  let offset = outer.contentOffset;
  while (offset < bytes.length && elements.length < count) {
    const element = elementAt(bytes, offset);
    if (element === undefined) return undefined;
    elements.push(bytes.subarray(offset, element.end));
    offset = element.end;
  }
  return offset === bytes.length && elements.length === count ? elements : undefined;
}

/** The content of a DER element with this tag that fills `bytes` exactly; undefined when it is not one. */
export function contentOf(bytes: Buffer, tag: number): Buffer | undefined {
  const element = elementAt(bytes, 0);
  if (element === undefined || element.end !== bytes.length || bytes[0] !== tag) return undefined;
  return bytes.subarray(element.contentOffset);
}

/** Writes a number that is not negative as a DER INTEGER of at most 126 bytes. */
export function encodeUnsigned(value: bigint): Buffer {
  const digits = value.toString(16);
  const magnitude = Buffer.from(digits.padStart(digits.length + (digits.length % 2), '0'), 'hex');
  // The top bit is the sign.
  const content = magnitude.readUInt8(0) >= 0x80 ? Buffer.concat([Buffer.of(0), magnitude]) : magnitude;
  return Buffer.concat([Buffer.of(INTEGER, content.length), content]);
}

/** Reads a DER INTEGER that fills `bytes`; undefined when it is none, negative, or longer than `maxBytes`. */
export function decodeUnsigned(bytes: Buffer, maxBytes: number): bigint | undefined {
  const content = contentOf(bytes, INTEGER);
  const [first] = content ?? [];
  if (content === undefined || first === undefined || first >= 0x80 || content.length > maxBytes) return undefined;
  return BigInt(`0x${content.toString('hex')}`);
}

function elementAt(bytes: Buffer, offset: number): { contentOffset: number; end: number } | undefined {
  const short = bytes[offset + 1];
  // 0x80 is BER's indefinite length.
  if (short === undefined || short === 0x80) return undefined;
  const lengthBytes = short < 0x80 ? 0 : short & 0x7f;
  const contentOffset = offset + 2 + lengthBytes;
  if (lengthBytes > 4 || contentOffset > bytes.length) return undefined;
  const length = lengthBytes === 0 ? short : bytes.readUIntBE(offset + 2, lengthBytes);
  if (lengthBytes > 0 && length < (lengthBytes === 1 ? 0x80 : 2 ** (8 * (lengthBytes - 1)))) return undefined;
  const end = contentOffset + length;
  return end <= bytes.length ? { contentOffset, end } : undefined;
}
