import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../../test/kit/ports.ts';
import { startProcess, type TestProcess, waitForPort } from '../../test/kit/process.ts';
import { makeTempDir } from '../../test/kit/temp-dir.ts';
import { debianProgram, versionOf } from './debian-program.ts';
import type { Destinations, Lane, SharedTls } from './lane.ts';

/** Two descriptors a connection, of the 20,000 that a process may have here. */
const MAX_CONNECTIONS = 9000;

/** One thread, and what is HAProxy's default in everything else. */
const COMMON = `
global
  nbthread 1
  maxconn ${MAX_CONNECTIONS}
defaults
  mode tcp
  timeout connect 5s
  timeout client 10m
  timeout server 10m
`;

interface Way {
  readonly bind: string;
  readonly server: string;
}

function listen(name: string, { bind, server }: Way): string {
  return `listen ${name}\n  bind 127.0.0.1:${bind}\n  server destination 127.0.0.1:${server}\n`;
}

export async function haproxyVersion(): Promise<string> {
  return versionOf(debianProgram('haproxy', 'haproxy'), '-v');
}

/** One HAProxy, plain TCP in and out. @throws Unavailable */
export async function startHaproxy(destinations: Destinations): Promise<Lane> {
  const ports = { smtp: await freePort(), bulk: await freePort() };
  const ways = [
    listen('smtp', { bind: `${ports.smtp}`, server: `${destinations.smtp}` }),
    listen('bulk', { bind: `${ports.bulk}`, server: `${destinations.bulk}` }),
  ];
  const directory = await makeTempDir('haproxy');
  const child = await start(join(directory.path, 'haproxy.cfg'), COMMON + ways.join(''), ports.bulk);
  return {
    name: 'haproxy',
    ports,
    halves: { relay: child.pid },
    stop: async () => {
      await child.stop();
      await directory.remove();
    },
  };
}

/** In `haproxy_mtls` the first HAProxy shows a certificate, as our agent does. */
type ChainName = 'haproxy_tls' | 'haproxy_mtls';

/** A chain, and where its second half listens for TLS with a PROXY header before it. */
export interface HaproxyChain extends Lane {
  readonly name: ChainName;
  readonly tlsPort: number;
  readonly halves: { readonly relay: number; readonly agent: number };
}

/**
 * Two HAProxies in a chain: plain TCP in; a TLS connection for each session, resumed as HAProxy does by default, with
 * the client's address in PROXY v2; plain TCP out. The first is the agent's half, the second the relay's. A certificate
 * of the first costs the second about as much again, in resumed sessions, too: hence there are two such chains.
 * @throws Unavailable
 */
export async function startHaproxyChain(name: ChainName, destinations: Destinations, tls: SharedTls): Promise<HaproxyChain> {
  const directory = await makeTempDir('haproxy');
  const file = (base: string): string => join(directory.path, base);
  await Promise.all([writeFile(file('ca.pem'), tls.ca), writeFile(file('server.pem'), tls.server), writeFile(file('client.pem'), tls.client)]);
  const inner = { smtp: await freePort(), bulk: await freePort() };
  const ports = { smtp: await freePort(), bulk: await freePort() };
  const verify = `ca-file ${file('ca.pem')} verify required`;
  const settings = `ssl-min-ver TLSv1.3 ciphersuites ${tls.cipherSuite}`;
  const accept = `ssl crt ${file('server.pem')} ${name === 'haproxy_mtls' ? verify : ''} ${settings} accept-proxy`;
  const dial = `ssl ${name === 'haproxy_mtls' ? `crt ${file('client.pem')}` : ''} ${verify} ${settings} send-proxy-v2`;
  const back = (['smtp', 'bulk'] as const).map((way) => listen(way, { bind: `${inner[way]} ${accept}`, server: `${destinations[way]}` }));
  const front = (['smtp', 'bulk'] as const).map((way) => listen(way, { bind: `${ports[way]}`, server: `${inner[way]} ${dial}` }));
  const second = await start(file('back.cfg'), COMMON + back.join(''), inner.bulk);
  const first = await start(file('front.cfg'), COMMON + front.join(''), ports.bulk);
  return {
    name,
    // A certificate is nothing to bulk.
    ports: name === 'haproxy_mtls' ? { smtp: ports.smtp } : ports,
    tlsPort: inner.smtp,
    halves: { relay: second.pid, agent: first.pid },
    stop: async () => {
      await Promise.all([first.stop(), second.stop()]);
      await directory.remove();
    },
  };
}

async function start(file: string, config: string, port: number): Promise<TestProcess> {
  const program = debianProgram('haproxy', 'haproxy');
  await writeFile(file, config);
  const child = await startProcess({ command: program, args: ['-db', '-f', file] });
  await Promise.race([
    waitForPort({ host: '127.0.0.1', port }),
    child.exited.then(() => Promise.reject(new Error(`HAProxy ended:\n${child.output}`))),
  ]);
  return child;
}
