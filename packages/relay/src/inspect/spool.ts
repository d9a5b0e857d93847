import { type FileHandle, mkdir, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { HeldBytes } from '@sekisho/channel';

/** What every message may have in memory; with more, all of it goes to a temporary file, unless there is spare memory. */
export const SPOOL_MEMORY_BYTES = 64 * 1024;
/** What one message may have in memory when there is spare memory: nearly all mails never see the disk. */
export const MAX_MESSAGE_MEMORY_BYTES = 1024 * 1024;
/** The spare memory of a worker, for messages past SPOOL_MEMORY_BYTES. */
const MAX_SPARE_MEMORY_BYTES = 64 * 1024 * 1024;
/** Bytes that may wait for the disk before whoever brings them is asked to wait. */
export const MAX_SPOOL_PENDING_BYTES = 128 * 1024;
const READ_BYTES = 64 * 1024;
const FILE_PREFIX = 'spool-';

/** The bytes that the spools of one worker may hold together, in memory and on disk. */
export class SpoolRoom {
  readonly #maxBytes: number;
  #usedBytes = 0;
  #spareBytes: number;

  constructor(init: { readonly maxBytes: number; readonly spareMemoryBytes?: number }) {
    this.#maxBytes = init.maxBytes;
    this.#spareBytes = init.spareMemoryBytes ?? MAX_SPARE_MEMORY_BYTES;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** False when there is not that much left; nothing is taken then. */
  take(bytes: number): boolean {
    if (this.#usedBytes + bytes > this.#maxBytes) return false;
    this.#usedBytes += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#usedBytes -= bytes;
  }

  /** The same for spare memory. */
  borrow(bytes: number): boolean {
    if (this.#spareBytes < bytes) return false;
    this.#spareBytes -= bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.#spareBytes += bytes;
  }
}

/**
 * Makes the directory for spools, and removes what a process left there that was killed in the moment between making
 * its file and unlinking it. Rejects with the operating system's error.
 */
export async function prepareSpoolDirectory(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const left = (await readdir(directory)).filter((name) => name.startsWith(FILE_PREFIX));
  await Promise.all(left.map((name) => rm(join(directory, name), { force: true })));
}

let filesMade = 0;

/** A file without a name: whatever happens to this process, the disk has it back. */
async function openNameless(directory: string): Promise<FileHandle> {
  filesMade += 1;
  const path = join(directory, `${FILE_PREFIX}${process.pid}-${filesMade}`);
  const file = await open(path, 'wx+', 0o600);
  try {
    await rm(path, { force: true });
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/**
 * The content of one message while it is judged: in memory when it is small, else in a file. Once it has failed (no
 * room, no disk) it takes no more and keeps nothing.
 */
export class Spool {
  readonly #room: SpoolRoom;
  readonly #directory: string;
  readonly #onDrain: () => void;
  /** Small: everything. Large: what is not written yet. */
  #held: HeldBytes | undefined = new HeldBytes();
  /** Everything, once a small message is complete. */
  #memory: readonly Buffer[] = [];
  #isLarge = false;
  #borrowedBytes = 0;
  #bytes = 0;
  #file: FileHandle | undefined;
  #writtenBytes = 0;
  #writingBytes = 0;
  #writing: Promise<void> | undefined;
  #failure: string | undefined;

  /** @param components onDrain: the spool is no longer busy, or has failed */
  constructor(components: { readonly room: SpoolRoom; readonly onDrain: () => void }, init: { readonly directory: string }) {
    this.#room = components.room;
    this.#onDrain = components.onDrain;
    this.#directory = init.directory;
  }

  /** Bytes kept. */
  get bytes(): number {
    return this.#bytes;
  }

  /** More waits for the disk than should: bring no more until onDrain. */
  get isBusy(): boolean {
    return this.#isLarge && (this.#held?.bytes ?? 0) + this.#writingBytes > MAX_SPOOL_PENDING_BYTES;
  }

  /** Why the content is not here; undefined while it is. */
  get failure(): string | undefined {
    return this.#failure;
  }

  push(chunk: Buffer): void {
    if (this.#held === undefined || chunk.length === 0) return;
    if (!this.#room.take(chunk.length)) return this.#fail('no room is left for messages that wait for their verdict');
    this.#bytes += chunk.length;
    this.#held.push(chunk);
    if (!this.#isLarge && !this.#fitsInMemory(this.#held.bytes)) this.#goLarge();
    if (this.#isLarge) this.#writing ??= this.#write();
  }

  /** No more will come; resolves when everything is readable, or the spool has failed. */
  async finish(): Promise<void> {
    await this.#writing;
    if (!this.#isLarge) this.#memory = this.#held?.take() ?? [];
  }

  /**
   * The content from this byte on; only after finish(), as often as wanted. Throws the operating system's error.
   * With `reuse` a buffer holds its bytes only until the next but one is asked for, which spares the garbage collector
   * the whole message.
   */
  async *read(fromByte: number, { reuse = false } = {}): AsyncGenerator<Buffer, void> {
    if (this.#isLarge) yield* this.#readFile(fromByte, reuse);
    else yield* skip(this.#memory, fromByte);
  }

  /** Gives back memory, disk and room. Reads under way end with an error. */
  discard(): void {
    if (this.#held === undefined) return;
    this.#held = undefined;
    this.#memory = [];
    this.#room.give(this.#bytes);
    this.#bytes = 0;
    this.#giveBack();
    if (this.#writing === undefined) void this.#closeFile();
  }

  #fitsInMemory(bytes: number): boolean {
    if (bytes <= SPOOL_MEMORY_BYTES) return true;
    const more = bytes - SPOOL_MEMORY_BYTES - this.#borrowedBytes;
    if (bytes > MAX_MESSAGE_MEMORY_BYTES || !this.#room.borrow(more)) return false;
    this.#borrowedBytes += more;
    return true;
  }

  #goLarge(): void {
    this.#isLarge = true;
    this.#giveBack();
  }

  #giveBack(): void {
    this.#room.giveBack(this.#borrowedBytes);
    this.#borrowedBytes = 0;
  }

  async #write(): Promise<void> {
    try {
      const file = (this.#file ??= await openNameless(this.#directory));
      while (this.#held !== undefined && this.#held.bytes > 0) {
        this.#writingBytes = this.#held.bytes;
        await writeAll(file, this.#held.take(), this.#writtenBytes);
        this.#writtenBytes += this.#writingBytes;
        this.#writingBytes = 0;
        if (!this.isBusy) this.#onDrain();
      }
    } catch (error) {
      this.#fail(error instanceof Error ? error.message : String(error));
    }
    this.#writing = undefined;
    if (this.#held === undefined) await this.#closeFile();
  }

  #fail(reason: string): void {
    this.#failure ??= reason;
    this.#writingBytes = 0;
    this.discard();
    this.#onDrain();
  }

  async #closeFile(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    // The file has no name any more, so there is nothing that a failure could leave behind.
    await file?.close().catch(() => {});
  }

  async *#readFile(fromByte: number, reuse: boolean): AsyncGenerator<Buffer, void> {
    let before: Buffer | undefined;
    let spare: Buffer | undefined;
    for (let position = fromByte; position < this.#writtenBytes; ) {
      const file = this.#file;
      if (file === undefined) throw new Error('the spool was discarded');
      const target = spare ?? Buffer.allocUnsafeSlow(READ_BYTES);
      if (reuse) [spare, before] = [before, target];
      const { bytesRead, buffer } = await file.read(target, 0, READ_BYTES, position);
      if (bytesRead === 0) throw new Error('the spool is shorter than what was written to it');
      position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  }
}

function* skip(chunks: readonly Buffer[], bytes: number): Generator<Buffer> {
  let left = bytes;
  for (const chunk of chunks) {
    if (left < chunk.length) yield chunk.subarray(left);
    left = Math.max(0, left - chunk.length);
  }
}

async function writeAll(file: FileHandle, chunks: readonly Buffer[], position: number): Promise<void> {
  const { bytesWritten } = await file.writev(chunks, position);
  let done = bytesWritten;
  // A full disk may take a part before it says no.
  for (const rest of skip(chunks, bytesWritten)) {
    for (let at = 0; at < rest.length; ) {
      const { bytesWritten: more } = await file.write(rest, at, rest.length - at, position + done);
      at += more;
      done += more;
    }
  }
}
