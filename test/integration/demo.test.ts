import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { runProcess, stopAllProcesses } from '../kit/process.ts';

afterAll(stopAllProcesses);

const root = join(import.meta.dirname, '../..');

interface DemoReport {
  readonly ok: boolean;
  readonly steps: readonly { readonly name: string; readonly ok: boolean; readonly ms: number }[];
  readonly mails: { readonly sent: number; readonly delivered: number };
}

test('npm run demo -- --json tells the whole story in one object', async () => {
  const { code, stdout, stderr } = await runProcess({
    command: 'npm',
    args: ['run', '--silent', 'demo', '--', '--json'],
    cwd: root,
    timeoutMs: 100_000,
  });
  const report = JSON.parse(stdout.toString()) as DemoReport;
  expect(report.steps.map(({ name, ok }) => [name, ok])).toEqual([
    ['a site comes up', true],
    ['a device is enrolled', true],
    ['a mail goes out through the relay', true],
    ['and is fetched through it', true],
    ['a virus is stopped on its way out', true],
    ['and replaced by a notice on its way in', true],
    ['one scanner is killed, the other takes over', true],
    ['both are killed: nothing passes unscanned', true],
    ['a scanner is back, mail flows again', true],
    ['the relay is killed, the next mail takes another', true],
    ['all managers stop, mail goes direct', true],
    ['they return, mail is relayed again', true],
    ['200 mails sent meanwhile', true],
  ]);
  expect(report).toMatchObject({ ok: true, mails: { sent: 200, delivered: 200 } });
  expect(code, stderr).toBe(0);
});
