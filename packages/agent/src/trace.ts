import type { SecureContext } from 'node:tls';
import { secureContext } from '@sekisho/channel';
import { printable } from '@sekisho/telemetry';
import {
  encodeFrame,
  macBytes,
  MAIL_PROTOCOLS,
  type MailProtocol,
  type MuxStream,
  PROTOCOL_OF_PORT,
  PROTOCOL_VERSIONS,
  REFUSALS,
  type RefusalCode,
  type RelayAddress,
} from '@sekisho/wire';
import { endpointText } from './client-socket.ts';
import { ControlSession, type ControlSessionHandler } from './control-session.ts';
import type { LeaseOffer } from './lease-state.ts';
import { RelayLeg } from './relay-leg.ts';
import { RelayLink } from './relay-link.ts';
import { ManagerResolver } from './resolver.ts';
import { newSessionId } from './session-ids.ts';
import { type AgentSettings, type AgentTimings, DEFAULT_LIMITS, DEFAULT_TIMINGS, SOFTWARE } from './settings.ts';

/** One line of a trace: what was tried, how it went, how long it took. */
export interface TraceStep {
  readonly name: 'dns' | 'manager' | 'lease' | 'relay' | 'destination' | 'greeting';
  /** Which one, for managers and relays; else empty. */
  readonly of: string;
  readonly ok: boolean;
  readonly ms: number;
  /** For people: what was found, or what is wrong. Safe for a terminal. */
  readonly detail: string;
}

/** A greeting is one line; RFC 5321 4.5.3.1.5 allows 512 bytes of it. */
const MAX_GREETING_BYTES = 1024;
/** Some servers make everybody wait for their greeting, to find out who does not. */
const GREETING_TIMEOUT_MS = 10_000;
/** For the server's answer to our good-bye. */
const PARTING_MS = 1000;
const NOBODY = '127.0.0.1:0';

/**
 * Walks the path of one connection, as an agent with these settings would, and tells each step: DNS, every manager, the
 * lease, the relays, the destination and its greeting. Nothing is sent to the destination but a good-bye.
 * @returns whether the destination was reached through a relay
 */
export async function trace(
  settings: AgentSettings,
  host: string,
  port: number,
  onStep: (step: TraceStep) => void,
): Promise<boolean> {
  const tracer = new Tracer(settings, onStep);
  try {
    return await tracer.run({ host, port, protocol: PROTOCOL_OF_PORT.get(port) ?? 'smtp' });
  } finally {
    tracer.close();
  }
}

interface Destination {
  readonly host: string;
  readonly port: number;
  readonly protocol: MailProtocol;
}

type Outcome<T> = { readonly value: T; readonly detail: string } | { readonly value: undefined; readonly detail: string };
type ManagerAnswer = { readonly lease: LeaseOffer } | { readonly code: RefusalCode; readonly text: string } | 'alive' | { readonly problem: string };

class Tracer {
  readonly #settings: AgentSettings;
  readonly #timings: AgentTimings;
  readonly #context: SecureContext;
  readonly #onStep: (step: TraceStep) => void;
  readonly #toClose: { close(): void }[] = [];

  constructor(settings: AgentSettings, onStep: (step: TraceStep) => void) {
    this.#settings = settings;
    this.#timings = { ...DEFAULT_TIMINGS, ...settings.timings };
    this.#context = secureContext(settings.credentials);
    this.#onStep = onStep;
  }

