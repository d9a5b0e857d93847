import { expect, it } from 'vitest';
import { MAX_ALARM_CHARS } from '../src/alarm.ts';
import type { Handles } from './store-under-test.ts';

/** Alarms: of several writers, one wins. */
export function describeAlarms(handles: Handles): void {
  it('writes, changes and deletes an alarm for who has seen its version', async () => {
    const { store, other } = handles();
    expect(await store.alarms()).toEqual(new Map());
    const name = '@device 02:00:5e:10:00:01 東京: "x"';
    const versionNow = async (): Promise<number> => (await other.alarms()).get(name)?.version ?? 0;
    expect(await store.putAlarm(name, { expected: 0, body: '{"a":1}' })).toBe(true);
    expect(await other.putAlarm(name, { expected: 0, body: 'late' })).toBe(false);
    const first = await versionNow();
    expect(first).toBeGreaterThan(0);
    expect(await other.alarms()).toEqual(new Map([[name, { version: first, body: '{"a":1}' }]]));
    expect(await other.putAlarm(name, { expected: first, body: 'two\nlines: \u{1f4e8}' })).toBe(true);
    expect(await store.putAlarm(name, { expected: first, body: null })).toBe(false);
    const second = await versionNow();
    expect(second).not.toBe(first);
    expect((await store.alarms()).get(name)).toEqual({ version: second, body: 'two\nlines: \u{1f4e8}' });
    expect(await store.putAlarm(name, { expected: second, body: null })).toBe(true);
    expect(await store.putAlarm(name, { expected: second, body: 'gone' })).toBe(false);
    expect(await other.alarms()).toEqual(new Map());
    expect(await store.putAlarm(name, { expected: 0, body: null })).toBe(true);
    expect(await store.alarms()).toEqual(new Map());
  });

  it('never gives a version again, so that who was asleep meanwhile does not write over another alarm', async () => {
    const { store, other } = handles();
    await store.putAlarm('a', { expected: 0, body: 'old' });
    const { version } = (await store.alarms()).get('a') ?? { version: 0 };
    await other.putAlarm('a', { expected: version, body: null });
    await other.putAlarm('a', { expected: 0, body: 'new' });
    expect(await store.putAlarm('a', { expected: version, body: 'old, changed' })).toBe(false);
    expect((await store.alarms()).get('a')?.body).toBe('new');
  });

  it('lets one of many writers win', async () => {
    const { store, other } = handles();
    for (const body of ['first', 'second']) {
      const expected = (await store.alarms()).get('a')?.version ?? 0;
      const won = await Promise.all(
        Array.from({ length: 10 }, (_, n) => (n % 2 === 0 ? store : other).putAlarm('a', { expected, body: `${body} ${n}` })),
      );
      expect(won.filter(Boolean)).toHaveLength(1);
      expect((await store.alarms()).get('a')?.body).toBe(`${body} ${won.indexOf(true)}`);
    }
  });

  it('refuses alarms that are none', async () => {
    const { store } = handles();
    const put = (name: string, expected: number, body: string): Promise<boolean> => store.putAlarm(name, { expected, body });
    const invalid = { code: 'INVALID' };
    for (const name of ['', 'x'.repeat(201), 'a\nb', '\ud800']) await expect(put(name, 0, 'x')).rejects.toMatchObject(invalid);
    for (const expected of [-1, 1.5, Number.NaN]) await expect(put('a', expected, 'x')).rejects.toMatchObject(invalid);
    for (const body of ['x'.repeat(MAX_ALARM_CHARS + 1), 'a\0b', '\udfff']) await expect(put('a', 0, body)).rejects.toMatchObject(invalid);
    expect(await store.alarms()).toEqual(new Map());
    expect(await put('x'.repeat(200), 0, '東'.repeat(MAX_ALARM_CHARS))).toBe(true);
    expect((await store.alarms()).get('x'.repeat(200))?.body).toBe('東'.repeat(MAX_ALARM_CHARS));
  });
}
