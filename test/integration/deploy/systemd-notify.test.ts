import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Mesh, type MeshSite } from '../../kit/mesh.ts';
import { type NotifySocket, openNotifySocket } from '../../kit/notify-socket.ts';
import { freePort } from '../../kit/ports.ts';
import { startProcess, stopAllProcesses, type TestProcess } from '../../kit/process.ts';
import { killListener } from './dead-listener.ts';

/** What the roles say to systemd, with a real socket and real listeners that really die; and sockets that it holds for them. */

const root = join(import.meta.dirname, '../../..');
const NODE = join(root, 'node_modules/.bin/node');
const SEKISHO = join(root, 'packages/cli/bin/sekisho.js');
const [ONE, TREE, HELD] = ['127.0.6.1', '127.0.6.2', '127.0.6.3'];
const WATCHDOG_MS = 700;
/** Long enough for several signs of life, were there any. */
const SILENCE_MS = 900;
const PATIENCE_MS = 30_000;

let mesh: Mesh;
let site: MeshSite;
const sockets: NotifySocket[] = [];

beforeAll(async () => {
  mesh = await Mesh.create();
  site = await mesh.addSite({
    name: 'kobe-1',
    servers: [
      { name: 's1', address: ONE, roles: ['auth', 'relay', 'manager'] },
      { name: 's2', address: TREE, roles: ['auth', 'relay'] },
      { name: 's3', address: HELD, roles: ['manager'] },
    ],
  });
});

afterAll(async () => {
  await stopAllProcesses();
  await Promise.all(sockets.map((socket) => socket.close()));
  await mesh?.stop();
});

async function startWatched(server: string, role: string, more: Readonly<Record<string, string>> = {}): Promise<{ child: TestProcess; socket: NotifySocket }> {
  const socket = await openNotifySocket();
  sockets.push(socket);
  const args = [SEKISHO, role, '--config', site.file, '--server', server];
  const env = { ...more, NOTIFY_SOCKET: socket.path, WATCHDOG_USEC: String(WATCHDOG_MS * 1000) };
  return { socket, child: await startProcess({ command: NODE, args, env }) };
}

const childrenOf = (pid: number): number[] => readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);