  close(): void {
    for (const one of this.#toClose) one.close();
  }

  async run(destination: Destination): Promise<boolean> {
    const addresses = await this.#step('dns', '', () => this.#lookUp());
    if (addresses === undefined) return false;
    const managers = await this.#managers(addresses);
    const lease = await this.#lease(managers);
    if (lease === undefined) return false;
    for (const relay of lease.relays) {
      const link = await this.#step('relay', relay.name, () => this.#connect(lease, relay));
      if (link === undefined) continue;
      const reached = await this.#step('destination', '', () => this.#reach(link, destination));
      if (reached === undefined) continue;
      return (await this.#step('greeting', '', () => readGreeting(reached, destination.protocol))) !== undefined;
    }
    return false;
  }

  async #step<T>(name: TraceStep['name'], of: string, action: () => Promise<Outcome<T>>): Promise<T | undefined> {
    const startedAtMs = performance.now();
    const { value, detail } = await action();
    this.#onStep({ name, of, ok: value !== undefined, ms: Math.round(performance.now() - startedAtMs), detail: printable(detail) });
    return value;
  }

  async #lookUp(): Promise<Outcome<readonly string[]>> {
    const { dns, managerName } = this.#settings;
    const { ipv4, ipv6 } = await new ManagerResolver({ servers: dns.servers, timeoutMs: this.#timings.dnsTimeoutMs }).resolve(managerName);
    const addresses = [...(ipv4?.addresses ?? []), ...(ipv6?.addresses ?? [])];
    if (addresses.length > 0) {
      const ttls = [ipv4, ipv6].flatMap((family) => (family === undefined || family.addresses.length === 0 ? [] : [family.ttlMs]));
      return { value: addresses, detail: `${managerName}: ${addresses.join(', ')}; TTL ${Math.min(...ttls) / 1000} s` };
    }
    const problem = ipv4 === undefined || ipv6 === undefined ? 'DNS does not answer' : 'DNS knows no address of this name';
    return { value: undefined, detail: `${managerName}: ${problem}; an agent that starts now goes directly` };
  }

  /** All at once, told in order. */
  async #managers(addresses: readonly string[]): Promise<TracedManager[]> {
    const managers = addresses.map((address) => {
      const manager = new TracedManager(address, this.#context, this.#settings, this.#timings);
      this.#toClose.push(manager);
      return manager;
    });
    const answers = managers.map((manager) => manager.probe());
    const alive: TracedManager[] = [];
    for (const [index, manager] of managers.entries()) {
      const answer = await answers[index];
      if (answer === undefined) continue;
      const ok = answer.answer === 'alive';
      if (ok) alive.push(manager);
      this.#onStep({ name: 'manager', of: manager.address, ok, ms: answer.ms, detail: printable(managerDetail(answer.answer)) });
    }
    return alive;
  }

  async #lease(managers: readonly TracedManager[]): Promise<LeaseOffer | undefined> {
    for (const manager of managers) {
      const { answer, ms } = await manager.hello();
      const lease = typeof answer === 'object' && 'lease' in answer ? answer.lease : undefined;
      this.#onStep({ name: 'lease', of: manager.address, ok: lease !== undefined, ms, detail: printable(managerDetail(answer)) });
      if (lease !== undefined) return lease;
      // A no that is a decision is not taken to another manager.
      if (typeof answer === 'object' && 'code' in answer && !REFUSALS[answer.code].elsewhere) return undefined;
    }
    if (managers.length === 0)
      this.#onStep({ name: 'lease', of: '', ok: false, ms: 0, detail: 'no manager answers: an agent without a lease goes directly' });
    return undefined;
  }

  #connect(lease: LeaseOffer, relay: RelayAddress): Promise<Outcome<RelayLink>> {
    const where = endpointText(relay.host, relay.port);
    const { promise, resolve } = Promise.withResolvers<Outcome<RelayLink>>();
    const link: RelayLink = new RelayLink(
      {
        context: this.#context,
        handler: {
          onAdmitted: () => resolve({ value: link, detail: `${where} of site ${lease.site} accepted the ticket` }),
          onDraining: () => {},
          onRoundTrip: () => {},
          onEnd: ({ error, refused }) =>
            resolve({ value: undefined, detail: `${where}: ${refused === undefined ? `${error.code}: ${error.message}` : `refused with ${refused}`}` }),
        },
      },
      {
        relay,
        site: lease.site,
        ticket: lease.ticket,
        timeoutMs: this.#timings.relayTimeoutMs,
        deadAfterMs: this.#timings.deadAfterMs,
        windowBytes: DEFAULT_LIMITS.windowBytes,
        maxSessions: 1,
      },
    );
    this.#toClose.push(link);
    return promise;
  }

  #reach(link: RelayLink, { host, port, protocol }: Destination): Promise<Outcome<Reached>> {
    const id = newSessionId();
    const session = `session ${id.toString('hex')}`;
    const { promise, resolve } = Promise.withResolvers<Outcome<Reached>>();
    const fail = (problem: string): void => resolve({ value: undefined, detail: `${endpointText(host, port)}: ${problem}; ${session}` });
    const leg: RelayLeg = new RelayLeg(
      {
        link,
        handler: {
          onAck: () => {},
          onConnected: (stream, rest, { address, connectMs }) => {
            clearTimeout(timer);
            const value = new Reached(stream, rest);
            resolve({ value, detail: `${endpointText(host, port)}: connected to ${address} in ${connectMs} ms; ${session}` });
          },
          onRefused: (code) => fail(`refused with ${code}`),
          onLost: () => fail('the relay broke the session off'),
        },
      },
      encodeFrame({ type: 'connect', session: id, protocol: MAIL_PROTOCOLS.indexOf(protocol), host, port, client: NOBODY }),
    );
    const timer = setTimeout(() => {
      leg.cancel();
      fail(`no answer within ${this.#timings.decisionBudgetMs} ms`);
    }, this.#timings.decisionBudgetMs);
    return promise.finally(() => clearTimeout(timer));
  }
}

/** One manager, asked one thing after the other. */
class TracedManager {
  readonly address: string;
  readonly #settings: AgentSettings;
  readonly #session: ControlSession;
  #resolve: (answer: ManagerAnswer) => void = () => {};
  #over: ManagerAnswer | undefined;

