import { createServer } from 'node:tls';
import { destinationTls } from '../kit/tls.ts';

/**
 * Listens where a manager or a relay would, with somebody else's key, and prints a line of JSON when something comes: how many
 * connections, and how many bytes through the encryption.
 */
const PORTS = [7025, 7026];
const { cert, key } = destinationTls();
let connections = 0;
let bytes = 0;

function print(): void {
  console.log(JSON.stringify({ connections, bytes }));
}

for (const port of PORTS) {
  const server = createServer({ cert, key, requestCert: true, rejectUnauthorized: false, ALPNProtocols: ['sekisho-control/1', 'sekisho-data/1'] });
  server.on('connection', () => {
    connections += 1;
    print();
  });
  server.on('secureConnection', (socket) => {
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      print();
    });
    socket.on('error', () => socket.destroy());
  });
  server.on('tlsClientError', () => undefined);
  server.listen(port, () => console.log(`listening at ${port}`));
}
