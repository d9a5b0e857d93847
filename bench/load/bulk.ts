import { join } from 'node:path';
import { freePort } from '../../test/kit/ports.ts';
import { waitForPort } from '../../test/kit/process.ts';
import { HelperProcess } from './helper-process.ts';

/** `up`: client to server. */
export type Direction = 'up' | 'down';

export interface BulkTask {
  readonly port: number;
  readonly direction: Direction;
  readonly streams: number;
  /** Of each stream. */
  readonly bytes: number;
}

/** Both ends of bulk transfers, a process each. */
export class Bulk {
  readonly port: number;
  readonly #server: HelperProcess;
  readonly #client: HelperProcess;

  private constructor(components: { server: HelperProcess; client: HelperProcess }, port: number) {
    this.#server = components.server;
    this.#client = components.client;
    this.port = port;
  }

  static async start(): Promise<Bulk> {
    const port = await freePort();
    const server = new HelperProcess(join(import.meta.dirname, 'bulk-server.ts'));
    const client = new HelperProcess(join(import.meta.dirname, 'bulk-client.ts'));
    await server.ask(port);
    await waitForPort({ host: '127.0.0.1', port });
    return new Bulk({ server, client }, port);
  }

  /**
   * Moves bytes through a port until the last one has arrived.
   * @returns seconds
   * @throws Error when a stream ends before
   */
  move(task: BulkTask): Promise<number> {
    return this.#client.ask<number>(task);
  }

  async stop(): Promise<void> {
    await Promise.all([this.#client.stop(), this.#server.stop()]);
  }
}
