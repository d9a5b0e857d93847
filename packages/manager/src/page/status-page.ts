import { timingSafeEqual } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { addressOf } from '@sekisho/channel';
import { type Logger, printable } from '@sekisho/telemetry';
import { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { ADMIN_ERRORS, AdminError } from '../admin-error.ts';
import type { TableOrders } from '../table-orders.ts';
import { isPrivateWay, MARKER_HEADER, requireOwnHost, requireOwnOrigin, type RequestSigns } from './access.ts';
import { type StatusPageAssets, statusPageAssets } from './assets.ts';
import { History, HISTORY_STEP_MS } from './history.ts';
import { fieldsOf, readOrder } from './orders.ts';
import { PAGE_ERRORS, PageError } from './page-error.ts';
import { type PageRequests, type PageResult, resultOf } from './page-metrics.ts';
import { renderPage, type Rights } from './render.ts';
import type { PageSettings } from './settings.ts';
import type { ShownStatus } from './shown-status.ts';
import { digestOf, SIGN_IN_MS, SignIns } from './sign-ins.ts';
import { TokenAttempts } from './token-attempts.ts';

export interface StatusPageComponents {
  readonly log: Logger;
  readonly requests: PageRequests;
  readonly orders: TableOrders;
  /** The clock of the table. */
  readonly clock: { now(): number };
  status(): ShownStatus;
}

/** An order has about 100 bytes, a token 43. */
const MAX_BODY_BYTES = 4096;
const MAX_HEADER_BYTES = 8192;
const REQUEST_TIMEOUT_MS = 5000;
/** Nothing goes over a connection, or an answer is not read. A page that is looked at asks every two seconds. */
const IDLE_MS = 10_000;
/** A browser holds up to six. */
const MAX_CONNECTIONS = 64;
/** The page is made anew at most once in so long, whoever asks: the manager has other work. */
const PAGE_MADE_MS = 500;
const METHODS: readonly string[] = ['GET', 'HEAD', 'POST'];

const HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
};

/** The status page of a manager: everybody who reaches it may read; who shows the token may give orders about the table. */
export class StatusPage {
  readonly #components: StatusPageComponents;
  readonly #settings: PageSettings;
  readonly #history: History;
  readonly #signIns: SignIns;
  readonly #attempts: TokenAttempts;
  readonly #assets: StatusPageAssets;
  readonly #made = new Map<Rights, { readonly text: string; readonly untilMs: number }>();
  #app: FastifyInstance | undefined;
  #sampler: NodeJS.Timeout | undefined;

  /** @param settings `relays`: the names of those in the table */
  constructor(components: StatusPageComponents, settings: PageSettings & { readonly relays: readonly string[] }) {
    this.#components = components;
    this.#settings = settings;
    this.#history = new History({ relays: settings.relays, stepMs: settings.historyStepMs ?? HISTORY_STEP_MS });
    this.#signIns = new SignIns(components);
    this.#attempts = new TokenAttempts(components);
    this.#assets = statusPageAssets();
  }

  /** Notes what a relay carries. */
  report(relay: string, bytesPerSecond: number): void {
    this.#history.report(relay, bytesPerSecond);
  }

