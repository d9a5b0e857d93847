import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const START_TIMEOUT_MS = 10_000;

/** A redis-server of the test's own: a UNIX socket in a temporary directory, nothing saved. */
export class RedisServer {
  readonly directory: string;
  readonly socketPath: string;
  readonly #extraArguments: readonly string[];
  #process: ChildProcess | undefined;

  constructor(directory: string, extraArguments: readonly string[]) {
    this.directory = directory;
    this.socketPath = join(directory, 'redis.sock');
    this.#extraArguments = extraArguments;
  }

  static async start(extraArguments: (directory: string) => readonly string[] = () => []): Promise<RedisServer> {
    const directory = await mkdtemp(join(tmpdir(), 'sekisho-redis-'));
    const server = new RedisServer(directory, extraArguments(directory));
    await server.launch();
    return server;
  }

  get url(): string {
    return `redis+unix:${this.socketPath}`;
  }

  /** Starts the process, again after {@link kill}. Resolves when the socket accepts. */
  async launch(): Promise<void> {
    const child = spawn(
      'redis-server',
      ['--save', '', '--port', '0', '--unixsocket', this.socketPath, '--dir', this.directory, ...this.#extraArguments],
      { stdio: 'ignore' },
    );
    this.#process = child;
    const deadline = performance.now() + START_TIMEOUT_MS;
    while (!(await accepts(this.socketPath))) {
      if (child.exitCode !== null || performance.now() > deadline) throw new Error('redis-server did not start');
      await sleep(10);
    }
  }

  pause(): void {
    this.#process?.kill('SIGSTOP');
  }

  resume(): void {
    this.#process?.kill('SIGCONT');
  }

  async kill(): Promise<void> {
    const child = this.#process;
    if (child === undefined) return;
    this.#process = undefined;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  async stop(): Promise<void> {
    await this.kill();
    await rm(this.directory, { recursive: true, force: true });
  }
}

function accepts(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
