import { BlockList, isIPv4 } from 'node:net';

const LOOPBACK = ['127.0.0.0/8', '::1/128'];

/** An address as text, without the clothes that a dual-stack listener puts an IPv4 address into. */
export function plainAddress(address: string): string {
  const mapped = address.replace(/^::ffff:/iu, '');
  return isIPv4(mapped) ? mapped : address.replace(/%.*$/u, '');
}

/** Networks, written `192.0.2.0/24` or `2001:db8::/32`. Throws what node:net throws for something else. */
export class Networks {
  readonly #list = new BlockList();

  constructor(networks: readonly string[]) {
    for (const network of networks) {
      const [address = '', bits] = network.split('/');
      this.#list.addSubnet(address, Number(bits), isIPv4(address) ? 'ipv4' : 'ipv6');
    }
  }

  /** @param address as from plainAddress */
  has(address: string): boolean {
    return this.#list.check(address, isIPv4(address) ? 'ipv4' : 'ipv6');
  }
}

const loopback = new Networks(LOOPBACK);

/** Whether a password may be asked for: in clear text it stays on this machine. @param address as from plainAddress */
export function mayAskForPassword(address: string, isEncrypted: boolean): boolean {
  return isEncrypted || loopback.has(address);
}

/** What is counted as one stranger: an IPv4 address, or a /64 of IPv6, which is one customer. */
export function strangerOf(address: string): string {
  if (isIPv4(address)) return address;
  const [head = '', tail] = address.toLowerCase().split('::');
  const before = head === '' ? [] : head.split(':');
  if (tail === undefined) return before.slice(0, 4).join(':');
  const after = tail === '' ? [] : tail.split(':');
  const zeros = Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => '0');
  return [...before, ...zeros, ...after].slice(0, 4).join(':');
}
