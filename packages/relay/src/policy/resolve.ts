import { CANCELLED, CONNREFUSED, promises, REFUSED, SERVFAIL, TIMEOUT } from 'node:dns';
import { setTimeout as sleep } from 'node:timers/promises';
import { Refusal } from '@sekisho/wire';
import { unmapped } from './address.ts';
import type { DestinationPolicy } from './destination.ts';
import { DnsHealth } from './dns-health.ts';
import type { Host } from './host.ts';
import { formatAddress, type IpAddress, parseAddress } from './ip-address.ts';

export interface ResolverInit {
  /** `address` or `address:port`; the system's own when empty. */
  readonly servers: readonly string[];
  /** For one try at one server. */
  readonly timeoutMs: number;
}

const TRIES = 2;
/** RFC 8305 3: how long the other family is waited for once one has answered. */
const RESOLUTION_DELAY_MS = 50;
/** Addresses of one name that are tried; a name with more is still reached, and none makes us dial for long. */
const MAX_ADDRESSES = 6;

/** Codes of c-ares that say "no answer" and nothing about the name. */
const NO_ANSWER: ReadonlySet<string> = new Set([TIMEOUT, SERVFAIL, REFUSED, CONNREFUSED, CANCELLED]);

type Answer = { readonly addresses: readonly string[]; readonly failed: boolean };

/**
 * Finds the addresses of a destination, once: what is classified here is what is connected to, so that a name which
 * answers differently the second time (DNS rebinding) gains nothing.
 */
export class DestinationResolver {
  readonly health: DnsHealth;
  readonly #policy: DestinationPolicy;
  readonly #dns: promises.Resolver;

  constructor(components: { readonly policy: DestinationPolicy }, init: ResolverInit) {
    this.#policy = components.policy;
    this.#dns = new promises.Resolver({ timeout: init.timeoutMs, tries: TRIES });
    if (init.servers.length > 0) this.#dns.setServers(init.servers);
    this.health = new DnsHealth({ probe: () => this.#isAnswering() });
  }

  /**
   * The addresses that may be connected to, in the order to try them (RFC 8305 4: the families in turn, IPv6 first).
   * @throws Refusal DNS_FAILED, DNS_NOT_FOUND or DESTINATION_ADDRESS
   */
  async resolve(host: Host): Promise<readonly IpAddress[]> {
    const found = host.kind === 'address' ? [host.address] : await this.#lookUp(host.name);
    const allowed = found.filter((address) => this.#policy.refusalOf(address) === undefined);
    const [first] = found;
    if (allowed.length === 0 && first !== undefined) {
      const reason = this.#policy.refusalOf(first);
      throw new Refusal('DESTINATION_ADDRESS', `the address ${formatAddress(first)} is ${reason}, and not listed`);
    }
    return interleave(allowed.map(unmapped)).slice(0, MAX_ADDRESSES);
  }

  async #lookUp(name: string): Promise<readonly IpAddress[]> {
    // RFC 6761 6.3: these never leave the host, whatever a server says.
    const isLocal = name === 'localhost' || name.endsWith('.localhost');
    const answer = isLocal ? { addresses: ['::1', '127.0.0.1'], failed: false } : await this.#ask(name);
    // Parsed, not trusted: the resolver's own text forms are the canonical ones, and others are dropped.
    const addresses = answer.addresses.map(parseAddress).filter((address) => address !== undefined);
    if (addresses.length > 0) return addresses;
    if (answer.failed) throw new Refusal('DNS_FAILED', 'DNS gave no answer for the destination');
    throw new Refusal('DNS_NOT_FOUND', 'DNS knows no address of the destination');
  }

  async #ask(name: string): Promise<Answer> {
    const four = this.#answerOf(this.#dns.resolve4(name));
    const six = this.#answerOf(this.#dns.resolve6(name));
    const first = await Promise.race([four, six]);
    const both = Promise.all([four, six]).then(merge);
    const answer =
      first.addresses.length > 0 ? await Promise.race([both, sleep(RESOLUTION_DELAY_MS, first)]) : await both;
    if (answer.addresses.length === 0 && answer.failed) this.health.failed(name);
    else this.health.answered();
    return answer;
  }

  async #answerOf(query: Promise<readonly string[]>): Promise<Answer> {
    try {
      return { addresses: await query, failed: false };
    } catch (error) {
      return { addresses: [], failed: NO_ANSWER.has((error as NodeJS.ErrnoException).code ?? '') };
    }
  }

  /** The root's name servers: any resolver answers that, and no device can break it. */
  async #isAnswering(): Promise<boolean> {
    try {
      await this.#dns.resolveNs('.');
      return true;
    } catch (error) {
      return !NO_ANSWER.has((error as NodeJS.ErrnoException).code ?? '');
    }
  }
}

function merge([four, six]: readonly [Answer, Answer]): Answer {
  return { addresses: [...six.addresses, ...four.addresses], failed: four.failed || six.failed };
}

function interleave(addresses: readonly IpAddress[]): IpAddress[] {
  const six = addresses.filter(({ family }) => family === 6);
  const four = addresses.filter(({ family }) => family === 4);
  const order: IpAddress[] = [];
  for (let index = 0; index < Math.max(six.length, four.length); index += 1)
    for (const address of [six[index], four[index]]) if (address !== undefined) order.push(address);
  return order;
}
