import { expect, it } from 'vitest';
import { type Detection, MAX_DETECTIONS_PER_CALL, MAX_PAGE_DETECTIONS } from '../src/detection.ts';
import type { Store } from '../src/store.ts';
import { aDetection } from './records.ts';
import type { Handles, StoreUnderTest } from './store-under-test.ts';

const keysOf = (detections: readonly Detection[]): string[] => detections.map(({ key }) => key);
const some = (...keys: string[]): Detection[] => keys.map((key) => aDetection(key));

async function allKeys(store: Store): Promise<string[]> {
  return keysOf((await store.detectionsAfter(null, MAX_PAGE_DETECTIONS)).detections);
}

/** Detections: recorded once, read in the order of arrival, forgotten. */
export function describeDetections(handles: Handles, underTest: () => StoreUnderTest): void {
  it('gives back the detections that were recorded, to every handle', async () => {
    const { store, other } = handles();
    expect(await store.detectionsAfter(null, 1)).toMatchObject({ detections: [], unreadable: 0 });
    const strange = aDetection('b-_9', {
      at: 0,
      source: 'notice',
      reporter: 'gateway:1',
      mac: null,
      signature: 'a "b" : \n\0 東京 \u{1f4e8}',
      protocol: null,
      client: null,
      destination: null,
      contact: 'ann@example.com',
    });
    expect(await store.recordDetections([aDetection('a'), strange])).toBe(2);
    expect(await store.recordDetections([])).toBe(0);
    expect((await other.detectionsAfter(null, 10)).detections).toEqual([aDetection('a'), strange]);
  });

  it('records a key once, whoever comes and how often', async () => {
    const { store, other } = handles();
    expect(await store.recordDetections(some('a', 'b', 'a'))).toBe(2);
    expect(await other.recordDetections([aDetection('b', { signature: 'other' }), aDetection('c')])).toBe(1);
    expect(await store.recordDetections(some('a', 'b', 'c'))).toBe(0);
    const { detections } = await store.detectionsAfter(null, 10);
    expect(detections).toEqual(some('a', 'b', 'c'));
  });

  it('loses and doubles nothing when two record the same at once', async () => {
    const { store, other } = handles();
    const list = some(...Array.from({ length: 60 }, (_, n) => `k${n}`));
    const counts = await Promise.all(
      Array.from({ length: 12 }, (_, n) => (n % 2 === 0 ? store : other).recordDetections(list.slice(n, n + 40))),
    );
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(51);
    expect((await allKeys(store)).toSorted()).toEqual(keysOf(list.slice(0, 51)).toSorted());
  });

  it('pages in the order of arrival, and a cursor sees only what came after it', async () => {
    const { store, other } = handles();
    const before = (await store.detectionsAfter(null, 5)).cursor;
    await store.recordDetections(some('c', 'a'));
    await other.recordDetections(some('b'));
    const first = await store.detectionsAfter(null, 2);
    expect(keysOf(first.detections)).toEqual(['c', 'a']);
    const second = await other.detectionsAfter(first.cursor, 2);
    expect(keysOf(second.detections)).toEqual(['b']);
    expect(await store.detectionsAfter(second.cursor, 2)).toEqual({ detections: [], unreadable: 0, cursor: second.cursor });
    await other.recordDetections(some('a', 'd'));
    expect(keysOf((await store.detectionsAfter(second.cursor, 2)).detections)).toEqual(['d']);
    expect(keysOf((await store.detectionsAfter(before, 9)).detections)).toEqual(['c', 'a', 'b', 'd']);
  });

  it('keeps the order when the clocks of the servers differ', async () => {
    let nowMs = 2_000_000;
    const fast = await underTest().open({ clock: { now: () => nowMs + 50_000 } });
    const slow = await underTest().open({ clock: { now: () => nowMs } });
    let cursor: string | null = null;
    const seen: string[] = [];
    for (let n = 0; n < 6; n += 1) {
      await (n % 2 === 0 ? fast : slow).recordDetections(some(`k${n}`));
      const page: { detections: readonly Detection[]; cursor: string } = await slow.detectionsAfter(cursor, 10);
      ({ cursor } = page);
      seen.push(...keysOf(page.detections));
      nowMs += 10;
    }
    expect(seen).toEqual(['k0', 'k1', 'k2', 'k3', 'k4', 'k5']);
    await Promise.all([fast.close(), slow.close()]);
  });

  it('forgets what is old, and the oldest of too many; a cursor among them goes on with the rest', async () => {
    let nowMs = 1_800_000_000_000;
    const store = await underTest().open({ clock: { now: () => nowMs }, detectionLimits: { keepMs: 1000, maxKept: 4 } });
    await store.recordDetections(some('a', 'b'));
    const { cursor } = await store.detectionsAfter(null, 1);
    nowMs += 1000;
    await store.recordDetections(some('c'));
    expect(await allKeys(store)).toEqual(['a', 'b', 'c']);
    nowMs += 1;
    await store.recordDetections(some('d'));
    expect(await allKeys(store)).toEqual(['c', 'd']);
    // What was forgotten is new again.
    expect(await store.recordDetections(some('a', 'c', 'e', 'f'))).toBe(3);
    expect(await allKeys(store)).toEqual(['d', 'a', 'e', 'f']);
    expect(keysOf((await store.detectionsAfter(cursor, 10)).detections)).toEqual(['d', 'a', 'e', 'f']);
    expect(await store.recordDetections(some('1', '2', '3', '4', '5', '6'))).toBe(6);
    expect(await allKeys(store)).toEqual(['3', '4', '5', '6']);
    nowMs += 5000;
    await store.recordDetections(some('g'));
    expect(await allKeys(store)).toEqual(['g']);
    await store.close();
  });

  it.each<[string, Record<string, unknown>]>([
    ['no key', { key: '' }],
    ['a key of other characters', { key: 'a:b' }],
    ['a long key', { key: 'x'.repeat(65) }],
    ['a time that is none', { at: 1.5 }],
    ['an unknown source', { source: 'rumour' }],
    ['a long reporter', { reporter: 'x'.repeat(256) }],
    ['an address in capitals', { mac: '02:00:5E:10:00:01' }],
    ['a long signature', { signature: 'x'.repeat(129) }],
    ['a long protocol', { protocol: 'x'.repeat(17) }],
    ['a long client', { client: 'x'.repeat(256) }],
    ['a long destination', { destination: 'x'.repeat(261) }],
    ['a long contact', { contact: 'x'.repeat(257) }],
    ['a missing field', { contact: undefined }],
    ['an unknown field', { session: 'x' }],
  ])('refuses a detection with %s, and all that came with it', async (_, fields) => {
    const { store } = handles();
    const list = [aDetection('good'), { ...aDetection('bad'), ...fields } as Detection];
    await expect(store.recordDetections(list)).rejects.toMatchObject({ code: 'INVALID', temporary: false });
    expect(await allKeys(store)).toEqual([]);
  });

  it('refuses too many at once, pages that are none, and cursors that are none', async () => {
    const { store } = handles();
    const invalid = { code: 'INVALID' };
    const many = some(...Array.from({ length: MAX_DETECTIONS_PER_CALL }, (_, n) => `k${n}`));
    await expect(store.recordDetections([...many, aDetection('x')])).rejects.toMatchObject(invalid);
    expect(await store.recordDetections(many)).toBe(MAX_DETECTIONS_PER_CALL);
    expect(await allKeys(store)).toEqual(keysOf(many));
    for (const limit of [0, 1.5, MAX_PAGE_DETECTIONS + 1]) await expect(store.detectionsAfter(null, limit)).rejects.toMatchObject(invalid);
    for (const cursor of ['', '.', '1', 'x'.repeat(100), 'e.00000000000000001'])
      await expect(store.detectionsAfter(cursor, 1)).rejects.toMatchObject(invalid);
  });

  it('does not change the revision', async () => {
    const { store } = handles();
    const before = await store.revision();
    await store.recordDetections(some('a'));
    await store.putAlarm('a', { expected: 0, body: 'x' });
    expect(await store.revision()).toBe(before);
  });
}
