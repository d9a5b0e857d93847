import { beforeAll, expect, test } from 'vitest';
import { credentials } from '../../channel/src/testing/mesh.ts';
import type { AgentSettings } from './settings.ts';
import { destination, MAC, makeMesh, MANAGER_NAME, type Mesh, World } from './testing/world.ts';
import { trace, type TraceStep } from './trace.ts';

let mesh: Mesh;
beforeAll(async () => {
  mesh = await makeMesh();
});

const [A, B] = ['127.0.1.1', '127.0.2.1'] as const;

const settingsOf = (world: World): AgentSettings => ({
  mac: MAC,
  credentials: credentials(mesh, mesh.device),
  managerName: MANAGER_NAME,
  managerPort: world.managerPort,
  dns: { servers: [world.dns.server] },
  failMode: 'open',
  forwards: [],
  timings: { managerBudgetMs: 1000, relayTimeoutMs: 1000 },
});

async function run(world: World, target: { host: string; port: number }): Promise<{ ok: boolean; steps: TraceStep[] }> {
  const steps: TraceStep[] = [];
  return { ok: await trace(settingsOf(world), target.host, target.port, (step) => steps.push(step)), steps };
}
const names = (steps: readonly TraceStep[]): string[] => steps.map(({ name, ok }) => `${ok ? '+' : '-'}${name}`);

test('the whole path, with a manager and a relay that are out', async () => {
  const world = await World.create(mesh);
  const [gone, relay] = [await world.relay('s1'), await world.relay('s2')];
  gone.close();
  await world.manager(B, [gone.address, relay.address]);
  world.publish([A, B]);
  const target = await destination((socket) => socket.write('220 mail.example \u001B[31m\r\n250 more'));
  const { ok, steps } = await run(world, target);
  expect(names(steps).sort()).toEqual(['+destination', '+dns', '+greeting', '+lease', '+manager', '+relay', '-manager', '-relay']);
  expect(ok).toBe(true);
  const detail = (name: string): string | undefined => steps.findLast((step) => step.name === name && step.ok)?.detail;
  expect(detail('dns')).toContain('TTL 60 s');
  expect(detail('lease')).toContain('site tokyo-1, manager m1: relays s1, s2');
  expect(detail('greeting')).toBe(String.raw`220 mail.example \u001b[31m`);
  expect(target.received().toString()).toBe('QUIT\r\n');
});

test('DNS knows nobody', async () => {
  const { ok, steps } = await run(await World.create(mesh), { host: '127.0.0.1', port: 25 });
  expect([ok, names(steps)]).toEqual([false, ['-dns']]);
});

test('a refusal is told with its code, and the next manager is not asked to overrule it', async () => {
  const world = await World.create(mesh);
  const managers = [await world.manager(A, []), await world.manager(B, [])];
  for (const manager of managers) manager.script = { kind: 'refuse', code: 'DEVICE_DISABLED' };
  world.publish([A, B]);
  const { ok, steps } = await run(world, { host: '127.0.0.1', port: 25 });
  expect([ok, names(steps)]).toEqual([false, ['+dns', '+manager', '+manager', '-lease']]);
  expect(steps.at(-1)?.detail).toContain('DEVICE_DISABLED');
  expect(managers.reduce((sum, { hellos }) => sum + hellos.length, 0)).toBe(1);
});

test('a destination that is refused', async () => {
  const world = await World.create(mesh);
  const relay = await world.relay('s1');
  relay.script = { kind: 'refuse', code: 'DESTINATION_PORT' };
  await world.manager(A, [relay.address]);
  world.publish([A]);
  const { ok, steps } = await run(world, { host: 'mail.example', port: 22 });
  expect([ok, names(steps)]).toEqual([false, ['+dns', '+manager', '+lease', '+relay', '-destination']]);
  expect(steps.at(-1)?.detail).toMatch(/mail\.example:22: refused with DESTINATION_PORT; session [0-9a-f]{32}/u);
});
