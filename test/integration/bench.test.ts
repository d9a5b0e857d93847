import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { measureCpu } from '../../bench/figures/bench.ts';
import { Bulk } from '../../bench/load/bulk.ts';
import { sendMails, startSink } from '../../bench/load/smtp.ts';
import { runProcess, stopAllProcesses } from '../kit/process.ts';

const RUN = join(import.meta.dirname, '../../bench/run.ts');

afterAll(() => stopAllProcesses());

test('the load of the bench arrives, and its CPU is measured', async () => {
  const sink = await startSink();
  const bulk = await Bulk.start();
  try {
    const mails = await measureCpu({ halves: { relay: sink.child.pid } }, () => sendMails(sink.port, 200, 20));
    expect(mails.cpu.relay).toBeGreaterThan(0.001);
    expect(mails.cpu.agent).toBeUndefined();
    for (const direction of ['up', 'down'] as const) {
      const seconds = await bulk.move({ port: bulk.port, direction, streams: 3, bytes: 10_000_000 });
      expect(seconds).toBeGreaterThan(0.001);
    }
    await expect(bulk.move({ port: 1, direction: 'up', streams: 1, bytes: 1 })).rejects.toThrow('ECONNREFUSED');
  } finally {
    await bulk.stop();
  }
});

test('a figure that there is not is said, with those that there are', async () => {
  const { code, stderr } = await runProcess({ command: process.execPath, args: [RUN, '--only', 'relay.speed'] });
  expect(code).toBe(2);
  expect(stderr).toContain('relay.cpu_per_gb');
});
