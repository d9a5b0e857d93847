import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { CpuMeter, processTree } from '../../bench/cpu.ts';
import { startProcess, stopAllProcesses, type TestProcess } from '../kit/process.ts';

/** Computes until it has used so much CPU. */
const BURN = `
  const usedMs = () => { const { user, system } = process.cpuUsage(); return (user + system) / 1000; };
  const burn = (ms) => { const until = usedMs() + ms; while (usedMs() < until); };`;
const BURNING_CHILD = `${BURN}
  process.stdin.once('data', () => { burn(150); console.log('burnt'); });
  console.log('up');`;

afterAll(() => stopAllProcesses());

async function node(script: string): Promise<TestProcess> {
  const child = await startProcess({ command: process.execPath, args: ['-e', script] });
  await child.waitForOutput(/ready/u);
  return child;
}

test('it counts what a process and its child use, and nobody else', async () => {
  const child = await node(`${BURN}
    const child = require('node:child_process').spawn(process.execPath, ['-e', ${JSON.stringify(BURNING_CHILD)}]);
    const go = () => {
      burn(100);
      child.stdin.write('go');
      child.stdout.once('data', () => console.log('done'));
    };
    child.stdout.once('data', () => { console.log('ready'); setTimeout(go, 200); });
    setInterval(() => {}, 1000);`);
  expect(processTree(child.pid)).toHaveLength(2);
  const meter = new CpuMeter(child.pid);
  await child.waitForOutput(/done/u);
  const seconds = meter.stop();
  expect(seconds).toBeGreaterThan(0.24);
  expect(seconds).toBeLessThan(0.4);
});

test('it keeps what a thread had used that has ended', async () => {
  const child = await node(`
    const { Worker } = require('node:worker_threads');
    setTimeout(() => {
      const worker = new Worker('const end = performance.now() + 300; while (performance.now() < end);', { eval: true });
      worker.on('exit', () => console.log('done'));
    }, 200);
    setInterval(() => {}, 1000);
    console.log('ready');`);
  const meter = new CpuMeter(child.pid);
  await child.waitForOutput(/done/u);
  await sleep(100);
  // On a busy machine the thread gets less of its 300 ms; nothing at all is what is looked for.
  expect(meter.stop()).toBeGreaterThan(0.1);
});

test('a process that ends meanwhile is no measurement', async () => {
  const child = await node(`
    require('node:child_process').spawn(process.execPath, ['-e', 'setTimeout(() => {}, 400)']);
    setInterval(() => {}, 1000);
    console.log('ready');`);
  const meter = new CpuMeter(child.pid);
  await sleep(900);
  expect(() => meter.stop()).toThrow(/ended while it was measured/u);
});

test('a process that is not there is said', () => {
  expect(() => new CpuMeter(2 ** 22 + 1)).toThrow(/no process/u);
});
