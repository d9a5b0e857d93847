import type { IpAddress } from '../policy/ip-address.ts';
import type { Endpoint } from './client-address.ts';

/** The PROXY protocol, version 2 (haproxy/doc/proxy-protocol.txt 2.2). */
const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
const COMMAND = { local: 0x20, proxy: 0x21 } as const;
const FAMILY = { unspecified: 0x00, tcp4: 0x11, tcp6: 0x21 } as const;
const TLV_UNIQUE_ID = 0x05;
const HEADER_BYTES = 16;
const TLV_HEADER_BYTES = 3;

export interface ProxyHeader {
  /** The client as the agent saw it; undefined when it is not known: the destination then sees the relay (LOCAL). */
  readonly client: Endpoint | undefined;
  readonly destination: Endpoint;
  /** At most 128 bytes; the session's id, so that the destination's log can be matched with ours. */
  readonly uniqueId: Uint8Array;
}

/** Encodes the header that precedes the client's first byte. */
export function encodeProxyV2({ client, destination, uniqueId }: ProxyHeader): Buffer {
  const addresses = client === undefined ? Buffer.alloc(0) : encodeAddresses(client, destination);
  const header = Buffer.alloc(HEADER_BYTES);
  SIGNATURE.copy(header);
  header[12] = client === undefined ? COMMAND.local : COMMAND.proxy;
  header[13] = client === undefined ? FAMILY.unspecified : familyOf(client, destination);
  header.writeUInt16BE(addresses.length + TLV_HEADER_BYTES + uniqueId.length, 14);
  return Buffer.concat([header, addresses, Buffer.from([TLV_UNIQUE_ID, 0, uniqueId.length]), uniqueId]);
}

function familyOf(client: Endpoint, destination: Endpoint): number {
  return client.address.family === 4 && destination.address.family === 4 ? FAMILY.tcp4 : FAMILY.tcp6;
}

function encodeAddresses(client: Endpoint, destination: Endpoint): Buffer {
  const isIpv4 = familyOf(client, destination) === FAMILY.tcp4;
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(client.port, 0);
  ports.writeUInt16BE(destination.port, 2);
  const source = isIpv4 ? client.address.bytes : as16(client.address);
  const target = isIpv4 ? destination.address.bytes : as16(destination.address);
  return Buffer.concat([source, target, ports]);
}

/** Of one family both, as the header wants it: IPv4 becomes the mapped IPv6 address. */
function as16({ family, bytes }: IpAddress): Uint8Array {
  return family === 6 ? bytes : Buffer.concat([Buffer.from('00000000000000000000ffff', 'hex'), bytes]);
}
