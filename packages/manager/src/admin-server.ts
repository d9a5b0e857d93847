import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { lstat, unlink } from 'node:fs/promises';
import type { Logger } from '@sekisho/telemetry';
import { ADMIN_ERRORS, AdminError } from './admin-error.ts';
import type { TableOrder, TableOrders } from './table-orders.ts';

export interface AdminServerComponents {
  readonly log: Logger;
  readonly orders: TableOrders;
  status(): object;
}

/** An order has about 100 bytes. */
const MAX_BODY_BYTES = 4096;
const MAX_HEADER_BYTES = 8192;
const REQUEST_TIMEOUT_MS = 5000;
const MAX_CONNECTIONS = 16;
const OTHERS_MAY_NOTHING = 0o177;

/**
 * The administration of a manager: HTTP over a UNIX socket that only its owner can open, so that the file system says
 * who may. `GET /status`, `POST /table/{drain,undrain,weight}`.
 */
export class AdminServer {
  readonly #components: AdminServerComponents;
  readonly #server: Server;

  constructor(components: AdminServerComponents) {
    this.#components = components;
    this.#server = createServer(
      { maxHeaderSize: MAX_HEADER_BYTES, requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS },
      (request, response) => void this.#answer(request, response),
    );
    this.#server.maxConnections = MAX_CONNECTIONS;
  }

  /**
   * Opens the socket; one that a dead process left behind is replaced. Rejects with the operating system's error,
   * EADDRINUSE when somebody answers there.
   */
  async listen(path: string): Promise<void> {
    if (await isStale(path)) await unlink(path);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once('error', reject);
    // The socket is bound within listen(): there is no moment in which others could open it.
    const before = process.umask(OTHERS_MAY_NOTHING);
    this.#server.listen(path, resolve);
    process.umask(before);
    await promise;
    this.#server.off('error', reject);
    this.#server.on('error', (error) =>
      this.#components.log.error({ event: 'admin_failed', reason: error.message }, 'the socket for administration failed'),
    );
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      send(response, 200, await this.#route(request));
    } catch (error) {
      if (!(error instanceof AdminError))
        this.#components.log.error({ event: 'admin_failed', err: error }, 'a request for administration failed');
      const { code, message } =
        error instanceof AdminError ? error : new AdminError('INTERNAL', 'the manager made a mistake; its log says which');
      send(response, ADMIN_ERRORS[code], { error: code, message });
    }
  }

  async #route(request: IncomingMessage): Promise<object> {
    if (request.method === 'GET' && request.url === '/status') return this.#components.status();
    const kind = /^\/table\/(drain|undrain|weight)$/u.exec(request.url ?? '')?.[1];
    if (request.method !== 'POST' || kind === undefined)
      throw new AdminError('NOT_FOUND', 'there are GET /status and POST /table/drain, /table/undrain and /table/weight');
    const order = readOrder(kind, await readJson(request));
    return { site: order.site, relay: order.relay, override: await this.#components.orders.carryOut(order) };
  }
}

function send(response: ServerResponse, status: number, body: object): void {
  if (response.destroyed) return;
  response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(body)}\n`);
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request) {
    const bytes = chunk as Buffer;
    length += bytes.length;
    if (length > MAX_BODY_BYTES) throw new AdminError('BAD_REQUEST', `a request has at most ${MAX_BODY_BYTES} bytes`);
    chunks.push(bytes);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString());
  } catch {
    throw new AdminError('BAD_REQUEST', 'the request is not JSON');
  }
}

function readOrder(kind: string, body: unknown): TableOrder {
  if (typeof body !== 'object' || body === null) throw new AdminError('BAD_REQUEST', 'the request is not an object');
  const { site, relay, by, confirm, dryRun, weight } = body as Record<string, unknown>;
  if (typeof site !== 'string' || typeof relay !== 'string' || typeof by !== 'string')
    throw new AdminError('BAD_REQUEST', '"site", "relay" and "by" are texts');
  if (confirm !== undefined && typeof confirm !== 'string') throw new AdminError('BAD_REQUEST', '"confirm" is a text: the name of the site');
  if (dryRun !== undefined && typeof dryRun !== 'boolean') throw new AdminError('BAD_REQUEST', '"dryRun" is true or false');
  const order = { site, relay, by, confirm, dryRun };
  if (kind === 'drain' || kind === 'undrain') return { kind, ...order };
  if (weight !== null && typeof weight !== 'number') throw new AdminError('BAD_REQUEST', '"weight" is a number or null');
  return { kind: 'weight', ...order, weight };
}

/** True when there is a socket at which nobody listens. A file of another kind is somebody's, and stays. */
async function isStale(path: string): Promise<boolean> {
  const found = await lstat(path).catch(() => undefined);
  if (found?.isSocket() !== true) return false;
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(path);
  socket.on('connect', () => resolve(false));
  socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'));
  return promise.finally(() => socket.destroy());
}
