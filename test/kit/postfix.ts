import { chmod, chown, mkdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { MailStore } from './mail-store.ts';
import type { Namespace } from './netns.ts';
import { freePort } from './ports.ts';
import { startProcess, waitForPort } from './process.ts';
import type { TestProcess } from './process.ts';
import { systemGroup, systemUser } from './system-user.ts';
import { makeTempDir } from './temp-dir.ts';
import type { TempDir } from './temp-dir.ts';
import { destinationTls } from './tls.ts';

export interface PostfixInit {
  /** Where it delivers; its users are the only recipients that exist. */
  store: MailStore;
  /** An address of 127.0.0.0/8; default 127.0.0.1. */
  address?: string;
  /** For SMTP; default a free one. */
  port?: number;
  /** Dovecot's socket for AUTH (`Dovecot.saslSocket`); without it AUTH is not offered. */
  saslSocket?: string;
  /** Refuse recipients before AUTH; default false. */
  requireAuth?: boolean;
  /** What Postfix does with lines that end in a bare LF; `no` lets them in, as Debian 12 does; default its own. */
  forbidBareNewline?: 'yes' | 'no' | 'normalize' | 'reject';
  /** Listeners that expect a PROXY v1/v2 header from everybody; default false. */
  proxyProtocol?: boolean;
  /** Where it runs, at the usual ports of all its addresses, submission included; default here, at free ones. */
  namespace?: Namespace;
}

const DAEMONS = '/usr/lib/postfix/sbin';
const MESSAGE_SIZE_LIMIT = 64 * 1024 * 1024;
const QUEUE_FOLDERS = ['active', 'bounce', 'corrupt', 'defer', 'deferred', 'flush', 'hold', 'incoming', 'private', 'saved', 'trace'];

/** A private instance of Debian's Postfix. Made by `startPostfix`. */
export class Postfix {
  readonly address: string;
  /** SMTP with STARTTLS offered. */
  readonly port: number;
  /** SMTP inside TLS from the first byte. */
  readonly smtpsPort: number;
  #master: TestProcess;
  #dir: TempDir;

  constructor(components: { master: TestProcess; dir: TempDir }, init: { address: string; ports: PostfixPorts }) {
    this.#master = components.master;
    this.#dir = components.dir;
    this.address = init.address;
    this.port = init.ports.smtp;
    this.smtpsPort = init.ports.smtps;
  }

  /** What it logged so far. */
  async log(): Promise<string> {
    return readFile(join(this.#dir.path, 'log'), 'utf8').catch(() => '');
  }

  async stop(): Promise<void> {
    await this.#master.stop();
    await this.#dir.remove();
  }
}

interface PostfixPorts {
  smtp: number;
  smtps: number;
  submission?: number;
}

const USUAL_PORTS: PostfixPorts = { smtp: 25, smtps: 465, submission: 587 };

/**
 * Starts a real Postfix with configuration, queue and data in a directory of its own; neither /etc/postfix nor
 * /var/spool/postfix is touched. It has no SMTP client, so that no mail and no bounce leaves the machine, rewrites no
 * header, and delivers with virtual(8) into the Maildirs of the store, which keeps lines of any length. Its master
 * process must run as root; what talks to the network runs as the user postfix, unchrooted.
 */
export async function startPostfix(init: PostfixInit): Promise<Postfix> {
  const address = init.address ?? '127.0.0.1';
  const { namespace } = init;
  const ports = namespace === undefined ? { smtp: init.port ?? (await freePort(address)), smtps: await freePort(address) } : USUAL_PORTS;
  const dir = await makeTempDir('postfix', 0o755);
  try {
    await writeConfiguration(dir.path, address, ports, init);
    await makeQueue(dir.path);
    const command = { command: join(DAEMONS, 'master'), args: ['-c', join(dir.path, 'etc'), '-s'], ownGroup: true };
    const master = await startProcess(namespace?.inside(command) ?? command);
    const listening = namespace?.waitForListener(master, ports.smtps) ?? waitForPort({ host: address, port: ports.smtps });
    await Promise.race([listening, failsWhenItEnds(master, dir.path)]);
    return new Postfix({ master, dir }, { address, ports });
  } catch (error) {
    await dir.remove();
    throw error;
  }
}

async function failsWhenItEnds(master: TestProcess, path: string): Promise<never> {
  const { code, signal } = await master.exited;
  const log = await readFile(join(path, 'log'), 'utf8').catch(() => '');
  throw new Error(`Postfix ended with ${String(code ?? signal)}:\n${master.output}${log}`);
}

async function makeQueue(path: string): Promise<void> {
  const postfix = await systemUser('postfix');
  const postdrop = await systemGroup('postdrop');
  const queue = join(path, 'queue');
  await mkdir(queue, { mode: 0o755 });
  await mkdir(join(queue, 'pid'), { mode: 0o755 });
  for (const folder of QUEUE_FOLDERS) await makeOwned(join(queue, folder), postfix.uid, postfix.gid, 0o700);
  await makeOwned(join(queue, 'public'), postfix.uid, postdrop, 0o2710);
  await makeOwned(join(queue, 'maildrop'), postfix.uid, postdrop, 0o1730);
  await makeOwned(join(path, 'data'), postfix.uid, postfix.gid, 0o700);
}

async function makeOwned(path: string, uid: number, gid: number, mode: number): Promise<void> {
  await mkdir(path);
  await chown(path, uid, gid);
  await chmod(path, mode);
}

async function writeConfiguration(path: string, address: string, ports: PostfixPorts, init: PostfixInit): Promise<void> {
  const { cert, key } = destinationTls();
  const etc = join(path, 'etc');
  await mkdir(etc, { mode: 0o755 });
  await writeFile(join(etc, 'tls.pem'), `${key}${cert}`, { mode: 0o600 });
  const boxes = init.store.users.map((user) => `${user.address} ${user.address}/\n`);
  await writeAged(join(etc, 'boxes'), boxes.join(''));
  await writeAged(join(etc, 'main.cf'), mainCf(path, init));
  await writeAged(join(etc, 'master.cf'), masterCf(init.namespace === undefined ? `${address}:` : '', ports));
}

/** Postfix waits until a file it reads is two seconds old, lest somebody still writes: this one is old from the start. */
async function writeAged(path: string, text: string): Promise<void> {
  await writeFile(path, text);
  const past = new Date(Date.now() - 60_000);
  await utimes(path, past, past);
}

function mainCf(path: string, init: PostfixInit): string {
  const domains = new Set(init.store.users.map((user) => user.address.split('@')[1] ?? ''));
  const settings: Record<string, string> = {
    compatibility_level: '3.6',
    queue_directory: `${path}/queue`,
    data_directory: `${path}/data`,
    command_directory: '/usr/sbin',
    daemon_directory: DAEMONS,
    maillog_file: `${path}/log`,
    maillog_file_prefixes: path,
    myhostname: 'mail.example.com',
    mydestination: '',
    // No way out: whatever is not in the store is refused, a bounce included.
    default_transport: 'error:this test server sends nothing',
    relay_transport: 'error:this test server sends nothing',
    smtpd_relay_restrictions: 'reject_unauth_destination',
    smtpd_recipient_restrictions: init.requireAuth === true ? 'permit_sasl_authenticated, reject' : 'permit',
    virtual_mailbox_domains: [...domains].join(' '),
    virtual_mailbox_base: init.store.path,
    virtual_mailbox_maps: `texthash:${path}/etc/boxes`,
    virtual_uid_maps: `static:${init.store.uid}`,
    virtual_gid_maps: `static:${init.store.gid}`,
    virtual_mailbox_limit: '0',
    alias_maps: '',
    local_recipient_maps: '',
    message_size_limit: String(MESSAGE_SIZE_LIMIT),
    // By default mail from this machine is given the headers it lacks, and a domain to bare names.
    local_header_rewrite_clients: '',
    smtpd_tls_security_level: 'may',
    smtpd_tls_chain_files: `${path}/etc/tls.pem`,
    smtpd_tls_loglevel: '1',
    smtpd_sasl_auth_enable: init.saslSocket === undefined ? 'no' : 'yes',
    smtpd_peername_lookup: 'no',
    smtpd_client_connection_count_limit: '0',
    smtpd_error_sleep_time: '0',
    in_flow_delay: '0',
    fast_flush_domains: '',
    biff: 'no',
  };
  if (init.saslSocket !== undefined) {
    settings['smtpd_sasl_type'] = 'dovecot';
    settings['smtpd_sasl_path'] = init.saslSocket;
  }
  if (init.forbidBareNewline !== undefined) settings['smtpd_forbid_bare_newline'] = init.forbidBareNewline;
  if (init.forbidBareNewline !== undefined) settings['smtpd_forbid_bare_newline_exclusions'] = '';
  if (init.proxyProtocol === true) settings['smtpd_upstream_proxy_protocol'] = 'haproxy';
  return Object.entries(settings)
    .map(([name, value]) => `${name} = ${value}\n`)
    .join('');
}

/** Each row: service, type, private, unprivileged, chroot, wakeup, process limit, command. */
function masterCf(host: string, ports: PostfixPorts): string {
  return [
    `${host}${ports.smtp} inet n - n - - smtpd`,
    ...(ports.submission === undefined ? [] : [`${host}${ports.submission} inet n - n - - smtpd`]),
    `${host}${ports.smtps} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes`,
    'cleanup unix n - n - 0 cleanup',
    'qmgr unix n - n 300 1 qmgr',
    'tlsmgr unix - - n 1000? 1 tlsmgr',
    'rewrite unix - - n - - trivial-rewrite',
    'bounce unix - - n - 0 bounce',
    'defer unix - - n - 0 bounce',
    'trace unix - - n - 0 bounce',
    'proxymap unix - - n - - proxymap',
    'error unix - - n - - error',
    'retry unix - - n - - error',
    'virtual unix - n n - - virtual',
    'anvil unix - - n - 1 anvil',
    'postlog unix-dgram n - n - 1 postlogd',
    '',
  ].join('\n');
}
