import { createLogger } from '@sekisho/telemetry';
import { afterEach, expect, test } from 'vitest';
import { ProcessTree } from './process-tree.ts';

const { execPath } = process;
afterEach(() => {
  process.execPath = execPath;
});

test('a process that cannot be started now is tried again, and ends nothing', async () => {
  const lines: Record<string, unknown>[] = [];
  const { promise: again, resolve } = Promise.withResolvers<void>();
  const write = (line: string): void => {
    if (lines.push(JSON.parse(line) as Record<string, unknown>) === 2) resolve();
  };
  const tree = new ProcessTree({ log: createLogger({ role: 'up', destination: { write } }) }, [[{ name: 's1/auth', args: ['auth'] }]]);
  // As spawn fails without memory: with an event, not an exception.
  process.execPath = '/nowhere/node';
  const running = tree.run();
  await again;
  expect(lines.map(({ event, process: name, reason, againMs }) => [event, name, reason, againMs])).toEqual([
    ['process_died', 's1/auth', expect.stringContaining('ENOENT'), 200],
    ['process_died', 's1/auth', expect.stringContaining('ENOENT'), 400],
  ]);
  process.emit('SIGTERM');
  await running;
});