test('auth, relay and manager say when they serve and prove it again and again, and no child of theirs can', async () => {
  const auth = await startWatched('s1', 'auth');
  const relay = await startWatched('s1', 'relay');
  await Promise.all([auth.socket.waitFor(/^READY=1$/u), relay.socket.waitFor(/^READY=1$/u)]);
  const metricsPort = await freePort();
  const manager = await startWatched('s1', 'manager', { SEKISHO__metrics__manager: String(metricsPort) });
  expect(await manager.socket.waitFor(/^READY=1$/u)).toContain('STATUS=0 agents, 1 of 2 relays up, store up');
  for (const { socket } of [auth, relay, manager]) {
    expect(socket.messages[0]?.[0]).toBe('READY=1');
    await socket.waitFor(/^WATCHDOG=1$/u, { after: 2 });
    expect(socket.count('READY=1')).toBe(1);
  }
  expect(await auth.socket.waitFor(/^STATUS=1 managers, 0 devices registered, store up$/u)).toContain('WATCHDOG=1');
  expect(await relay.socket.waitFor(/^STATUS=0 sessions, 0 devices, 1 of 1 workers$/u, { after: 1 })).toContain('WATCHDOG=1');
  const worker = childrenOf(relay.child.pid).find((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('relay-worker')) ?? 0;
  expect(readFileSync(`/proc/${worker}/environ`, 'utf8')).not.toMatch(/NOTIFY_SOCKET|WATCHDOG/u);
  const metrics = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
  expect(metrics).toMatch(/^sekisho_manager_rejected_connections_total\{/mu);
  expect(metrics).not.toMatch(/^sekisho_manager_rejected_connections_total\{.*\} [1-9]/mu);

  await Promise.all([
    expectSilence(auth, auth.child.pid, site.ports.auth, /the port for managers 127\.0\.6\.1:\d+ cannot be reached: ECONNREFUSED/u),
    expectSilence(relay, worker, site.ports.relay, /the data port 127\.0\.6\.1:\d+ cannot be reached: ECONNREFUSED/u),
    expectSilence(manager, manager.child.pid, site.ports.manager, /the port for agents 127\.0\.6\.1:\d+ cannot be reached: ECONNREFUSED/u),
  ]);

  for (const { child } of [manager, relay, auth]) child.kill('SIGTERM');
  await manager.socket.waitFor(/^STOPPING=1$/u);
  // relay.drainTimeout, 11 min, and 30 s in which it ends by itself: TimeoutStopSec= alone would cut the last conversations off.
  expect(await relay.socket.waitFor(/^STOPPING=1$/u)).toContain('EXTEND_TIMEOUT_USEC=690000000');
  expect((await Promise.all([manager, relay, auth].map(({ child }) => child.exited))).map(({ code }) => code)).toEqual([0, 0, 0]);
});

/** Its listener is killed behind its back: no sign of life follows, and it says why. */
async function expectSilence({ child, socket }: { child: TestProcess; socket: NotifySocket }, listener: number, port: number, why: RegExp): Promise<void> {
  await killListener(listener, port);
  const [status = ''] = await socket.waitFor(/^STATUS=self-check failed/u);
  expect(status).toMatch(why);
  const alive = socket.count('WATCHDOG=1');
  await sleep(SILENCE_MS);
  expect(socket.count('WATCHDOG=1')).toBe(alive);
  expect(child.running).toBe(true);
  expect(child.output).toContain('"event":"self_check_failed"');
}

test('a tree is ready when all in it are, starts again what is hung or deaf, and goes on living', async () => {
  const { child: up, socket } = await startWatched('s2', 'up');
  expect(await socket.waitFor(/^READY=1$/u)).toContain('STATUS=2 of 2 processes serve');
  const pidOf = (role: string): number => childrenOf(up.pid).find((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')[2] === role) ?? 0;
  const auth = pidOf('auth');
  const relay = pidOf('relay');
  expect(readFileSync(`/proc/${auth}/environ`, 'utf8')).not.toContain('NOTIFY_SOCKET');
  await killListener(auth, site.ports.auth);
  await up.waitForOutput(/"event":"process_hung","process":"s2\/auth","reason":"the port for managers/u, PATIENCE_MS);
  const before = socket.count('WATCHDOG=1');
  await up.waitForOutput(/"event":"process_died","process":"s2\/auth"[\s\S]*"role":"auth"[^\n]*"event":"started"/u, PATIENCE_MS);
  await socket.waitFor(/^STATUS=2 of 2 processes serve$/u, { after: socket.messages.length });
  expect(socket.count('WATCHDOG=1')).toBeGreaterThan(before);
  expect(pidOf('auth')).not.toBe(auth);
  expect(pidOf('relay')).toBe(relay);
  up.kill('SIGTERM');
  expect(await socket.waitFor(/^STOPPING=1$/u)).toContain('EXTEND_TIMEOUT_USEC=690000000');
  expect(await up.exited).toEqual({ code: 0, signal: null });
});

/** Says who answers with TLS there. */
function greet(): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket: TLSSocket = connect({ host: HELD, port: site.ports.manager, rejectUnauthorized: false, ALPNProtocols: ['sekisho-self-check'] });
  socket.once('secureConnect', () => resolve(socket.getPeerCertificate().subjectaltname ?? ''));
  socket.once('error', reject);
  return promise.finally(() => {
    socket.on('error', () => {});
    socket.destroy();
  });
}

test('with its socket held, a manager that starts or restarts refuses nobody', async () => {
  // What holds the socket here is a shell instead of systemd; each round is one start of the service.
  const round = `LISTEN_PID=$$ exec "${NODE}" "${SEKISHO}" manager --config "${site.file}" --server s3`;
  const holder = await startProcess({
    command: 'systemd-socket-activate',
    args: ['-l', `${HELD}:${site.ports.manager}`, '--fdname=manager', 'sh', '-c', `for n in 1 2; do sh -c '${round}'; done`],
    ownGroup: true,
  });
  await holder.waitForOutput(/Listening on/u);
  expect(await greet()).toContain('manager');
  const [pid = 0] = childrenOf(holder.pid);
  const greetings: Promise<string>[] = [];
  process.kill(pid, 'SIGTERM');
  for (let count = 0; count < 40; count += 1) {
    greetings.push(greet().catch((error: NodeJS.ErrnoException) => error.code ?? error.message));
    await sleep(25);
  }
  const answers = await Promise.all(greetings);
  // Whoever was being greeted by the one that stops is let go, as all its agents are; everybody else waits for the next one.
  const letGo = answers.filter((answer) => answer === 'ECONNRESET');
  expect(letGo.length).toBeLessThanOrEqual(2);
  expect(answers.filter((answer) => !answer.includes('manager'))).toEqual(letGo);
  expect(holder.output.match(/"event":"started"/gu)).toHaveLength(2);
  holder.kill('SIGKILL');
  await holder.exited;
});
