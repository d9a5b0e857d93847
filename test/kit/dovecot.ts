import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { MailStore } from './mail-store.ts';
import type { Namespace } from './netns.ts';
import { freePort } from './ports.ts';
import { startProcess, waitForPort } from './process.ts';
import type { TestProcess } from './process.ts';
import { makeTempDir } from './temp-dir.ts';
import type { TempDir } from './temp-dir.ts';
import { destinationTls } from './tls.ts';

export interface DovecotInit {
  /** What it serves, to the users of the store. */
  store: MailStore;
  /** An address of 127.0.0.0/8, or of the namespace, or several, comma-separated; default 127.0.0.1. */
  address?: string;
  /** Offer `saslSocket` to a Postfix; default false. It needs the user postfix. */
  sasl?: boolean;
  /** Where it runs, at the usual ports; default here, at free ones. */
  namespace?: Namespace;
}

interface DovecotPorts {
  pop3: number;
  pop3s: number;
  imap: number;
  imaps: number;
}

const USUAL_PORTS: DovecotPorts = { pop3: 110, pop3s: 995, imap: 143, imaps: 993 };
const DOVECOT = '/usr/sbin/dovecot';
/**
 * Its master takes a second to notice that its children have ended, and longer when stopped right after its start. There
 * is nothing to save: Maildirs are whole at any moment, and the rest is thrown away.
 */
const STOP_GRACE_MS = 300;

/** A private instance of Debian's Dovecot (2.3). Made by `startDovecot`. */
export class Dovecot {
  readonly address: string;
  /** Plain, with STLS offered; passwords are taken without TLS too. */
  readonly pop3Port: number;
  readonly pop3sPort: number;
  /** Plain, with STARTTLS offered; passwords are taken without TLS too. */
  readonly imapPort: number;
  readonly imapsPort: number;
  /** For `PostfixInit.saslSocket`; there only when `sasl` was asked for. */
  readonly saslSocket: string;
  #master: TestProcess;
  #dir: TempDir;

  constructor(components: { master: TestProcess; dir: TempDir }, init: { address: string; ports: DovecotPorts }) {
    this.#master = components.master;
    this.#dir = components.dir;
    this.address = init.address;
    this.pop3Port = init.ports.pop3;
    this.pop3sPort = init.ports.pop3s;
    this.imapPort = init.ports.imap;
    this.imapsPort = init.ports.imaps;
    this.saslSocket = join(components.dir.path, 'run', 'auth-smtp');
  }

  /** What it logged so far. */
  async log(): Promise<string> {
    return readFile(join(this.#dir.path, 'log'), 'utf8').catch(() => '');
  }

  async stop(): Promise<void> {
    await this.#master.stop(STOP_GRACE_MS);
    await this.#dir.remove();
  }
}

/**
 * Starts a real Dovecot with all it writes in a directory of its own; /etc/dovecot is not read. Its master process must
 * run as root; logins are handled as dovenull, mail as nobody.
 */
export async function startDovecot(init: DovecotInit): Promise<Dovecot> {
  const address = init.address ?? '127.0.0.1';
  const ports = init.namespace === undefined ? await freePorts(address) : USUAL_PORTS;
  const dir = await makeTempDir('dovecot', 0o755);
  try {
    const config = join(dir.path, 'dovecot.conf');
    await writeFile(config, configuration(dir.path, address, ports, init));
    const users = init.store.users.map((user) => `${user.address}:{PLAIN}${user.password}::::::\n`);
    await writeFile(join(dir.path, 'users'), users.join(''), { mode: 0o644 });
    await mkdir(join(dir.path, 'run'), { mode: 0o755 });
    const { namespace } = init;
    const command = { command: DOVECOT, args: ['-F', '-c', config], ownGroup: true };
    const master = await startProcess(namespace?.inside(command) ?? command);
    const ready = Promise.all(
      Object.values(ports).map((port) => namespace?.waitForListener(master, port) ?? waitForPort({ host: address, port })),
    );
    await Promise.race([ready, failsWhenItEnds(master, dir.path)]);
    return new Dovecot({ master, dir }, { address, ports });
  } catch (error) {
    await dir.remove();
    throw error;
  }
}

async function freePorts(address: string): Promise<DovecotPorts> {
  const [pop3, pop3s, imap, imaps] = await Promise.all([1, 2, 3, 4].map(() => freePort(address)));
  if (pop3 === undefined || pop3s === undefined || imap === undefined || imaps === undefined) throw new Error('no ports');
  return { pop3, pop3s, imap, imaps };
}

async function failsWhenItEnds(master: TestProcess, path: string): Promise<never> {
  const { code, signal } = await master.exited;
  const log = await readFile(join(path, 'log'), 'utf8').catch(() => '');
  throw new Error(`Dovecot ended with ${String(code ?? signal)}:\n${master.output}${log}`);
}

function configuration(path: string, address: string, ports: DovecotPorts, init: DovecotInit): string {
  const { certPath, keyPath } = destinationTls();
  const { store } = init;
  const sasl = '  unix_listener auth-smtp {\n    mode = 0660\n    user = postfix\n  }\n';
  return `
base_dir = ${path}/run
state_dir = ${path}/state
log_path = ${path}/log
protocols = pop3 imap
listen = ${address}
ssl = yes
ssl_cert = <${certPath}
ssl_key = <${keyPath}
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
mail_max_userip_connections = 0
passdb {
  driver = passwd-file
  args = ${path}/users
}
userdb {
  driver = static
  args = uid=${store.uid} gid=${store.gid} home=${store.path}/%u
}
mail_location = maildir:${store.path}/%u
first_valid_gid = 1
mail_fsync = never
service pop3-login {
${listener('pop3', ports.pop3, false)}${listener('pop3s', ports.pop3s, true)}}
service imap-login {
${listener('imap', ports.imap, false)}${listener('imaps', ports.imaps, true)}}
service auth {
${init.sasl === true ? sasl : ''}}
# No growing delay after wrong passwords: all clients of a test come from one address.
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
`;
}

function listener(name: string, port: number, tls: boolean): string {
  return `  inet_listener ${name} {\n    port = ${port}\n    ssl = ${tls ? 'yes' : 'no'}\n  }\n`;
}