  constructor(address: string, context: SecureContext, settings: AgentSettings, timings: AgentTimings) {
    this.address = address;
    this.#settings = settings;
    const handler: ControlSessionHandler = {
      onLease: (lease) => this.#resolve({ lease }),
      onRefused: (code, text) => this.#resolve({ code, text }),
      onAnswered: () => this.#resolve('alive'),
      onLost: (cause, problem) => {
        this.#over = { problem: `${cause}: ${problem}` };
        this.#resolve(this.#over);
      },
    };
    const { managerPort: port, managerName } = settings;
    this.#session = new ControlSession(
      { context, handler },
      { address, port, managerName, timeoutMs: timings.managerBudgetMs, deadAfterMs: timings.deadAfterMs },
    );
  }

  probe(): Promise<{ readonly answer: ManagerAnswer; readonly ms: number }> {
    return this.#ask(() => this.#session.probe());
  }

  hello(): Promise<{ readonly answer: ManagerAnswer; readonly ms: number }> {
    const mac = macBytes(this.#settings.mac);
    return this.#ask(() => this.#session.hello({ versions: Buffer.from(PROTOCOL_VERSIONS), software: SOFTWARE, mac, avoid: [] }, undefined));
  }

  close(): void {
    this.#session.close();
  }

  async #ask(action: () => void): Promise<{ answer: ManagerAnswer; ms: number }> {
    const startedAtMs = performance.now();
    const { promise, resolve } = Promise.withResolvers<ManagerAnswer>();
    this.#resolve = resolve;
    if (this.#over === undefined) action();
    else resolve(this.#over);
    return { answer: await promise, ms: Math.round(performance.now() - startedAtMs) };
  }
}

/** A session that the relay has connected to its destination. */
class Reached {
  readonly #stream: MuxStream;
  #text = '';
  #isOver = false;
  #onChange: () => void = () => {};

  constructor(stream: MuxStream, rest: Buffer) {
    this.#stream = stream;
    const over = (): void => {
      this.#isOver = true;
      this.#onChange();
    };
    stream.handler = { onAck: () => {}, onData: (chunk) => this.#take(chunk), onEnd: over, onReset: over, onDrain: () => {} };
    if (rest.length > 0) this.#take(rest);
  }

  /** The first line, or what there is of it when the time is up or the server has ended. */
  async line(timeoutMs: number): Promise<string> {
    await this.#until(() => this.#text.includes('\n') || this.#text.length >= MAX_GREETING_BYTES, timeoutMs);
    return this.#text.split(/\r?\n/u)[0] ?? '';
  }

  /** Says good-bye in the protocol's own word, if it has one, and ends. */
  async part(word: string): Promise<void> {
    if (!this.#isOver && word !== '') this.#stream.write(Buffer.from(word));
    this.#stream.end();
    await this.#until(() => false, PARTING_MS);
    this.#stream.reset();
  }

  #take(chunk: Buffer): void {
    this.#stream.consumed(chunk.length);
    this.#text = `${this.#text}${chunk.toString('latin1')}`.slice(0, MAX_GREETING_BYTES);
    this.#onChange();
  }

  async #until(condition: () => boolean, timeoutMs: number): Promise<void> {
    if (this.#isOver || condition()) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, timeoutMs);
    this.#onChange = () => {
      if (this.#isOver || condition()) resolve();
    };
    await promise;
    clearTimeout(timer);
  }
}

async function readGreeting(reached: Reached, protocol: MailProtocol): Promise<Outcome<true>> {
  if (protocol.endsWith('s')) {
    await reached.part('');
    return { value: true, detail: `${protocol} begins with TLS between client and server: there is nothing to read` };
  }
  const line = await reached.line(GREETING_TIMEOUT_MS);
  await reached.part(protocol === 'imap' ? 'sekisho LOGOUT\r\n' : 'QUIT\r\n');
  if (line === '') return { value: undefined, detail: 'the server says nothing' };
  return isWelcome(protocol, line) ? { value: true, detail: line } : { value: undefined, detail: line };
}

function isWelcome(protocol: MailProtocol, line: string): boolean {
  if (protocol === 'smtp') return line.startsWith('220');
  return line.startsWith(protocol === 'pop3' ? '+OK' : '* OK') || line.startsWith('* PREAUTH');
}

function managerDetail(answer: ManagerAnswer): string {
  if (answer === 'alive') return 'a manager of the operator, and it answers';
  if ('problem' in answer) return answer.problem;
  if ('code' in answer) return `refused with ${answer.code}: ${answer.text}`;
  const { site, manager, relays, reason, ttlMs } = answer.lease;
  return `site ${site}, manager ${manager}: relays ${relays.map(({ name }) => name).join(', ')} (${reason}) for ${Math.round(ttlMs / 1000)} s`;
}
