import { existsSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { closeServer, listenOn } from './loopback-listen.ts';
import { freePort } from './ports.ts';
import { runProcess, startProcess, stopAllProcesses, waitForPort } from './process.ts';
import { makeTempDir } from './temp-dir.ts';

const node = process.execPath;

afterAll(stopAllProcesses);

/** A zombie is not alive: in a container nobody may collect what lost its parent. */
function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

test('runs a process with input, and gives exit code and both outputs', async () => {
  const result = await runProcess({ command: 'sh', args: ['-c', 'cat; echo "$WORD" >&2; exit 3'], stdin: 'in', env: { WORD: 'out' } });
  expect(result).toMatchObject({ code: 3, signal: null, stderr: 'out\n', output: 'inout\n' });
});

test('a program that is not there, and one that does not end', async () => {
  await expect(runProcess({ command: 'no-such-program-here' })).rejects.toMatchObject({ code: 'ENOENT' });
  await expect(runProcess({ command: 'sleep', args: ['60'], timeoutMs: 100 })).rejects.toThrow('did not end in 100 ms');
});

test('waits for output; says what was printed when it does not come', async () => {
  const child = await startProcess({ command: node, args: ['-e', 'console.log("port 42"); setTimeout(() => {}, 60000)'] });
  expect((await child.waitForOutput(/port (\d+)/))[1]).toBe('42');
  await expect(child.waitForOutput(/never/, 50)).rejects.toThrow('port 42');
  const [ending] = await Promise.allSettled([child.waitForOutput(/never/), child.stop()]);
  expect(String(ending.status === 'rejected' && ending.reason)).toContain('ended without');
  expect(await child.exited).toEqual({ code: null, signal: 'SIGTERM' });
});

test('stops what ignores SIGTERM and what is suspended, and all at once', async () => {
  const deaf = await startProcess({ command: node, args: ['-e', 'process.on("SIGTERM", () => {}); console.log("on"); setInterval(() => {}, 1000)'] });
  await deaf.waitForOutput(/on/);
  await deaf.stop(100);
  expect((await deaf.exited).signal).toBe('SIGKILL');
  const others = [await startProcess({ command: 'sleep', args: ['60'] }), await startProcess({ command: 'sleep', args: ['60'] })];
  others[0]!.kill('SIGSTOP');
  await stopAllProcesses();
  expect(others.map((other) => isAlive(other.pid))).toEqual([false, false]);
});

test.each(['SIGTERM', 'SIGINT'] as const)('what was forgotten ends with its parent, which gets a %s', async (signal) => {
  const source = `
    import { startProcess } from ${JSON.stringify(fileURLToPath(new URL('process.ts', import.meta.url)))};
    const leader = await startProcess({ command: 'sh', args: ['-c', 'sleep 60 & echo $!; wait'], ownGroup: true });
    const [grandchild] = await leader.waitForOutput(/\\d+/);
    console.log('pids', leader.pid, grandchild);
    setInterval(() => undefined, 1000);
  `;
  const parent = await startProcess({ command: node, args: ['--input-type=module', '--eval', source] });
  const [, leader, grandchild] = await parent.waitForOutput(/pids (\d+) (\d+)/);
  expect([leader, grandchild].map((pid) => isAlive(Number(pid)))).toEqual([true, true]);
  parent.kill(signal);
  expect((await parent.exited).code).toBe(signal === 'SIGTERM' ? 143 : 130);
  await expect.poll(() => [leader, grandchild].map((pid) => isAlive(Number(pid)))).toEqual([false, false]);
});

test('free ports differ and are free; waiting for a port', async () => {
  const ports = await Promise.all([freePort(), freePort(), freePort('127.0.7.1')]);
  expect(new Set(ports).size).toBe(3);
  const target = { host: '127.0.7.1', port: ports[2] };
  await expect(waitForPort(target, 50)).rejects.toThrow('nobody accepts');
  const server = createServer();
  const waiting = waitForPort(target);
  await sleep(50);
  await listenOn(server, target.host, target.port);
  await waiting;
  await closeServer(server);
});

test('a temporary directory goes with all that is in it', async () => {
  const dir = await makeTempDir('kit');
  await writeFile(join(dir.path, 'file'), 'x');
  await dir.remove();
  await dir.remove();
  expect(existsSync(dir.path)).toBe(false);
});
