import { spawnSync } from 'node:child_process';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { LineBatch } from './line-batch.ts';
import { createLogger } from './logger.ts';

function scene(): { log: ReturnType<typeof createLogger>; writes: string[] } {
  const writes: string[] = [];
  const log = createLogger({ role: 'relay', destination: new LineBatch({ write: (lines) => void writes.push(lines) }) });
  return { log, writes };
}

const messages = (text: string): unknown[] => text.trimEnd().split('\n').map((line) => (JSON.parse(line) as { msg: string }).msg);

test('the lines of a turn are one write, at its end', async () => {
  const { log, writes } = scene();
  log.info('a');
  log.info('b');
  expect(writes).toEqual([]);
  await turn();
  log.info('c');
  await turn();
  expect(writes.map(messages)).toEqual([['a', 'b'], ['c']]);
});

test.each(['warn', 'error', 'fatal'] as const)('%s does not wait, and comes behind what came before', (level) => {
  const { log, writes } = scene();
  log.info('a');
  log[level]('b');
  expect(writes.map(messages)).toEqual([['a', 'b']]);
});

test('a turn that logs without end is written in pieces of whole lines, each small enough for a pipe to take at once', async () => {
  const { log, writes } = scene();
  for (let line = 0; line < 100; line += 1) log.info(`${line} ${'雪'.repeat(200)}`);
  expect(writes.length).toBeGreaterThan(10);
  await turn();
  for (const lines of writes) expect(Buffer.byteLength(lines)).toBeLessThanOrEqual(4096);
  expect(writes.flatMap(messages).map((text) => Number.parseInt(String(text), 10))).toEqual(Array.from({ length: 100 }, (_, line) => line));
});

test('a line that is longer than that is a write of its own', async () => {
  const { log, writes } = scene();
  log.info('a');
  for (const _ of [1, 2]) log.info({ list: Array.from({ length: 100 }, (__, index) => 'x'.repeat(60) + index) }, 'long');
  await turn();
  expect(writes.map(messages)).toEqual([['a'], ['long'], ['long']]);
});

const logger = new URL('logger.ts', import.meta.url).href;

test.each([
  ['process.exit(3)', 3],
  ['setTimeout(() => { throw new Error("down"); })', 1],
])('a process that ends loses no line: %s', (end, status) => {
  const script = `import { createLogger } from ${JSON.stringify(logger)}; createLogger({ role: 'auth' }).info('last words'); ${end};`;
  const child = spawnSync(process.execPath, ['--input-type=module', '--eval', script], { encoding: 'utf8' });
  expect(child.status).toBe(status);
  expect(messages(child.stdout)).toEqual(['last words']);
});
