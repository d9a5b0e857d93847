import { expect, test } from 'vitest';
import { createLogger, printable } from './logger.ts';

function capture(): { lines: Record<string, unknown>[]; write(line: string): void } {
  const lines: Record<string, unknown>[] = [];
  return { lines, write: (line) => lines.push(JSON.parse(line) as Record<string, unknown>) };
}

test('a line says who wrote it, when and how grave it is', () => {
  const out = capture();
  createLogger({ role: 'relay', site: 'tokyo-1', name: 's1', destination: out }).warn({ event: 'x' }, 'words');
  expect(out.lines).toMatchObject([
    { level: 'warn', role: 'relay', site: 'tokyo-1', name: 's1', event: 'x', msg: 'words' },
  ]);
  expect(out.lines[0]?.['time']).toMatch(/^\d{4}-\d\d-\d\dT/u);
});

test('a secret in a known field does not reach a line', () => {
  const out = capture();
  const log = createLogger({ role: 'auth', destination: out });
  log.info({ keyPem: 'CANARY', settings: { keyPem: 'CANARY', privatePem: 'CANARY', ticket: 'CANARY' } }, 'settings');
  log.error({ password: 'CANARY', key: 'CANARY', token: 'CANARY' }, 'more');
  // As the settings of auth are, and those of an agent within something else.
  log.info({ settings: { ticketKeyPem: 'CANARY', credentials: { certPem: 'public', keyPem: 'CANARY' } } }, 'settings');
  const error = Object.assign(new Error('refused'), { code: 'E1', password: 'CANARY', options: { token: 'CANARY', port: 6379 } });
  log.error({ err: error, device: 'a' }, 'failed');
  log.error(error);
  log.info({ problem: error, list: [{ secret: 'CANARY' }, 'shown'] }, 'elsewhere');
  expect(out.lines).toHaveLength(6);
  expect(JSON.stringify(out.lines)).not.toContain('CANARY');
  for (const line of out.lines.slice(3, 5)) {
    expect(line['err']).toMatchObject({ type: 'Error', message: 'refused', code: 'E1', password: '[secret]', options: { port: 6379 } });
  }
  expect(out.lines[3]).toMatchObject({ device: 'a' });
  expect(out.lines[5]).toMatchObject({ list: [{ secret: '[secret]' }, 'shown'] });
});

test('what is logged is not changed, and ends even if it holds itself', () => {
  const out = capture();
  const settings: Record<string, unknown> = { port: 25, keyPem: 'CANARY' };
  settings['self'] = settings;
  createLogger({ role: 'auth', destination: out }).info({ settings, id: Buffer.from([1]), none: null });
  expect(settings['keyPem']).toBe('CANARY');
  expect(out.lines[0]).toMatchObject({ settings: { port: 25, keyPem: '[secret]' }, none: null });
  expect(JSON.stringify(out.lines)).not.toContain('CANARY');
});

test('levels below the chosen one are not written', () => {
  const out = capture();
  const log = createLogger({ role: 'auth', level: 'warn', destination: out });
  log.info('no');
  log.warn('yes');
  expect(out.lines.map((line) => line['msg'])).toEqual(['yes']);
});

test.each([
  ['\u001b[31mred', '\\u001b[31mred'],
  ['a\r\nInjected: 1', 'a\\u000d\\u000aInjected: 1'],
  ['\u202egnp.exe', '\\u202egnp.exe'],
  ['plain 日本', 'plain 日本'],
])('printable escapes what moves a terminal: %j', (raw, shown) => {
  expect(printable(raw)).toBe(shown);
});

test('printable caps the length', () => {
  expect(printable('x'.repeat(10_000)).length).toBeLessThan(600);
});
