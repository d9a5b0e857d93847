import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import { closeServer, listenOn } from '../../kit/loopback-listen.ts';
import { runProcess } from '../../kit/process.ts';

export interface Hook {
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A receiver of webhooks, which says 204 to all. */
export class HookReceiver {
  readonly hooks: Hook[] = [];
  readonly url: string;
  readonly #server: Server;

  constructor(server: Server, init: { readonly port: number }) {
    this.#server = server;
    this.url = `http://127.0.0.1:${init.port}/outbreaks`;
  }

  static async start(): Promise<HookReceiver> {
    const server = createServer();
    const receiver = new HookReceiver(server, { port: await listenOn(server, '127.0.0.1', 0) });
    server.on('request', (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        receiver.hooks.push({ method: request.method ?? '', headers: request.headers, body: Buffer.concat(chunks).toString() });
        response.writeHead(204).end();
      });
    });
    return receiver;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await closeServer(this.#server);
  }
}

/** HMAC-SHA-256 in hexadecimal as OpenSSL has it. */
export async function hmacByOpenssl(secret: string, text: string): Promise<string> {
  const { output } = await runProcess({ command: 'openssl', args: ['dgst', '-sha256', '-hmac', secret, '-r'], stdin: text });
  return output.split(' ')[0] ?? '';
}
