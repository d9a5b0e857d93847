import { chown, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Dovecot, startDovecot } from '../kit/dovecot.ts';
import { bodyHash, textMail, type TestMail } from '../kit/mails.ts';
import { type MailStore, makeMailStore } from '../kit/mail-store.ts';
import { type Postfix, startPostfix } from '../kit/postfix.ts';
import { eicarInBody } from '../kit/virus-mails.ts';
import { MAIL } from './addresses.ts';
import type { Line } from './internet.ts';
import type { Box } from './traffic/events.ts';

const PASSWORD = 'secret';
const RECIPIENT = 'recipient@example.net';
const POP3_BOX = 'pop3@example.net';
const IMAP_BOX = 'imap@example.net';
/** Of a box that is fetched; sizes in bytes. */
const BOX_SIZES = [500, 5000, 60_000];

/** Where all mail goes and comes from: a real Postfix and a real Dovecot over the same Maildirs. */
export class MailServers {
  readonly recipient = RECIPIENT;
  readonly pop3Box: Box;
  readonly imapBox: Box;
  readonly #store: MailStore;
  readonly #postfix: Postfix;
  readonly #dovecot: Dovecot;

  private constructor(components: { store: MailStore; postfix: Postfix; dovecot: Dovecot }, init: { pop3Box: Box; imapBox: Box }) {
    this.#store = components.store;
    this.#postfix = components.postfix;
    this.#dovecot = components.dovecot;
    this.pop3Box = init.pop3Box;
    this.imapBox = init.imapBox;
  }

  static async start(line: Line): Promise<MailServers> {
    const { namespace } = line;
    const store = await makeMailStore([RECIPIENT, POP3_BOX, IMAP_BOX].map((address) => ({ address, password: PASSWORD })));
    const clean = BOX_SIZES.map((bytes, index) => textMail(1000 + index, bytes));
    const pop3Box = await fill(store, POP3_BOX, [...clean, eicarInBody(2000)]);
    const imapBox = await fill(store, IMAP_BOX, clean);
    const dovecot = await startDovecot({ store, namespace, address: `${MAIL.address}, ${MAIL.address6}` });
    const postfix = await startPostfix({ store, namespace });
    return new MailServers({ store, postfix, dovecot }, { pop3Box, imapBox });
  }

  /** Hashes of what was stored since it was asked last, which is removed by this. */
  async takeStored(): Promise<string[]> {
    const hashes: string[] = [];
    const directory = join(this.#store.path, RECIPIENT, 'new');
    for (const name of await readdir(directory).catch(() => [])) {
      const file = join(directory, name);
      hashes.push(bodyHash(await readFile(file)));
      await rm(file);
    }
    return hashes;
  }

  postfixLog(): Promise<string> {
    return this.#postfix.log();
  }

  async stop(): Promise<void> {
    await Promise.all([this.#postfix.stop(), this.#dovecot.stop()]);
    await this.#store.remove();
  }
}

async function fill(store: MailStore, address: string, mails: readonly TestMail[]): Promise<Box> {
  const box = join(store.path, address);
  const folders = [box, ...['cur', 'new', 'tmp'].map((name) => join(box, name))];
  for (const folder of folders) {
    await mkdir(folder, { mode: 0o700 });
    await chown(folder, store.uid, store.gid);
  }
  for (const [index, { raw }] of mails.entries()) {
    const file = join(box, 'cur', `${1_700_000_000 + index}.M${index}.lab:2,S`);
    await writeFile(file, raw);
    await chown(file, store.uid, store.gid);
  }
  return { user: address, password: PASSWORD, mails: mails.map(({ sha256, raw }) => ({ hash: sha256, infected: raw.includes('EICAR') })) };
}