  /** Returns the port. Rejects with the operating system's error when it cannot be had. */
  async listen(): Promise<number> {
    const { host, port, historyStepMs } = this.#settings;
    this.#app = await this.#makeApp();
    await this.#app.listen({ host, port });
    this.#sample();
    this.#sampler = setInterval(() => this.#sample(), historyStepMs ?? HISTORY_STEP_MS);
    return (this.#app.server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    clearInterval(this.#sampler);
    await this.#app?.close();
  }

  async #makeApp(): Promise<FastifyInstance> {
    // Only a manager that serves a page has it in memory.
    const { fastify } = await import('fastify');
    const app = fastify({
      logger: false,
      bodyLimit: MAX_BODY_BYTES,
      requestTimeout: REQUEST_TIMEOUT_MS,
      connectionTimeout: IDLE_MS,
      keepAliveTimeout: IDLE_MS,
      forceCloseConnections: true,
      http: { maxHeaderSize: MAX_HEADER_BYTES, headersTimeout: REQUEST_TIMEOUT_MS, connectionsCheckingInterval: REQUEST_TIMEOUT_MS },
      frameworkErrors: (error, _request, reply: FastifyReply) => void this.#refuse(error, reply),
    });
    app.server.maxConnections = MAX_CONNECTIONS;
    app.addHook('onRequest', async (request, reply) => {
      reply.headers(HEADERS);
      this.#check(request);
    });
    app.setErrorHandler((error, _request, reply) => this.#refuse(error, reply));
    app.setNotFoundHandler(() => {
      throw new AdminError('NOT_FOUND', 'there is nothing at this path; the page is at /');
    });
    this.#addRoutes(app);
    return app;
  }

  #addRoutes(app: FastifyInstance): void {
    app.get('/', (request, reply) => this.#answer(reply, 'answered').type('text/html; charset=utf-8').send(this.#page(this.#rightsOf(request))));
    app.get<{ Querystring: { from?: string } }>('/history.json', (request, reply) =>
      this.#answer(reply, 'answered').type('application/json; charset=utf-8').send(this.#history.json(Number(request.query.from ?? 0))),
    );
    for (const [path, { type, text }] of Object.entries(this.#assets))
      app.get(path, (_request, reply) => this.#answer(reply, 'answered').type(`${type}; charset=utf-8`).send(text));
    app.post('/sign-in', (request, reply) => this.#signIn(request, reply));
    app.post('/sign-out', (request, reply) => {
      this.#signIns.close(secretOf(request) ?? '');
      return this.#answer(reply, 'answered').header('set-cookie', this.#cookie(request, '', 0)).send({});
    });
    for (const kind of ['drain', 'undrain', 'weight'] as const)
      app.post(`/table/${kind}`, (request, reply) => this.#order(kind, request, reply));
  }

  #answer(reply: FastifyReply, result: PageResult): FastifyReply {
    this.#components.requests.inc({ result });
    return reply;
  }

  #check(request: FastifyRequest): void {
    const { hosts } = this.#settings;
    const signs = signsOf(request);
    requireOwnHost(signs, hosts);
    if (!METHODS.includes(request.method)) throw new PageError('METHOD_REFUSED', `only ${METHODS.join(', ')} are answered here`);
    if (request.method === 'POST') requireOwnOrigin(signs, hosts);
  }

  #refuse(error: unknown, reply: FastifyReply): FastifyReply {
    const { code, message, status } = refusalOf(error);
    if (code === 'INTERNAL') this.#components.log.error({ event: 'page_failed', err: error }, 'a request to the status page failed');
    return this.#answer(reply, resultOf(code)).headers(HEADERS).code(status).send({ error: code, message });
  }

  #rightsOf(request: FastifyRequest): Rights {
    if (this.#settings.tokenDigest === undefined) return 'none';
    const secret = secretOf(request);
    if (secret !== undefined && this.#signIns.has(secret)) return 'operator';
    // The browser sends no Origin with a GET; a proxy that ends TLS says how it was asked.
    const proto = request.headers['x-forwarded-proto'];
    return isPrivateWay({ ...signsOf(request), origin: proto === 'https' ? 'https://proxy' : undefined }) ? 'visitor' : 'plain';
  }

  #page(rights: Rights): string {
    const nowMs = this.#components.clock.now();
    const made = this.#made.get(rights);
    if (made !== undefined && made.untilMs > nowMs) return made.text;
    const text = renderPage({ status: this.#components.status(), rights, at: Date.now(), nowMs, rateOf: (relay) => this.#history.rate(relay) });
    this.#made.set(rights, { text, untilMs: nowMs + PAGE_MADE_MS });
    return text;
  }

  #signIn(request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const { log } = this.#components;
    const { tokenDigest } = this.#settings;
    const signs = signsOf(request);
    const address = signs.remoteAddress;
    if (tokenDigest === undefined) throw new PageError('NO_TOKEN_FILE', 'there are no orders here: page.tokenFile is not set in site.yaml');
    if (!isPrivateWay(signs)) throw new PageError('PLAIN_REFUSED', 'the token would go over the network in the clear: open the page over TLS, or through a tunnel');
    const waitMs = this.#attempts.waitMs(address);
    if (waitMs > 0) throw new PageError('TOO_MANY_ATTEMPTS', `too many wrong tokens; try again in ${Math.ceil(waitMs / 1000)} s`);
    const { token } = fieldsOf(request.body);
    if (typeof token !== 'string' || !timingSafeEqual(digestOf(token), tokenDigest)) {
      this.#attempts.fail(address);
      log.warn({ event: 'page_token_refused', address: printable(address) }, 'somebody showed a wrong token at the status page: an operator who mistyped it, or a stranger');
      throw new PageError('TOKEN_REFUSED', 'this is not the token of page.tokenFile');
    }
    log.info({ event: 'page_signed_in', address: printable(address) }, 'an operator has signed in at the status page');
    return this.#answer(reply, 'signed_in').header('set-cookie', this.#cookie(request, this.#signIns.open(), SIGN_IN_MS / 1000)).send({});
  }

  /** Secure when the browser came over TLS; without it the cookie goes over loopback only. */
  #cookie(request: FastifyRequest, secret: string, maxAgeSeconds: number): string {
    const secure = signsOf(request).origin?.startsWith('https:') === true ? '; Secure' : '';
    return `${COOKIE}=${secret}; Path=/; HttpOnly; SameSite=Strict; Max-Age=${maxAgeSeconds}${secure}`;
  }

  async #order(kind: 'drain' | 'undrain' | 'weight', request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    if (this.#rightsOf(request) !== 'operator') throw new PageError('NOT_SIGNED_IN', 'sign in with the token first; a manager that was restarted has forgotten who was');
    const order = readOrder(kind, request.body, `page ${printable(signsOf(request).remoteAddress)}`);
    const override = await this.#components.orders.carryOut(order);
    this.#made.clear();
    return this.#answer(reply, 'ordered').send({ relay: order.relay, override });
  }

  #sample(): void {
    this.#history.sample(Date.now(), this.#components.status().table.relays);
  }
}

const COOKIE = 'sekisho_page';

function secretOf(request: FastifyRequest): string | undefined {
  return new RegExp(`(?:^|; )${COOKIE}=([\\w-]{1,64})(?:;|$)`, 'u').exec(request.headers.cookie ?? '')?.[1];
}

function signsOf({ headers, socket }: FastifyRequest): RequestSigns {
  const one = (name: string): string | undefined => {
    const value = headers[name];
    return typeof value === 'string' ? value : undefined;
  };
  return {
    host: headers.host,
    origin: headers.origin,
    fetchSite: one('sec-fetch-site'),
    marker: one(MARKER_HEADER),
    localAddress: socket.localAddress ?? '',
    remoteAddress: addressOf(socket),
  };
}

/** What the asker is told. The message of an unknown error stays in the log. */
function refusalOf(error: unknown): { code: keyof typeof PAGE_ERRORS | keyof typeof ADMIN_ERRORS; message: string; status: number } {
  if (error instanceof PageError) return { code: error.code, message: error.message, status: PAGE_ERRORS[error.code] };
  if (error instanceof AdminError) return { code: error.code, message: error.message, status: ADMIN_ERRORS[error.code] };
  const { statusCode = 500 } = error as { statusCode?: number };
  if (statusCode === PAGE_ERRORS.TOO_LARGE) return { code: 'TOO_LARGE', message: `a request has at most ${MAX_BODY_BYTES} bytes`, status: statusCode };
  if (statusCode < 500) return { code: 'BAD_REQUEST', message: 'the request is not JSON, or malformed', status: ADMIN_ERRORS.BAD_REQUEST };
  return { code: 'INTERNAL', message: 'the manager made a mistake; its log says which', status: ADMIN_ERRORS.INTERNAL };
}
