import { createServer, type Server } from 'node:net';
import { Clamd, parseScannerAddress } from '@sekisho/relay';
import { afterEach, expect, test } from 'vitest';
import { checkClamd } from './clamd-check.ts';
import { PluginReport } from './plugin-report.ts';

const DAY_MS = 86_400_000;
const servers: Server[] = [];
afterEach(() => servers.splice(0).forEach((server) => server.close()));

const timings = { connectMs: 1000, stallMs: 1000, pingMs: 1000, canaryMs: 1000 };

/** A scanner that answers as clamd does, with signatures of this version and age. */
async function scanner(signatures: number, ageDays: number): Promise<{ address: string; clamd: Clamd }> {
  const made = new Date(Date.now() - ageDays * DAY_MS).toString().replace(/ GMT.*/u, '');
  const server = createServer((socket) =>
    socket.on('error', () => {}).on('data', (chunk) => socket.end(chunk.toString().startsWith('zPING') ? 'PONG\0' : `ClamAV 1.4.3/${signatures}/${made}\0`)),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  servers.push(server);
  const bound = server.address();
  return at(typeof bound === 'object' && bound !== null ? bound.port : 0);
}

function at(port: number): { address: string; clamd: Clamd } {
  const address = `tcp:127.0.0.1:${port}`;
  return { address, clamd: new Clamd({ address: parseScannerAddress(address), timings }) };
}

async function check(...scanners: { address: string; clamd: Clamd }[]): Promise<string> {
  const report = new PluginReport('CLAMD');
  await checkClamd(report, scanners, { timeoutMs: 3000 });
  return report.line().replaceAll(/127\.0\.0\.1:\d+/gu, 'HOST');
}

test('all there and young; old; very old; different', async () => {
  const young = await scanner(27_450, 0.1);
  expect(await check(young, young)).toBe("SEKISHO CLAMD OK - scanners 2/2, signatures 27450 | 'scanners'=2;;;0;2 'signature_age_days'=0.1;2;7;0");
  expect(await check(young, await scanner(27_450, 3))).toMatch(/^SEKISHO CLAMD WARNING - the signatures of tcp:HOST are 3\.0 days old: look at freshclam, /u);
  expect(await check(await scanner(27_450, 8))).toMatch(/^SEKISHO CLAMD CRITICAL - the signatures .+ 8\.0 days old/u);
  expect(await check(young, await scanner(27_449, 0.5))).toMatch(/^SEKISHO CLAMD WARNING - their signatures differ: tcp:HOST 27450; tcp:HOST 27449, /u);
});

test('one of two is gone, both are, there are none', async () => {
  const dead = at(1);
  expect(await check(await scanner(27_450, 0), dead)).toMatch(/^SEKISHO CLAMD WARNING - scanners 1\/2 \(tcp:HOST: no connection: ECONNREFUSED\), signatures 27450 \| 'scanners'=1;;;0;2/u);
  expect(await check(dead)).toMatch(/^SEKISHO CLAMD CRITICAL - scanners 0\/1 \(.+\), no scanner says how old its signatures are \| 'scanners'=0;;;0;1$/u);
  expect(await check()).toBe('SEKISHO CLAMD UNKNOWN - site.yaml has no relay.inspect.clamd: nothing is inspected');
});
