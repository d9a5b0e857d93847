import { WireError } from './wire-error.ts';

/**
 * Fields: `tag u8, length u16, value`, the same shape everywhere (control frames, preambles, tickets). A record is a
 * table of named fields; the table is the specification, the encoder and the decoder at once. Unknown tags are skipped,
 * so that a newer peer may say more; a known field that is too long, too short or doubled is an error.
 */
type FieldKind =
  | { readonly kind: 'u8' | 'u16' | 'u32' | 'u64' }
  | { readonly kind: 'text'; readonly maxBytes: number }
  | { readonly kind: 'texts'; readonly maxBytes: number; readonly maxCount: number }
  | { readonly kind: 'bytes'; readonly minBytes: number; readonly maxBytes: number }
  | { readonly kind: 'record'; readonly fields: Fields }
  | { readonly kind: 'records'; readonly fields: Fields; readonly maxCount: number };

export type Field = FieldKind & { readonly tag: number; readonly optional?: true };
export type Fields = Readonly<Record<string, Field>>;

type ValueOf<F extends FieldKind> = F extends { kind: 'u8' | 'u16' | 'u32' | 'u64' }
  ? number
  : F extends { kind: 'text' }
    ? string
    : F extends { kind: 'texts' }
      ? readonly string[]
      : F extends { kind: 'bytes' }
        ? Buffer
        : F extends { kind: 'records'; fields: infer S extends Fields }
          ? readonly RecordOf<S>[]
          : F extends { kind: 'record'; fields: infer S extends Fields }
            ? RecordOf<S>
            : never;

/** Lists may be left out (they are then empty); every other field without `optional` must be there. */
export type RecordOf<S extends Fields> = {
  -readonly [K in keyof S as S[K] extends { optional: true } ? never : K]: ValueOf<S[K]>;
} & {
  -readonly [K in keyof S as S[K] extends { optional: true } ? K : never]?: ValueOf<S[K]> | undefined;
};

const UINT_BYTES = { u8: 1, u16: 2, u32: 4, u64: 8 } as const;
const FIELD_HEADER_BYTES = 3;
const MAX_FIELD_BYTES = 0xffff;

/** A growing buffer for one record; reused for every encode, because encoding is synchronous. */
class Writer {
  #buffer = Buffer.allocUnsafe(4096);
  #length = 0;

  /** Begins a record behind `headerBytes` that its caller fills in. */
  reset(headerBytes: number): void {
    this.#length = headerBytes;
  }

  /** Makes room for a field and returns the offset of its value. */
  field(tag: number, valueBytes: number): number {
    if (valueBytes > MAX_FIELD_BYTES) throw new WireError('TOO_LONG', `a field of ${valueBytes} bytes`);
    this.#grow(FIELD_HEADER_BYTES + valueBytes);
    this.#buffer[this.#length] = tag;
    this.#buffer.writeUInt16BE(valueBytes, this.#length + 1);
    const at = this.#length + FIELD_HEADER_BYTES;
    this.#length = at + valueBytes;
    return at;
  }

  get buffer(): Buffer {
    return this.#buffer;
  }

  get length(): number {
    return this.#length;
  }

  /** Closes a nested record that began at `at`: its length was not known before. */
  closeNested(at: number): void {
    const bytes = this.#length - at;
    if (bytes > MAX_FIELD_BYTES) throw new WireError('TOO_LONG', `a record of ${bytes} bytes`);
    this.#buffer.writeUInt16BE(bytes, at - 2);
  }

  copy(): Buffer {
    const bytes = Buffer.allocUnsafe(this.#length);
    this.#buffer.copy(bytes, 0, 0, this.#length);
    return bytes;
  }

  #grow(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#length + bytes));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }
}

const writer = new Writer();

/**
 * Encodes a record, behind `headerBytes` that are the caller's to fill in. Throws WireError when a value is out of its
 * field's bounds.
 */
export function encodeFields<S extends Fields>(fields: S, value: RecordOf<S>, headerBytes = 0): Buffer {
  writer.reset(headerBytes);
  writeFields(fields, value);
  return writer.copy();
}

function writeFields(fields: Fields, value: Record<string, unknown>): void {
  for (const name in fields) {
    const field = fields[name];
    const item = value[name];
    if (field === undefined) continue;
    if (item === undefined) {
      if (field.optional || field.kind === 'texts' || field.kind === 'records') continue;
      throw new WireError('MISSING', `field ${name} is missing`);
    }
    writeField(name, field, item);
  }
}

function writeField(name: string, field: Field, item: unknown): void {
  switch (field.kind) {
    case 'u8':
    case 'u16':
    case 'u32':
    case 'u64':
      return writeUint(name, field.tag, UINT_BYTES[field.kind], item as number);
    case 'text':
      return writeText(name, field.tag, field.maxBytes, item as string);
    case 'texts': {
      const texts = item as readonly string[];
      if (texts.length > field.maxCount) throw new WireError('TOO_LONG', `field ${name} has ${texts.length} items`);
      for (const text of texts) writeText(name, field.tag, field.maxBytes, text);
      return;
    }
    case 'bytes': {
      const bytes = item as Buffer;
      if (bytes.length > field.maxBytes || bytes.length < field.minBytes)
        throw new WireError('TOO_LONG', `field ${name} has ${bytes.length} bytes`);
      const at = writer.field(field.tag, bytes.length);
      bytes.copy(writer.buffer, at);
      return;
    }
    case 'record':
      return writeNested(field.tag, field.fields, item as Record<string, unknown>);
    case 'records': {
      const items = item as readonly Record<string, unknown>[];
      if (items.length > field.maxCount) throw new WireError('TOO_LONG', `field ${name} has ${items.length} items`);
      for (const one of items) writeNested(field.tag, field.fields, one);
    }
  }
}

function writeNested(tag: number, fields: Fields, value: Record<string, unknown>): void {
  const at = writer.field(tag, 0);
  writeFields(fields, value);
  writer.closeNested(at);
}

function writeUint(name: string, tag: number, bytes: number, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0 || value >= 2 ** (bytes * 8))
    throw new WireError('RANGE', `field ${name} is ${value}`);
  const at = writer.field(tag, bytes);
  if (bytes === 8) {
    writer.buffer.writeUInt32BE(Math.floor(value / 2 ** 32), at);
    writer.buffer.writeUInt32BE(value % 2 ** 32, at + 4);
  } else writer.buffer.writeUIntBE(value, at, bytes);
}

