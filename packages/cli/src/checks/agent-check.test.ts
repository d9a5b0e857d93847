import { createServer, type Server } from 'node:http';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkAgent } from './agent-check.ts';
import { PluginReport } from './plugin-report.ts';

let page = '';
let status = 200;
let server: Server;
let url: string;
beforeEach(async () => {
  status = 200;
  server = createServer((_, response) => response.writeHead(status, { connection: 'close' }).end(page));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  url = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}/metrics`;
});
afterEach(() => server.close());

interface Agent {
  readonly direct?: 0 | 1;
  readonly lease?: 0 | 1;
  readonly alive?: number;
  readonly days?: number;
}

async function check({ direct = 0, lease = 1, alive = 2, days = 100.5 }: Agent): Promise<string> {
  page = [
    '# HELP sekisho_agent_direct 1 while new clients are connected directly.',
    `sekisho_agent_direct ${direct}`,
    'sekisho_agent_direct_total{reason="dns_empty"} 3',
    'sekisho_agent_direct_total{reason="managers_silent"} 4',
    `sekisho_agent_lease_valid ${lease}`,
    `sekisho_agent_managers{state="alive"} ${alive}`,
    'sekisho_agent_managers{state="dead"} 1',
    'sekisho_agent_sessions{state="connecting"} 1',
    'sekisho_agent_sessions{state="streaming"} 2',
    `sekisho_agent_certificate_expires_timestamp_seconds ${Date.now() / 1000 + days * 86_400}`,
    '',
  ].join('\n');
  return look(url);
}

async function look(at: string): Promise<string> {
  const report = new PluginReport('AGENT');
  await checkAgent(report, { url: at, timeoutMs: 2000 });
  return report.line();
}

test('well; without a lease; one manager; a certificate that ends; direct', async () => {
  expect(await check({})).toBe(
    "SEKISHO AGENT OK - 2 of 3 managers alive, 3 sessions | 'direct'=0;;;0;1 'managers_alive'=2;;;0 'sessions'=3;;;0 'direct_total'=7c 'certificate_days'=100;30:;7:",
  );
  expect(await check({ lease: 0 })).toMatch(/^SEKISHO AGENT WARNING - no lease, /u);
  expect(await check({ alive: 1 })).toMatch(/^SEKISHO AGENT WARNING - 1 of 2 managers alive: no redundancy, /u);
  expect(await check({ days: 29.5 })).toMatch(/^SEKISHO AGENT WARNING - the certificate of the device ends in 29 days, /u);
  expect(await check({ days: 6.5, alive: 1 })).toMatch(/^SEKISHO AGENT CRITICAL - the certificate of the device ends in 6 days, 1 of 2 managers/u);
  expect(await check({ direct: 1, lease: 0, alive: 0 })).toMatch(/^SEKISHO AGENT CRITICAL - clients are connected directly, without the mesh: .+, no lease, 0 of 1 managers/u);
});

test('no agent, an error, and something else at the address', async () => {
  page = 'hello';
  expect(await look(url)).toMatch(/^SEKISHO AGENT UNKNOWN - .+ something that is no agent$/u);
  // It is not waited for its end, which does not come.
  server.removeAllListeners('request').on('request', (_, response) => response.writeHead(200).write('x\n'.repeat(1024 * 1024)));
  expect(await look(url)).toMatch(/^SEKISHO AGENT UNKNOWN - .+ something that is no agent$/u);
  server.closeAllConnections();
  server.removeAllListeners('request').on('request', (_, response) => response.writeHead(status, { connection: 'close', location: '/elsewhere' }).end(page));
  status = 302;
  expect(await look(url)).toMatch(/^SEKISHO AGENT CRITICAL - the agent does not answer at .+redirect/u);
  status = 503;
  expect(await look(url)).toMatch(/^SEKISHO AGENT CRITICAL - .+: HTTP 503$/u);
  await new Promise((resolve) => server.close(resolve));
  expect(await look(url)).toMatch(/^SEKISHO AGENT CRITICAL - the agent does not answer at .+ECONNREFUSED/u);
});
