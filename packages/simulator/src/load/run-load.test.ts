import { spawn } from 'node:child_process';
import { expect, test } from 'vitest';
import { type LoadSettings, runLoad } from './run-load.ts';

/** A load process whose agents have found this relay. */
function readyAt(relay: string): ReturnType<typeof spawn> {
  const word = JSON.stringify({ type: 'ready', unready: [], relayAddresses: [relay] });
  return spawn(process.execPath, ['--eval', `process.on('message', () => process.send(${word}))`], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], serialization: 'advanced' });
}

/** What is refused to agents that look for these managers. */
async function refusal(managers: readonly { managerName: string; servers?: readonly string[] }[], ownTargets: readonly string[]): Promise<string> {
  const agents = managers.map(({ managerName, servers = [] }) => ({ managerName, dns: { servers } }));
  const settings = {
    processes: 1,
    seed: 1,
    traffic: { clients: 1, loop: { kind: 'closed', thinkMs: 0 }, mix: { sizes: [], fetchShare: 0 }, bulk: false, clientBytesPerSecond: undefined, timeoutMs: 1000 },
    way: { kind: 'agents', agents },
    servers: [{ protocol: 'smtp', host: '127.0.0.1', port: 0 }],
    tls: false,
    warmUpMs: 0,
    durationMs: 100,
    watch: [],
    ownTargets,
    conditions: {},
  } as unknown as LoadSettings;
  const components = { spawn: () => readyAt('192.0.2.9'), onProgress: () => {}, interrupted: new AbortController().signal };
  return runLoad(components, settings).then(
    () => 'not refused',
    (error: unknown) => String(error),
  );
}

test('a name is looked up as each of the agents looks it up', async () => {
  const nobodyKnows = { managerName: 'localhost', servers: ['127.0.0.1:9'] };
  expect(await refusal([nobodyKnows, { managerName: 'localhost' }], [])).toContain('The manager localhost cannot be resolved');
});

test('a manager that was named does not speak for the relays of another one', async () => {
  const elsewhere = 'The relay 192.0.2.9 is not on this machine';
  expect(await refusal([{ managerName: '127.0.0.1' }], [])).toContain(elsewhere);
  expect(await refusal([{ managerName: '127.0.0.1' }, { managerName: '192.0.2.1' }], ['192.0.2.1'])).toContain(elsewhere);
});