function writeText(name: string, tag: number, maxBytes: number, text: string): void {
  const bytes = Buffer.byteLength(text);
  if (bytes > maxBytes) throw new WireError('TOO_LONG', `field ${name} has ${bytes} bytes`);
  const at = writer.field(tag, bytes);
  writer.buffer.write(text, at, 'utf8');
}

/** Decodes a record from the whole of `bytes`. Byte fields are views of it. Throws WireError on anything malformed. */
export function decodeFields<S extends Fields>(fields: S, bytes: Buffer): RecordOf<S> {
  const table = tagTable(fields);
  const record: Record<string, unknown> = {};
  for (const name of table.lists) record[name] = [];
  let at = 0;
  while (at < bytes.length) {
    if (bytes.length - at < FIELD_HEADER_BYTES) throw new WireError('TRUNCATED', 'a field header is cut off');
    const entry = table.byTag.get(bytes[at] ?? 0);
    const end = at + FIELD_HEADER_BYTES + bytes.readUInt16BE(at + 1);
    if (end > bytes.length) throw new WireError('TRUNCATED', 'a field is cut off');
    if (entry !== undefined) readInto(record, entry.name, entry.field, bytes.subarray(at + FIELD_HEADER_BYTES, end));
    at = end;
  }
  for (const name of table.required) {
    if (record[name] === undefined) throw new WireError('MISSING', `field ${name} is missing`);
  }
  return record as RecordOf<S>;
}

interface TagTable {
  readonly byTag: ReadonlyMap<number, { name: string; field: Field }>;
  readonly required: readonly string[];
  readonly lists: readonly string[];
}

const tables = new WeakMap<Fields, TagTable>();

function tagTable(fields: Fields): TagTable {
  let table = tables.get(fields);
  if (table === undefined) {
    const entries = Object.entries(fields);
    const isList = (field: Field): boolean => field.kind === 'texts' || field.kind === 'records';
    table = {
      byTag: new Map(entries.map(([name, field]) => [field.tag, { name, field }])),
      required: entries.filter(([, field]) => !field.optional && !isList(field)).map(([name]) => name),
      lists: entries.filter(([, field]) => isList(field)).map(([name]) => name),
    };
    tables.set(fields, table);
  }
  return table;
}

function readInto(record: Record<string, unknown>, name: string, field: Field, value: Buffer): void {
  if (field.kind === 'texts' || field.kind === 'records') {
    const list = record[name] as unknown[];
    if (list.length >= field.maxCount) throw new WireError('TOO_LONG', `field ${name} has too many items`);
    list.push(field.kind === 'texts' ? readText(name, field.maxBytes, value) : decodeFields(field.fields, value));
    return;
  }
  if (record[name] !== undefined) throw new WireError('DUPLICATE', `field ${name} is there twice`);
  record[name] = readValue(name, field, value);
}

function readValue(name: string, field: Exclude<Field, { kind: 'texts' | 'records' }>, value: Buffer): unknown {
  switch (field.kind) {
    case 'text':
      return readText(name, field.maxBytes, value);
    case 'bytes':
      if (value.length > field.maxBytes || value.length < field.minBytes)
        throw new WireError('RANGE', `field ${name} has ${value.length} bytes`);
      return value;
    case 'record':
      return decodeFields(field.fields, value);
    default:
      return readUint(name, UINT_BYTES[field.kind], value);
  }
}

function readUint(name: string, bytes: number, value: Buffer): number {
  if (value.length !== bytes) throw new WireError('RANGE', `field ${name} has ${value.length} bytes, not ${bytes}`);
  if (bytes < 8) return value.readUIntBE(0, bytes);
  const number = value.readUInt32BE(0) * 2 ** 32 + value.readUInt32BE(4);
  if (!Number.isSafeInteger(number)) throw new WireError('RANGE', `field ${name} is above 2^53 - 1`);
  return number;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Text is UTF-8 without control characters: it ends up in logs and on terminals. */
function readText(name: string, maxBytes: number, value: Buffer): string {
  if (value.length > maxBytes) throw new WireError('TOO_LONG', `field ${name} has ${value.length} bytes`);
  let text: string;
  try {
    text = utf8.decode(value);
  } catch {
    throw new WireError('TEXT', `field ${name} is not UTF-8`);
  }
  // C0, DEL, C1 and the Unicode line separators.
  // oxlint-disable-next-line no-control-regex
  if (/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/u.test(text))
    throw new WireError('TEXT', `field ${name} has control characters`);
  return text;
}
