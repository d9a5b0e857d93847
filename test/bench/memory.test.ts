import { afterAll, expect, test } from 'vitest';
import { Inspected, INSPECTOR_OPTION, residentKib } from '../../bench/memory.ts';
import { startProcess, stopAllProcesses } from '../kit/process.ts';

const GARBAGE_MIB = 100;

afterAll(() => stopAllProcesses());

test('garbage of a process is collected from outside, as often as wanted', async () => {
  // As many small objects, so that it is the heap of V8 that grows.
  const script = `let rubbish = Array.from({ length: ${GARBAGE_MIB} * 8192 }, (_, index) => ({ a: index, b: [index] })); console.log('full');
    setTimeout(() => { rubbish = undefined; console.log('done'); }, 100); setInterval(() => {}, 1000);`;
  const child = await startProcess({ command: process.execPath, args: [INSPECTOR_OPTION, '-e', script] });
  await child.waitForOutput(/done/u);
  const before = residentKib(child.pid);
  const inspected = new Inspected({ rootPid: child.pid, stderr: () => child.stderr });
  await inspected.collectGarbage();
  expect(before - residentKib(child.pid)).toBeGreaterThan((GARBAGE_MIB / 2) * 1024);
  await inspected.collectGarbage();
  expect(child.running).toBe(true);
});
