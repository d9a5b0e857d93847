import { connect } from 'node:net';
import { join } from 'node:path';
import { freePort } from './ports.ts';
import { startProcess, waitForPort } from './process.ts';
import type { TestProcess } from './process.ts';
import { makeTempDir } from './temp-dir.ts';
import type { TempDir } from './temp-dir.ts';

export interface RedisInit {
  /** An address of 127.0.0.0/8; default 127.0.0.1. */
  address?: string;
}

const COMMAND_TIMEOUT_MS = 5000;

/** A real redis-server that keeps everything in memory. Made by `startRedis`. */
export class Redis {
  readonly address: string;
  readonly port: number;
  readonly socketPath: string;
  #server: TestProcess | undefined;
  #dir: TempDir;

  constructor(dir: TempDir, init: { address: string; port: number }) {
    this.#dir = dir;
    this.address = init.address;
    this.port = init.port;
    this.socketPath = join(dir.path, 'redis.sock');
  }

  get url(): string {
    return `redis://${this.address}:${this.port}`;
  }

  /** Starts it again, empty, on the same port and socket; nothing when it runs. */
  async restart(): Promise<void> {
    if (this.#server?.running === true) return;
    const args = ['--bind', this.address, '--port', String(this.port), '--unixsocket', this.socketPath];
    const memoryOnly = ['--dir', this.#dir.path, '--save', '', '--appendonly', 'no', '--daemonize', 'no'];
    const server = await startProcess({ command: 'redis-server', args: [...args, ...memoryOnly] });
    this.#server = server;
    await server.waitForOutput(/ready to accept connections at/);
    await waitForPort({ host: this.address, port: this.port });
  }

  /** It stops dead with all connections open (SIGSTOP): commands get no answer, new connections are accepted. */
  pause(): void {
    this.#server?.kill('SIGSTOP');
  }

  /** Ends `pause()`; what was sent meanwhile is answered. */
  resume(): void {
    this.#server?.kill('SIGCONT');
  }

  /** Forgets all data. */
  async flush(): Promise<void> {
    const answer = await this.#command('FLUSHALL');
    if (answer !== '+OK\r\n') throw new Error(`redis answered ${answer}`);
  }

  /** SIGKILL; resolves when it is gone. */
  async kill(): Promise<void> {
    this.#server?.kill('SIGKILL');
    await this.#server?.exited;
  }

  async stop(): Promise<void> {
    await this.#server?.stop();
    await this.#dir.remove();
  }

  /** An inline command, answered in one line. */
  #command(line: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = connect(this.port, this.address);
      socket.setTimeout(COMMAND_TIMEOUT_MS, () => socket.destroy(new Error(`redis did not answer ${line}`)));
      socket.once('data', (answer: Buffer) => {
        resolve(answer.toString());
        socket.destroy();
      });
      socket.once('error', reject);
      socket.write(`${line}\r\n`);
    });
  }
}

export async function startRedis(init: RedisInit = {}): Promise<Redis> {
  const address = init.address ?? '127.0.0.1';
  const dir = await makeTempDir('redis');
  const redis = new Redis(dir, { address, port: await freePort(address) });
  try {
    await redis.restart();
    return redis;
  } catch (error) {
    await redis.stop();
    throw error;
  }
}
