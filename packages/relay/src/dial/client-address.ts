import { type IpAddress, parseAddress } from '../policy/ip-address.ts';

export interface Endpoint {
  readonly address: IpAddress;
  readonly port: number;
}

const ENDPOINT = /^(?:\[(?<six>[0-9a-f:.]+)\]|(?<four>[0-9.]+)):(?<port>0|[1-9]\d{0,4})$/iu;

/** Reads `192.0.2.7:50123` or `[2001:db8::7]:50123`, as an agent names its client; undefined for anything else. */
export function parseEndpoint(text: string): Endpoint | undefined {
  const { six, four, port } = ENDPOINT.exec(text)?.groups ?? {};
  const address = parseAddress(six ?? four ?? '');
  const number = Number(port);
  if (address === undefined || (address.family === 6) !== (six !== undefined) || number > 0xffff) return undefined;
  return { address, port: number };
}
