import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { namespacesAllowed, Network } from './netns.ts';
import { startProcess } from './process.ts';

const reason = namespacesAllowed();
const node = join(import.meta.dirname, '../../node_modules/.bin/node');
const networks: Network[] = [];

afterAll(async () => {
  for (const network of networks) await network.stop();
});

test.skipIf(reason !== undefined)(`two offices and a router between them${reason === undefined ? '' : ` (${reason})`}`, async () => {
  const network = await Network.create('test');
  networks.push(network);
  const [router, a, b] = [await network.namespace('router'), await network.namespace('a'), await network.namespace('b')];
  await router.becomeRouter();
  await network.connect(
    { namespace: router, device: 'to-a', addresses: ['192.0.2.1/30', '2001:db8:1::1/64'] },
    { namespace: a, device: 'wan', addresses: ['192.0.2.2/30', '2001:db8:1::2/64'] },
  );
  await network.connect(
    { namespace: router, device: 'to-b', addresses: ['192.0.2.5/30', '2001:db8:2::1/64'] },
    { namespace: b, device: 'wan', addresses: ['192.0.2.6/30', '2001:db8:2::2/64'] },
  );
  for (const [office, v4, v6] of [
    [a, '192.0.2.1', '2001:db8:1::1'],
    [b, '192.0.2.5', '2001:db8:2::1'],
  ] as const) {
    await office.addRoute('default', v4);
    await office.addRoute('default', v6);
  }

  const server = await b.start({
    command: node,
    args: ['-e', "require('net').createServer((s) => s.end(s.remoteAddress)).listen(7, '::', () => console.log('up'))"],
  });
  await server.waitForOutput(/up/u);
  const ask = async (host: string): Promise<string> => {
    const script = `require('net').connect(7, '${host}').setTimeout(500, () => process.exit(1)).on('data', (d) => console.log(String(d)))`;
    return (await a.run(node, ['-e', script])).stdout.toString().trim();
  };
  expect(await ask('192.0.2.6')).toBe('::ffff:192.0.2.2');
  expect(await ask('2001:db8:2::2')).toBe('2001:db8:1::2');
  // A pid that can be killed with all that belongs to it, and not that of some wrapper.
  expect(execFileSync('ip', ['netns', 'pids', b.name]).toString().trim()).toBe(String(server.pid));

  await router.nft('table inet lab { chain f { type filter hook forward priority 0; iifname "to-a" drop; }; }');
  await expect(ask('192.0.2.6')).rejects.toThrow(/ended with 1/u);
  await router.limitRate('to-a', 1e6);
  await router.limitRate('to-a', undefined);
  await server.stop();

  await network.stop();
  expect(readdirSync('/run/netns').filter((name) => name.startsWith(`sekisho-${process.pid}-`))).toEqual([]);
});

test.skipIf(reason !== undefined)('what a run left behind goes with it, or with the next one if it was killed', async () => {
  const script = `
    import { Network } from ${JSON.stringify(join(import.meta.dirname, 'netns.ts'))};
    const one = await (await Network.create('left')).namespace('x');
    const { pid } = await one.start({ command: 'sleep', args: ['60'] });
    console.log('made', one.name, pid);
    setInterval(() => {}, 1000);`;
  const run = async (signal: NodeJS.Signals): Promise<{ name: string; pid: number }> => {
    const child = await startProcess({ command: node, args: ['--input-type=module-typescript', '-e', script] });
    const [, name = '', pid] = await child.waitForOutput(/made (\S+) (\d+)/u);
    expect(readdirSync('/run/netns')).toContain(name);
    child.kill(signal);
    await child.exited;
    return { name, pid: Number(pid) };
  };
  const interrupted = await run('SIGINT');
  expect(readdirSync('/run/netns')).not.toContain(interrupted.name);
  const killed = await run('SIGKILL');
  expect(readdirSync('/run/netns')).toContain(killed.name);
  networks.push(await Network.create('next'));
  expect(readdirSync('/run/netns')).not.toContain(killed.name);
  // Gone, or dead and not yet fetched by its parent.
  for (const { pid } of [interrupted, killed]) await expect.poll(() => isAlive(pid)).toBe(false);
});

function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/mu.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
