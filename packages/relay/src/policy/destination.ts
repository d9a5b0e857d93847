import { type MailProtocol, PROTOCOL_OF_PORT, Refusal } from '@sekisho/wire';
import { carriedIpv4, classify, unmapped } from './address.ts';
import { type Cidr, cidrContains, parseCidr } from './cidr.ts';
import type { IpAddress } from './ip-address.ts';
import { rightOf } from './mail-right.ts';
import type { AddressClass } from './special-ranges.ts';

export interface DestinationInit {
  /** Ports besides the well-known ones of mail; on them the agent says which protocol is spoken. */
  readonly extraPorts: readonly number[];
  /** Blocks that may be reached although they are not public: `192.168.7.0/24`, `127.0.0.0/8`. */
  readonly allow: readonly string[];
  /** Addresses of the site's own servers. */
  readonly ownAddresses: readonly string[];
}

/** Where a relay connects to, and where not: an authenticated relay is no open proxy either. */
export class DestinationPolicy {
  readonly #extraPorts: ReadonlySet<number>;
  readonly #allow: readonly Cidr[];
  readonly #own: readonly Cidr[];

  /** @throws RangeError for an address or a block that cannot be read */
  constructor(init: DestinationInit) {
    this.#extraPorts = new Set(init.extraPorts);
    this.#allow = init.allow.map(parseCidr);
    this.#own = init.ownAddresses.map(parseCidr);
  }

  /**
   * A well-known port is for its own protocol, so that the right to fetch mail is no right to send it.
   * @throws Refusal DESTINATION_PORT
   */
  checkPort(port: number, protocol: MailProtocol): void {
    if (this.#extraPorts.has(port)) return;
    const expected = PROTOCOL_OF_PORT.get(port);
    if (expected === undefined) throw new Refusal('DESTINATION_PORT', `port ${port} is not on the list`);
    if (rightOf(expected) !== rightOf(protocol))
      throw new Refusal('DESTINATION_PORT', `port ${port} is for ${expected}, not for ${protocol}`);
  }

  /** Why an address may not be connected to; undefined when it may. */
  refusalOf(dialled: IpAddress): AddressClass | 'own' | undefined {
    const address = unmapped(dialled);
    const found = classify(address);
    if (this.#isListed(address, found)) return undefined;
    if (found !== 'public') return found;
    return this.#isOwn(address) || carriedIpv4(address).some((inner) => this.#isOwn(inner)) ? 'own' : undefined;
  }

  // A wide block (169.254.0.0/16, 100.64.0.0/10) lists a network, hardly its credentials: those must be named.
  #isListed(address: IpAddress, found: AddressClass): boolean {
    const wholeBits = address.bytes.length * 8;
    return this.#allow.some((cidr) => cidrContains(cidr, address) && (found !== 'metadata' || cidr.bits === wholeBits));
  }

  #isOwn(address: IpAddress): boolean {
    return this.#own.some((cidr) => cidrContains(cidr, address));
  }
}
