import { chown, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { MailStore } from '../../kit/mail-store.ts';

/** Some second of 2023: the names of a Maildir begin with one, and Dovecot numbers messages by their names. */
const FIRST_SECOND = 1_700_000_000;

/** Puts messages into a user's Maildir as a delivery agent does, with LF. They are numbers 1, 2, 3 of its POP3 mailbox. */
export async function dropIntoMaildir(store: MailStore, address: string, raws: readonly Buffer[]): Promise<void> {
  const maildir = join(store.path, address);
  for (const folder of ['', 'new', 'cur', 'tmp']) {
    await mkdir(join(maildir, folder), { recursive: true, mode: 0o700 });
    await chown(join(maildir, folder), store.uid, store.gid);
  }
  for (const [index, raw] of raws.entries()) {
    const path = join(maildir, 'new', `${FIRST_SECOND + index}.M0P1.test`);
    await writeFile(path, Buffer.from(raw.toString('latin1').replaceAll('\r\n', '\n'), 'latin1'), { mode: 0o600 });
    await chown(path, store.uid, store.gid);
  }
}
