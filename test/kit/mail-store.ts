import { chown, mkdir, readFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { makeTempDir } from './temp-dir.ts';

export interface MailUser {
  /** Also the name to log in with. */
  address: string;
  password: string;
}

/** Debian's nobody:nogroup, who owns the Maildirs: neither Postfix nor Dovecot delivers or reads mail as root. */
const MAIL_UID = 65_534;
const MAIL_GID = 65_534;

/** Maildirs that a Postfix delivers into and a Dovecot serves. */
export class MailStore {
  readonly path: string;
  readonly users: readonly MailUser[];
  readonly uid = MAIL_UID;
  readonly gid = MAIL_GID;
  #remove: () => Promise<void>;

  constructor(components: { path: string; remove: () => Promise<void> }, init: { users: readonly MailUser[] }) {
    this.path = components.path;
    this.#remove = components.remove;
    this.users = init.users;
  }

  /** Every message delivered for that address, read or not, as it stands in its file (lines end with LF), oldest first. */
  async messages(address: string): Promise<Buffer[]> {
    const files: { path: string; writtenAt: bigint }[] = [];
    for (const folder of ['new', 'cur']) {
      const directory = join(this.path, address, folder);
      for (const name of await readdir(directory).catch(() => [])) {
        const path = join(directory, name);
        files.push({ path, writtenAt: (await stat(path, { bigint: true })).mtimeNs });
      }
    }
    files.sort((a, b) => Number(a.writtenAt - b.writtenAt));
    return Promise.all(files.map((file) => readFile(file.path)));
  }

  /** Removes it and all mail in it; after the servers that use it have stopped. */
  remove(): Promise<void> {
    return this.#remove();
  }
}

/** Makes an empty mail store. Must run as root, because it gives the directory away. */
export async function makeMailStore(users: readonly MailUser[]): Promise<MailStore> {
  const dir = await makeTempDir('mail', 0o755);
  const path = join(dir.path, 'maildirs');
  await mkdir(path, { mode: 0o700 });
  await chown(path, MAIL_UID, MAIL_GID);
  return new MailStore({ path, remove: () => dir.remove() }, { users });
}
