import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from './ports.ts';
import { runProcess, startProcess, type TestProcess } from './process.ts';
import { makeTempDir, type TempDir } from './temp-dir.ts';

export interface BindInit {
  /** An address of 127.0.0.0/8; default 127.0.0.1. */
  readonly address?: string;
  /** The zone, such as `sekisho.test`. */
  readonly zone: string;
  /** The one name that its key may change, `manager` in the zone by default. */
  readonly name?: string;
  /** What that name has from the start. */
  readonly addresses?: readonly string[];
  readonly ttlS?: number;
}

const DEPLOY = join(import.meta.dirname, '../../deploy/dns');
const KEY_NAME = 'sekisho-dns';
const READY = /all zones loaded/u;

/** A real BIND, primary of a zone with the policy of deploy/dns, and a key that may change the managers' name. Made by `startBind`. */
export class Bind {
  readonly address: string;
  readonly port: number;
  /** The file with the key, as nsupdate wants it. */
  readonly keyFile: string;
  readonly #process: TestProcess;
  readonly #dir: TempDir;

  constructor(components: { process: TestProcess; dir: TempDir }, init: { address: string; port: number; keyFile: string }) {
    this.#process = components.process;
    this.#dir = components.dir;
    this.address = init.address;
    this.port = init.port;
    this.keyFile = init.keyFile;
  }

  /** `address:port`. */
  get server(): string {
    return `${this.address}:${this.port}`;
  }

  /** What named has written to its log. */
  get log(): string {
    return this.#process.output;
  }

  async stop(): Promise<void> {
    await this.#process.stop();
    await this.#dir.remove();
  }
}

/** A new TSIG key in a file, as tsig-keygen writes it. */
export async function writeTsigKey(file: string, name = KEY_NAME): Promise<void> {
  const { code, stdout, output } = await runProcess({ command: 'tsig-keygen', args: [name] });
  if (code !== 0) throw new Error(`tsig-keygen ended with ${code}:\n${output}`);
  await writeFile(file, stdout, { mode: 0o600 });
}

/** Starts a real named with the zone's configuration of deploy/dns, for another zone and in a directory of its own. */
export async function startBind(init: BindInit): Promise<Bind> {
  const { zone, address = '127.0.0.1', ttlS = 60, addresses = [] } = init;
  const name = init.name ?? `manager.${zone}`;
  const port = await freePort(address);
  const dir = await makeTempDir('bind');
  const at = (file: string): string => join(dir.path, file);
  await writeTsigKey(at('dns.key'));
  await writeFile(at('zone'), zoneFile(zone, name, addresses, ttlS));
  await writeFile(at('named.conf'), `${options(dir.path, address, port)}\n${await deployed({ zone, name, key: at('dns.key'), file: at('zone') })}`);
  const process = await startProcess({ command: 'named', args: ['-g', '-n', '1', '-c', at('named.conf')] });
  const bind = new Bind({ process, dir }, { address, port, keyFile: at('dns.key') });
  try {
    await process.waitForOutput(READY);
    return bind;
  } catch (error) {
    await bind.stop();
    throw error;
  }
}

/** deploy/dns/named.conf.sekisho with the names and places of this one. */
async function deployed(init: { zone: string; name: string; key: string; file: string }): Promise<string> {
  const text = await readFile(join(DEPLOY, 'named.conf.sekisho'), 'utf8');
  return text
    .replaceAll('/etc/bind/sekisho-dns.key', init.key)
    .replaceAll('/var/lib/bind/example.com.zone', init.file)
    .replaceAll('manager.example.com.', `${init.name}.`)
    .replaceAll('example.com', init.zone);
}

function options(directory: string, address: string, port: number): string {
  return [
    'options {',
    `  directory "${directory}";`,
    `  listen-on port ${port} { ${address}; };`,
    '  listen-on-v6 { none; };',
    '  pid-file none;',
    `  session-keyfile "${join(directory, 'session.key')}";`,
    '  recursion no;',
    '  dnssec-validation no;',
    '  notify no;',
    '};',
    'controls { };',
    '',
  ].join('\n');
}

function zoneFile(zone: string, name: string, addresses: readonly string[], ttlS: number): string {
  const records = addresses.map((address) => `${name}. ${ttlS} IN ${address.includes(':') ? 'AAAA' : 'A'} ${address}`);
  return [`$ORIGIN ${zone}.`, `@ ${ttlS} IN SOA ns.${zone}. hostmaster.${zone}. ( 1 3600 600 86400 ${ttlS} )`, `@ 60 IN NS ns.${zone}.`, `ns 60 IN A 127.0.0.1`, ...records, ''].join('\n');
}
