import { once } from 'node:events';
import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { type AuthSettings, startAuth } from '@sekisho/auth';
import type { Credentials } from '@sekisho/channel';
import { type ManagerSettings, startManager } from '@sekisho/manager';
import { openStore } from '@sekisho/store';
import { createLogger, Metrics } from '@sekisho/telemetry';
import { CONTROL_ALPN } from '@sekisho/wire';

/** Auth, a manager, or a bare TLS server in a process of its own, told what to be by its parent; its log goes where its output goes. */

export type RoleOrder =
  | { readonly role: 'auth'; readonly storeUrl: string; readonly settings: AuthSettings }
  | { readonly role: 'manager'; readonly storeUrl: string; readonly settings: ManagerSettings }
  | { readonly role: 'bare'; readonly credentials: Credentials };

process.on('disconnect', () => process.exit());
process.once('message', (order: RoleOrder) => void start(order));

async function start(order: RoleOrder): Promise<void> {
  process.send?.({ port: order.role === 'bare' ? await startBare(order.credentials) : await startRole(order) });
}

async function startRole(order: Exclude<RoleOrder, { role: 'bare' }>): Promise<number> {
  const { site, name } = order.settings;
  const store = await openStore({}, { url: order.storeUrl, site });
  const components = { log: createLogger({ role: order.role, site, name, level: 'info' }), metrics: new Metrics(), store };
  const { port } =
    order.role === 'auth' ? await startAuth(components, order.settings) : await startManager(components, order.settings);
  return port;
}

/** TLS as a manager's port has it; a byte is answered with a byte and the end. */
async function startBare({ caPem: ca, certPem: cert, keyPem: key }: Credentials): Promise<number> {
  const tls = createTlsServer(
    { ca, cert, key, minVersion: 'TLSv1.3', ecdhCurve: 'X25519:P-256', requestCert: true, rejectUnauthorized: false, ALPNProtocols: [CONTROL_ALPN] },
    (socket) => socket.on('error', () => {}).once('data', () => socket.end('.')),
  );
  const tcp = createTcpServer({ noDelay: true }, (socket) => tls.emit('connection', socket));
  tcp.listen({ host: '127.0.0.1', port: 0, backlog: 1024 });
  await once(tcp, 'listening');
  return (tcp.address() as AddressInfo).port;
}
