import { crc32, deflateRawSync } from 'node:zlib';

export interface ZipEntry {
  name: string;
  content: Buffer;
}

export interface ZipInit {
  /** `stored` as it is, or `deflated`; the default. */
  method?: 'stored' | 'deflated';
  /** Says of its entries that they are encrypted and makes them unreadable; there is no password that opens it. */
  encrypted?: boolean;
}

const LOCAL_SIGNATURE = 0x04034b50;
const CENTRAL_SIGNATURE = 0x02014b50;
const END_SIGNATURE = 0x06054b50;
const VERSION = 20;
const METHODS = { stored: 0, deflated: 8 };
const ENCRYPTED_FLAG = 1;
/** PKWARE's traditional encryption puts so many random bytes before the content. */
const ENCRYPTION_HEADER_BYTES = 12;
/** 1980-01-01, the first day there is. */
const DATE = 0x21;

/** A zip archive (PKWARE APPNOTE 4.3). */
export function zip(entries: readonly ZipEntry[], init: ZipInit = {}): Buffer {
  const locals: Buffer[] = [];
  const centrals: Buffer[] = [];
  let offset = 0;
  for (const entry of entries) {
    const data = packed(entry.content, init);
    const common = commonFields(entry, data.length, init);
    const name = Buffer.from(entry.name);
    const local = Buffer.concat([uint32(LOCAL_SIGNATURE), common, name, data]);
    // Comment, disk and attributes: none.
    centrals.push(uint32(CENTRAL_SIGNATURE), uint16(VERSION), common, Buffer.alloc(10), uint32(offset), name);
    locals.push(local);
    offset += local.length;
  }
  const directory = Buffer.concat(centrals);
  const count = uint16(entries.length);
  const end = [uint32(END_SIGNATURE), Buffer.alloc(4), count, count, uint32(directory.length), uint32(offset), uint16(0)];
  return Buffer.concat([...locals, directory, ...end]);
}

function packed(content: Buffer, init: ZipInit): Buffer {
  const data = init.method === 'stored' ? content : deflateRawSync(content);
  if (init.encrypted !== true) return data;
  return Buffer.concat([Buffer.alloc(ENCRYPTION_HEADER_BYTES, 0x5a), data.map((byte) => byte ^ 0xa5)]);
}

/** What the local header and the one in the directory have in common. */
function commonFields({ name, content }: ZipEntry, packedBytes: number, init: ZipInit): Buffer {
  const flags = init.encrypted === true ? ENCRYPTED_FLAG : 0;
  const short = [VERSION, flags, METHODS[init.method ?? 'deflated'], 0, DATE].map(uint16);
  const long = [crc32(content), packedBytes, content.length].map(uint32);
  return Buffer.concat([...short, ...long, uint16(Buffer.byteLength(name)), uint16(0)]);
}

function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
