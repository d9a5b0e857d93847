import { open, stat } from 'node:fs/promises';
import { MAX_REVOCATION_LIST_BYTES } from './pki/revocation-list.ts';

const FETCH_TIMEOUT_MS = 10_000;

/** Somewhere a revocation list comes from. */
export interface RevocationSource {
  readonly name: string;
  /** The list in PEM, or undefined when it is the one read before. Rejects with a reason for people. */
  read(): Promise<string | undefined>;
}

/** A file, read again when its size, time or inode changed. */
export function fileSource(path: string): RevocationSource {
  let last = '';
  return {
    name: path,
    read: async () => {
      const { size, mtimeMs, ino } = await stat(path);
      const state = `${size} ${mtimeMs} ${ino}`;
      if (state === last) return undefined;
      if (size > MAX_REVOCATION_LIST_BYTES) throw tooLarge();
      const text = await readBounded(path);
      last = state;
      return text;
    },
  };
}

/** A URL of http or https. The list is signed, so a plain one will do. */
export function urlSource(url: string): RevocationSource {
  let etag: string | null = null;
  return {
    name: url,
    read: async () => {
      const response = await fetch(url, {
        redirect: 'error',
        signal: AbortSignal.timeout(FETCH_TIMEOUT_MS),
        headers: etag === null ? {} : { 'if-none-match': etag },
      });
      if (response.status === 304) return undefined;
      if (!response.ok || response.body === null) {
        await response.body?.cancel();
        throw new Error(`the server answers ${response.status}`);
      }
      const text = await readStream(response.body);
      etag = response.headers.get('etag');
      return text;
    },
  };
}

// Not readFile: the file may have grown since it was looked at, or be a device without an end.
async function readBounded(path: string): Promise<string> {
  const handle = await open(path, 'r');
  try {
    const buffer = Buffer.alloc(MAX_REVOCATION_LIST_BYTES + 1);
    let length = 0;
    for (;;) {
      const { bytesRead } = await handle.read(buffer, length, buffer.length - length);
      length += bytesRead;
      if (length > MAX_REVOCATION_LIST_BYTES) throw tooLarge();
      if (bytesRead === 0) return buffer.toString('latin1', 0, length);
    }
  } finally {
    await handle.close();
  }
}

async function readStream(body: ReadableStream<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > MAX_REVOCATION_LIST_BYTES) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('latin1');
}

function tooLarge(): Error {
  return new Error(`it has more than ${MAX_REVOCATION_LIST_BYTES} bytes`);
}
