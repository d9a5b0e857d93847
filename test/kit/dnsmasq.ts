import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Namespace } from './netns.ts';
import { freePort } from './ports.ts';
import { startProcess } from './process.ts';
import type { TestProcess } from './process.ts';
import { makeTempDir } from './temp-dir.ts';
import type { TempDir } from './temp-dir.ts';

export interface DnsmasqInit {
  /** An address of 127.0.0.0/8; default 127.0.0.1. */
  address?: string;
  /** Names below `test`, each with its A and AAAA addresses. */
  zone?: Readonly<Record<string, readonly string[]>>;
  /** Of every answer; default 60 s. It can't change while it runs. */
  ttlS?: number;
  /** Where it runs, at port 53 of the address; default here, at a free port. */
  namespace?: Namespace;
}

const RELOAD_TIMEOUT_MS = 5000;
const DNS_PORT = 53;

/** A real dnsmasq that knows the names it was given and asks nobody else. Made by `startDnsmasq`. */
export class Dnsmasq {
  readonly address: string;
  readonly port: number;
  #process: TestProcess;
  #dir: TempDir;
  #zone: Map<string, readonly string[]>;

  constructor(
    components: { process: TestProcess; dir: TempDir },
    init: { address: string; port: number; zone: Readonly<Record<string, readonly string[]>> },
  ) {
    this.#process = components.process;
    this.#dir = components.dir;
    this.address = init.address;
    this.port = init.port;
    this.#zone = new Map(Object.entries(init.zone));
  }

  /** `address:port`, as `dns.setServers()` and `dns.servers` of the configuration want it. */
  get server(): string {
    return `${this.address}:${this.port}`;
  }

  /** Replaces the addresses of a name and reloads (SIGHUP); without addresses the name is gone. */
  async set(name: string, addresses: readonly string[]): Promise<void> {
    if (addresses.length === 0) this.#zone.delete(name);
    else this.#zone.set(name, addresses);
    await writeFile(join(this.#dir.path, 'hosts'), hostsFile(this.#zone));
    const before = timesRead(this.#process);
    this.#process.kill('SIGHUP');
    const deadline = performance.now() + RELOAD_TIMEOUT_MS;
    while (timesRead(this.#process) === before) {
      if (performance.now() > deadline) throw new Error(`dnsmasq did not reload:\n${this.#process.output}`);
      await sleep(5);
    }
  }

  /** It stops dead (SIGSTOP): queries get no answer. */
  pause(): void {
    this.#process.kill('SIGSTOP');
  }

  /** Ends `pause()`; what was asked meanwhile is answered. */
  resume(): void {
    this.#process.kill('SIGCONT');
  }

  async stop(): Promise<void> {
    await this.#process.stop();
    await this.#dir.remove();
  }
}

/** Starts a real dnsmasq, with no configuration but the zone given; its order of answers rotates. */
export async function startDnsmasq(init: DnsmasqInit = {}): Promise<Dnsmasq> {
  const address = init.address ?? '127.0.0.1';
  const port = init.namespace === undefined ? await freePort(address) : DNS_PORT;
  const zone = init.zone ?? {};
  // It gives up root after its start and must still read the hosts file.
  const dir = await makeTempDir('dnsmasq', 0o755);
  await writeFile(join(dir.path, 'hosts'), hostsFile(new Map(Object.entries(zone))));
  const command = {
    command: 'dnsmasq',
    args: [
      '--keep-in-foreground',
      '--conf-file=/dev/null',
      '--log-facility=-',
      '--pid-file=',
      '--no-resolv',
      '--no-hosts',
      '--bind-interfaces',
      '--local=/test/',
      `--listen-address=${address}`,
      `--port=${port}`,
      `--local-ttl=${init.ttlS ?? 60}`,
      `--addn-hosts=${join(dir.path, 'hosts')}`,
    ],
  };
  const process = await startProcess(init.namespace?.inside(command) ?? command);
  const dnsmasq = new Dnsmasq({ process, dir }, { address, port, zone });
  try {
    await process.waitForOutput(/read .*hosts - /);
    return dnsmasq;
  } catch (error) {
    await dnsmasq.stop();
    throw error;
  }
}

function hostsFile(zone: ReadonlyMap<string, readonly string[]>): string {
  return [...zone].flatMap(([name, addresses]) => addresses.map((address) => `${address} ${name}\n`)).join('');
}

function timesRead(process: TestProcess): number {
  return process.output.match(/read .*hosts - /g)?.length ?? 0;
}
