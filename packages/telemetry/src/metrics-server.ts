import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface MetricsServerInit {
  readonly host: string;
  readonly port: number;
  /** The metrics in Prometheus' text format. */
  text(): Promise<string>;
}

export interface MetricsServer {
  readonly port: number;
  close(): void;
}

/** A scrape sends next to nothing; more than this is not a scraper. */
const MAX_HEADER_BYTES = 8192;
const REQUEST_TIMEOUT_MS = 5000;
const MAX_CONNECTIONS = 32;

/** Serves `GET /metrics`. Rejects with the operating system's error when the port cannot be had. */
export function startMetricsServer(init: MetricsServerInit): Promise<MetricsServer> {
  const { promise, resolve, reject } = Promise.withResolvers<MetricsServer>();
  const server = createServer(
    { maxHeaderSize: MAX_HEADER_BYTES, requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS },
    (request, response) => {
      if (request.method !== 'GET' || request.url !== '/metrics') {
        response.writeHead(404, { 'content-type': 'text/plain' }).end('there is only GET /metrics here\n');
        return;
      }
      init.text().then(
        (text) => response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }).end(text),
        () => response.writeHead(500, { 'content-type': 'text/plain' }).end('the metrics could not be collected\n'),
      );
    },
  );
  server.maxConnections = MAX_CONNECTIONS;
  server.once('error', reject);
  server.listen(init.port, init.host, () => {
    server.off('error', reject);
    resolve({
      port: (server.address() as AddressInfo).port,
      close: () => {
        server.close();
        server.closeAllConnections();
      },
    });
  });
  return promise;
}
