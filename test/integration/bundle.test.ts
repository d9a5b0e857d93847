import { copyFileSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createTransport } from 'nodemailer';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Mesh, type MeshAgent } from '../kit/mesh.ts';
import { freePort } from '../kit/ports.ts';
import { runProcess, stopAllProcesses } from '../kit/process.ts';
import { startSmtpLedger, type SmtpLedger } from '../kit/smtp-ledger.ts';
import { makeTempDir, type TempDir } from '../kit/temp-dir.ts';

/** What is deployed: dist/ alone, in a directory where nothing else is, carries mail. */

const root = join(import.meta.dirname, '../..');
let temp: TempDir;
let bundle: string;
let mesh: Mesh;
let smtp: SmtpLedger;
let agent: MeshAgent;
let pagePort: number;

beforeAll(async () => {
  temp = await makeTempDir('bundle');
  const built = await runProcess({ command: 'npm', args: ['run', 'build'], cwd: root });
  if (built.code !== 0) throw new Error(`npm run build failed:\n${built.output}`);
  const deployed = join(temp.path, 'deployed');
  mkdirSync(deployed);
  for (const file of readdirSync(join(root, 'dist'))) copyFileSync(join(root, 'dist', file), join(deployed, file));
  bundle = join(deployed, 'sekisho.mjs');

  smtp = await startSmtpLedger();
  mesh = await Mesh.create({ command: bundle });
  const site = await mesh.addSite({
    name: 'osaka-1',
    servers: [{ name: 's1', address: '127.0.3.1', roles: ['auth', 'relay', 'manager'] }],
    settings: { 'relay.destinations.extraPorts': [smtp.port], 'page.port': (pagePort = await freePort()) },
  });
  await site.start();
  mesh.publish([site]);
  agent = await mesh.startAgent({ mac: '02:00:5e:10:00:09', forward: [`127.0.0.1:${smtp.port}/smtp`] });
});

afterAll(async () => {
  await mesh?.stop();
  await smtp?.stop();
  await stopAllProcesses();
  await temp?.remove();
});

test('a mail goes through a site of bundled processes', async () => {
  await agent.waitForEvents('lease', 1);
  const transport = createTransport({ host: '127.0.0.1', port: agent.ports[0] ?? 0, ignoreTLS: true });
  await transport.sendMail({ from: 'a@example.com', to: 'b@example.com', subject: 'bundled', text: 'Hello.\n' });
  transport.close();
  await smtp.waitForMessages(1);
  const [session] = await agent.waitForEvents('session', 1);
  expect(session).toMatchObject({ route: 'relayed', relay: 's1', outcome: 'completed' });
});

test('the manager of a bundle serves its status page, with all that belongs to it', async () => {
  const get = async (path: string): Promise<string> => (await fetch(`http://127.0.0.1:${pagePort}/${path}`)).text();
  const page = await get('');
  expect(page).toContain('<tr id="relay-s1"');
  const files = [...page.matchAll(/(?:href|src)="([^"]+)"/gu)].map(([, file = '']) => file);
  expect(files).toEqual(['favicon.svg', 'uplot.css', 'page.css', 'theme.js', 'uplot.js', 'page.js']);
  for (const file of files) expect((await get(file)).length, file).toBeGreaterThan(100);
});

test('the bundle says what it is and how it is used', async () => {
  const run = (...args: string[]) => runProcess({ command: join(root, 'node_modules/.bin/node'), args: [bundle, ...args] });
  expect((await run('--version')).stdout.toString()).toMatch(/^\d+\.\d+\.\d+\n$/u);
  const help = await run('--help');
  expect(help.code).toBe(0);
  for (const command of ['operator', 'site', 'device', 'check-config', 'up', 'manager', 'relay', 'auth', 'agent', 'status', 'table', 'trace'])
    expect(help.stdout.toString()).toContain(`  ${command}`);
});
