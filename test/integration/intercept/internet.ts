import { createServer, type Socket } from 'node:net';
import { startDnsServer } from '../../kit/dns-server.ts';
import { startSmtpLedger } from '../../kit/smtp-ledger.ts';
import { DNS, MAIL_V4, MAIL_V6, MANAGER, PRIVATE_MAIL, SITE_V4 } from './addresses.ts';

/**
 * Everything that the office reaches, as a process of its own namespace: DNS, mail servers at port 25, one at 587 that reads a
 * PROXY header, and something at 22. Whoever comes is a line of JSON on standard output.
 */

const TALK_MS = 2000;

function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

await startDnsServer({ address: DNS, port: 53, zone: { [MANAGER]: { a: [SITE_V4] } } });

for (const address of [MAIL_V4, MAIL_V6, PRIVATE_MAIL]) {
  const ledger = await startSmtpLedger({ address, port: 25 });
  ledger.messages.push = (...messages) => {
    for (const { raw, clientAddress } of messages) say({ mail: /^Subject: (.*)$/mu.exec(raw.toString())?.[1]?.trim(), at: address, peer: clientAddress, connections: ledger.connections });
    return messages.length;
  };
}

/** The 16 bytes of the header itself, and the client's address and port behind it, all IPv4. */
function proxied(socket: Socket): void {
  socket.setTimeout(TALK_MS, () => socket.destroy());
  socket.once('data', (bytes: Buffer) => {
    const client = bytes[13] === 0x11 ? `${bytes.subarray(16, 20).join('.')}:${bytes.readUInt16BE(24)}` : undefined;
    socket.end(`220 you are ${client}\r\n`);
  });
}

const plain = (socket: Socket): unknown => socket.end(`SSH-2.0-for ${socket.remoteAddress}\r\n`);
for (const [port, serve] of [[587, proxied], [22, plain]] as const)
  createServer((socket) => {
    socket.on('error', () => {});
    serve(socket);
  }).listen(port, MAIL_V4);
say({ ready: true });
