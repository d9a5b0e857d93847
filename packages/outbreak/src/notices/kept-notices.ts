import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** After so long it is looked again whether the operator has removed kept notices. */
const RESCAN_MS = 1000;

const NAME = /^[\w-]{43}\.eml$/u;
const UNFINISHED = '.tmp';

export interface KeptNoticesInit {
  readonly directory: string;
  readonly maxFiles: number;
  readonly maxBytes: number;
}

/**
 * Notices that no pattern fits, each in a file, until the operator has looked at them. One that was kept is on the disk, and
 * one that comes again is the same file.
 */
export class KeptNotices {
  readonly #init: KeptNoticesInit;
  readonly #now: () => number;
  #sizes = new Map<string, number>();
  /** Being written now; a look at the directory may not see them. */
  readonly #unfinished = new Map<string, number>();
  #scannedAt: number;

  private constructor(init: KeptNoticesInit, now: () => number) {
    this.#init = init;
    this.#now = now;
    this.#scannedAt = now();
  }

  /** Makes the directory, and removes what a killed process has not finished. Rejects with the operating system's error. */
  static async open(components: { readonly now: () => number }, init: KeptNoticesInit): Promise<KeptNotices> {
    await mkdir(init.directory, { recursive: true, mode: 0o700 });
    const names = await readdir(init.directory);
    await Promise.all(names.filter((name) => name.endsWith(UNFINISHED)).map((name) => rm(join(init.directory, name), { force: true })));
    const kept = new KeptNotices(init, components.now);
    await kept.rescan();
    return kept;
  }

  get count(): number {
    return this.#sizes.size;
  }

  /**
   * Keeps a notice; resolves with its file once that is on the disk, or with undefined when there is no room. Rejects with
   * the operating system's error.
   * @param key as from noticeKey: two notices with one key are one
   */
  async keep(key: string, content: Buffer): Promise<string | undefined> {
    const name = `${key}.eml`;
    if (!this.#fits(name, content.length) && Math.abs(this.#now() - this.#scannedAt) >= RESCAN_MS) await this.rescan();
    // Nothing is awaited from here to the reservation: two that come at once do not share one place.
    if (!this.#fits(name, content.length)) return undefined;
    this.#unfinished.set(name, content.length);
    try {
      await writeWhole(this.#init.directory, name, content);
      this.#sizes.set(name, content.length);
    } finally {
      this.#unfinished.delete(name);
    }
    return join(this.#init.directory, name);
  }

  /** Looks what is in the directory: the operator removes what is done with. */
  async rescan(): Promise<void> {
    this.#scannedAt = this.#now();
    const names = (await readdir(this.#init.directory)).filter((name) => NAME.test(name));
    const sizes = new Map<string, number>();
    for (const name of names) sizes.set(name, await sizeOf(join(this.#init.directory, name)));
    this.#sizes = sizes;
  }

  #fits(name: string, bytes: number): boolean {
    const all = new Map([...this.#sizes, ...this.#unfinished]);
    all.set(name, bytes);
    let total = 0;
    for (const size of all.values()) total += size;
    return all.size <= this.#init.maxFiles && total <= this.#init.maxBytes;
  }
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch {
    // Removed just now.
    return 0;
  }
}

/** Whole or not at all, and on the disk when this resolves. */
async function writeWhole(directory: string, name: string, content: Buffer): Promise<void> {
  const temporary = join(directory, `.${randomBytes(8).toString('hex')}${UNFINISHED}`);
  try {
    const file = await open(temporary, 'wx', 0o600);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, join(directory, name));
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  // The name is on the disk only when its directory is.
  const folder = await open(directory, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
