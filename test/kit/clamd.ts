import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './ports.ts';
import { startProcess, waitForPort } from './process.ts';
import type { TestProcess } from './process.ts';
import { makeTempDir } from './temp-dir.ts';
import type { TempDir } from './temp-dir.ts';

export interface ClamdInit {
  /** Of clamd.conf(5), over those of this kit, which are Debian's: `{ StreamMaxLength: '1M', AlertExceedsMax: 'yes' }`. */
  settings?: Readonly<Record<string, string | number>>;
  /** Files of its database directory; default one `.ndb` with the EICAR test. */
  databases?: Readonly<Record<string, string>>;
  /** An address of 127.0.0.0/8 for a TCP listener on a free port; default none. */
  address?: string;
}

/**
 * The test string of eicar.org, a virus by agreement. In two parts, lest the scanner of a developer's machine takes this
 * file away.
 */
export const EICAR = ['X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD', '-ANTIVIRUS-TEST-FILE!$H+H*'].join('');

/** What it says of the EICAR test: clamd puts the word behind the name of any signature that is not its makers'. */
export const EICAR_SIGNATURE = 'Eicar-Test-Signature.UNOFFICIAL';

const CLAMD = '/usr/sbin/clamd';
const EICAR_DATABASES = { 'eicar.ndb': `Eicar-Test-Signature:0:*:${Buffer.from(EICAR).toString('hex')}\n` };
const COMMAND_TIMEOUT_MS = 5000;
const POLL_MS = 5;
const ASKS_PER_RELOAD = 40;

/** A private instance of Debian's clamd, with local signatures only. Made by `startClamd`. */
export class Clamd {
  readonly socketPath: string;
  readonly #dir: TempDir;
  readonly #tcp: { host: string; port: number } | undefined;
  #server: TestProcess | undefined;

  constructor(dir: TempDir, tcp: { host: string; port: number } | undefined) {
    this.#dir = dir;
    this.#tcp = tcp;
    this.socketPath = join(dir.path, 'clamd.sock');
  }

  /** Of the process that runs, or ran last. */
  get pid(): number | undefined {
    return this.#server?.pid;
  }

  /** As `relay.inspect.clamd` has it. */
  get address(): string {
    return `unix:${this.socketPath}`;
  }

  /** The same of its port. @throws when none was asked for */
  get tcpAddress(): string {
    if (this.#tcp === undefined) throw new Error('this clamd has no port; give startClamd an address');
    return `tcp:${this.#tcp.host}:${this.#tcp.port}`;
  }

  /** Starts it again, at the same addresses; nothing when it runs. */
  async restart(): Promise<void> {
    if (this.#server?.running === true) return;
    const server = await startProcess({ command: CLAMD, args: ['-c', join(this.#dir.path, 'clamd.conf')] });
    this.#server = server;
    const listens = [waitForPort({ path: this.socketPath })];
    if (this.#tcp !== undefined) listens.push(waitForPort(this.#tcp));
    await Promise.race([Promise.all(listens), this.#failsWhenItEnds(server)]);
  }

  /** It stops dead with all connections open (SIGSTOP): new ones are accepted by the kernel, nothing is answered. */
  pause(): void {
    this.#server?.kill('SIGSTOP');
  }

  /** Ends `pause()`. */
  resume(): void {
    this.#server?.kill('SIGCONT');
  }

  /** Writes another database, or the same one again, and resolves when clamd has taken it. It answers meanwhile. */
  async reload(databases: Readonly<Record<string, string>> = {}): Promise<void> {
    await writeFiles(join(this.#dir.path, 'db'), databases);
    const before = await this.#reloads();
    const deadline = performance.now() + COMMAND_TIMEOUT_MS;
    // Ordered again and again: an order that comes while clamd finishes the reload before is answered and forgotten.
    for (let asked = 0; (await this.#reloads()) === before; asked += 1) {
      if (performance.now() > deadline) throw new Error(`clamd did not reload:\n${await this.log()}`);
      // Any connection makes it look for the order.
      await this.#command(asked % ASKS_PER_RELOAD === 0 ? 'RELOAD' : 'PING');
      await sleep(POLL_MS);
    }
  }

  /** What it logged so far. */
  async log(): Promise<string> {
    return readFile(join(this.#dir.path, 'log'), 'utf8').catch(() => '');
  }

  /** SIGKILL; resolves when it is gone. Its socket file stays. */
  async kill(): Promise<void> {
    this.#server?.kill('SIGKILL');
    await this.#server?.exited;
  }

  async stop(): Promise<void> {
    // Asked politely it waits for its threads; there is nothing to save.
    await this.kill();
    await this.#dir.remove();
  }

  async #reloads(): Promise<number> {
    return (await this.log()).split('Activating the newly loaded database').length;
  }

  async #failsWhenItEnds(server: TestProcess): Promise<never> {
    const { code, signal } = await server.exited;
    throw new Error(`clamd ended with ${String(code ?? signal)}:\n${server.output}${await this.log()}`);
  }

  #command(line: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = connect(this.socketPath);
      let answer = '';
      socket.setTimeout(COMMAND_TIMEOUT_MS, () => socket.destroy(new Error(`clamd did not answer ${line}`)));
      socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
      socket.once('end', () => resolve(answer));
      socket.once('error', reject);
      socket.write(`n${line}\n`);
    });
  }
}

/** False where clamav-daemon is not installed. */
export function hasClamd(): boolean {
  return existsSync(CLAMD);
}

/** Starts a real clamd in a directory of its own, as whoever runs the tests. It asks nobody for signatures. */
export async function startClamd(init: ClamdInit = {}): Promise<Clamd> {
  const { address } = init;
  const dir = await makeTempDir('clamd');
  const tcp = address === undefined ? undefined : { host: address, port: await freePort(address) };
  const clamd = new Clamd(dir, tcp);
  try {
    await mkdir(join(dir.path, 'db'));
    await mkdir(join(dir.path, 'tmp'));
    await writeFiles(join(dir.path, 'db'), init.databases ?? EICAR_DATABASES);
    await writeFile(join(dir.path, 'clamd.conf'), clamdConf(dir.path, clamd.socketPath, tcp, init.settings ?? {}));
    await clamd.restart();
    return clamd;
  } catch (error) {
    await clamd.stop();
    throw error;
  }
}

async function writeFiles(directory: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text);
}

/** The limits are those that Debian's package writes; without a User it stays who it is. */
function clamdConf(
  path: string,
  socketPath: string,
  tcp: { host: string; port: number } | undefined,
  settings: Readonly<Record<string, string | number>>,
): string {
  const all = {
    Foreground: 'yes',
    LocalSocket: socketPath,
    ...(tcp === undefined ? {} : { TCPSocket: tcp.port, TCPAddr: tcp.host }),
    DatabaseDirectory: `${path}/db`,
    TemporaryDirectory: `${path}/tmp`,
    LogFile: `${path}/log`,
    LogFileMaxSize: 0,
    SelfCheck: 0,
    MaxThreads: 12,
    StreamMaxLength: '25M',
    MaxFileSize: '25M',
    MaxScanSize: '100M',
    ReadTimeout: 180,
    CommandReadTimeout: 30,
    ...settings,
  };
  return Object.entries(all)
    .map(([name, value]) => `${name} ${value}\n`)
    .join('');
}
