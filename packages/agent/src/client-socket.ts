import type { Socket } from 'node:net';
import { type MailProtocol, type RefusalCode } from '@sekisho/wire';
import { refusalGreeting } from './greeting.ts';

/** For the client to read its greeting and close; what it says meanwhile is thrown away. */
const LINGER_MS = 2000;

/** Says in the client's protocol that there will be no session, and closes. */
export function refuseClient(client: Socket, protocol: MailProtocol, code: RefusalCode, session: string): void {
  client.end(refusalGreeting(protocol, code, session));
  // Closing with unread bytes would be a reset, which can take the greeting away from the client.
  client.on('data', () => {});
  client.resume();
  const timer = setTimeout(() => client.destroy(), LINGER_MS);
  client.once('close', () => clearTimeout(timer));
}

/** `192.0.2.7:50123` or `[2001:db8::7]:50123`, as the protocol names a client. */
export function endpointText(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
