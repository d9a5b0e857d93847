// Clients that set up what the first HAProxy of a chain sets up for a session: TCP, a PROXY v2 header, TLS, up to the first byte
// from the destination.
import { once } from 'node:events';
import { connect } from 'node:net';
import { connect as secure, createSecureContext } from 'node:tls';
import { serve } from './helper-process.ts';

export interface TlsClientsTask {
  readonly port: number;
  readonly caPem: string;
  /** Certificate and key; not set: without. */
  readonly clientPem?: string;
  readonly connections: number;
  readonly isResumed: boolean;
}

const AT_ONCE = 16;
/** Version 2, PROXY, TCP over IPv4, 12 bytes: 192.0.2.7:50123 to 192.0.2.8:25. */
const PROXY_HEADER = Buffer.from('0d0a0d0a000d0a515549540a2111000cc0000207c0000208c3cb0019', 'hex');

async function setUp(task: TlsClientsTask, secureContext: ReturnType<typeof createSecureContext>, session: Buffer | undefined): Promise<Buffer | undefined> {
  let given: Buffer | undefined;
  const tcp = connect({ host: '127.0.0.1', port: task.port, noDelay: true });
  tcp.write(PROXY_HEADER);
  const socket = secure({ socket: tcp, secureContext, checkServerIdentity: () => undefined, ...(session === undefined ? {} : { session }) });
  socket.on('session', (ticket: Buffer) => (given = ticket));
  await once(socket, 'data');
  if (socket.isSessionReused() !== (session !== undefined)) throw new Error('TLS sessions are not resumed as they should be');
  socket.destroy();
  return given;
}

serve(async (question) => {
  const task = question as TlsClientsTask;
  const { caPem: ca, clientPem, connections, isResumed } = task;
  const context = createSecureContext({ minVersion: 'TLSv1.3', ca, ...(clientPem === undefined ? {} : { cert: clientPem, key: clientPem }) });
  const session = isResumed ? await setUp(task, context, undefined) : undefined;
  const startMs = performance.now();
  let left = connections;
  const loop = async (): Promise<void> => {
    while (--left >= 0) await setUp(task, context, session);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, loop));
  return (performance.now() - startMs) / 1000;
});
