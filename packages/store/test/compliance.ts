import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { DeviceRecord } from '../src/device-record.ts';
import { MAX_OVERRIDES, MAX_WEIGHT, type OverrideRegister } from '../src/override.ts';
import { MAX_REVOCATIONS_CHARS } from '../src/revocations.ts';
import { MAX_PAGE_DEVICES, type Store } from '../src/store.ts';
import { describeAlarms } from './compliance-alarms.ts';
import { describeDetections } from './compliance-detections.ts';
import { describeModel } from './compliance-model.ts';
import { aDevice, macNumber } from './records.ts';
import type { Handles, StoreUnderTest } from './store-under-test.ts';

const MAC = macNumber(1);

/** The one suite that every implementation of Store passes. */
export function describeStore(name: string, setUp: () => Promise<StoreUnderTest>, propertyRuns: number): void {
  describe(`${name} is a Store`, () => {
    let underTest: StoreUnderTest;
    let store: Store;
    let other: Store;

    beforeAll(async () => {
      underTest = await setUp();
    });
    beforeEach(async () => {
      await underTest.wipe();
      store = await underTest.open();
      other = await underTest.open();
      return async () => {
        await store.close();
        await other.close();
      };
    });
    const handles = (): { store: Store; other: Store } => ({ store, other });

    describeDevices(handles);
    describePages(handles);
    describeDamage(handles, (mac) => underTest.damage(mac));
    describeOverrides(handles);
    describeRestoring(handles);
    describeRevocations(handles);
    describeDetections(handles, () => underTest);
    describeAlarms(handles);
    describeLifecycle(handles);
    describeModel(handles, () => underTest, propertyRuns);
  });
}

function describeDevices(handles: Handles): void {
  it('gives back what was put, to every handle', async () => {
    const { store, other } = handles();
    const record = aDevice(MAC, { lastSeenAt: 5, lastSeenFrom: '2001:db8::1' });
    await store.putDevice(record);
    expect(await other.getDevice(MAC)).toEqual(record);
    const edited = { ...record, label: '', state: 'disabled', serial: null, rights: [] } as const;
    await other.putDevice(edited);
    expect(await store.getDevice(MAC)).toEqual(edited);
  });

  it('knows nothing of other devices', async () => {
    const { store } = handles();
    await store.putDevice(aDevice(MAC));
    expect(await store.getDevice(macNumber(2))).toBeNull();
    expect(await store.deleteDevice(macNumber(2))).toBe(false);
  });

  it('touches only what is registered', async () => {
    const { store, other } = handles();
    expect(await store.touchDevice(MAC, { at: 7, from: '192.0.2.1' })).toBe(false);
    expect(await store.getDevice(MAC)).toBeNull();
    await store.putDevice(aDevice(MAC));
    expect(await other.touchDevice(MAC, { at: 7, from: '192.0.2.1' })).toBe(true);
    expect(await store.getDevice(MAC)).toEqual(aDevice(MAC, { lastSeenAt: 7, lastSeenFrom: '192.0.2.1' }));
    expect(await store.deleteDevice(MAC)).toBe(true);
    expect(await store.touchDevice(MAC, { at: 8, from: '192.0.2.1' })).toBe(false);
    expect(await store.getDevice(MAC)).toBeNull();
    expect((await store.listDevices({ limit: 1 })).devices).toEqual([]);
  });

  it('never moves a sighting back', async () => {
    const { store } = handles();
    await store.putDevice(aDevice(MAC));
    await store.touchDevice(MAC, { at: 100, from: '192.0.2.1' });
    expect(await store.touchDevice(MAC, { at: 99, from: '192.0.2.2' })).toBe(true);
    await store.putDevice(aDevice(MAC, { label: 'edited', lastSeenAt: 50, lastSeenFrom: '192.0.2.3' }));
    await store.putDevice(aDevice(MAC, { label: 'edited', lastSeenAt: null }));
    const expected = aDevice(MAC, { label: 'edited', lastSeenAt: 100, lastSeenFrom: '192.0.2.1' });
    expect(await store.getDevice(MAC)).toEqual(expected);
    await store.deleteDevice(MAC);
    await store.putDevice(aDevice(MAC));
    expect(await store.getDevice(MAC)).toEqual(aDevice(MAC));
  });

  it('loses nothing when puts and touches meet', async () => {
    const { store, other } = handles();
    await store.putDevice(aDevice(MAC));
    await Promise.all(
      Array.from({ length: 40 }, (_, n) =>
        n % 2 === 0
          ? store.putDevice(aDevice(MAC, { label: `edit ${n}` }))
          : other.touchDevice(MAC, { at: n, from: `192.0.2.${n}` }),
      ),
    );
    await store.putDevice(aDevice(MAC, { label: 'last' }));
    const expected = aDevice(MAC, { label: 'last', lastSeenAt: 39, lastSeenFrom: '192.0.2.39' });
    expect(await other.getDevice(MAC)).toEqual(expected);
  });

  it.each<[string, Record<string, unknown>]>([
    ['another spelling of the address', { mac: '02:00:5E:10:00:01' }],
    ['an unknown field', { rigths: [] }],
    ['a missing field', { notes: undefined }],
    ['a long label', { label: 'x'.repeat(257) }],
    ['long notes', { notes: 'x'.repeat(4097) }],
    ['an unknown state', { state: 'asleep' }],
    ['an unknown proof', { proof: 'none' }],
    ['a serial that is none', { serial: 'a b' }],
    ['a right that is none', { rights: ['smtp', 'SMTP '] }],
    ['rights without end', { rights: Array.from({ length: 33 }, () => 'smtp') }],
    ['a time in the past of time', { updatedAt: -1 }],
    ['a time that is no number', { expiresAt: Number.NaN }],
    ['a sighting without a time', { lastSeenFrom: '192.0.2.1' }],
    ['an address with a line break', { lastSeenAt: 1, lastSeenFrom: '192.0.2.1\n' }],
  ])('refuses a device with %s', async (_, fields) => {
    const { store } = handles();
    const record = { ...aDevice(MAC), ...fields } as DeviceRecord;
    await expect(store.putDevice(record)).rejects.toMatchObject({ code: 'INVALID', temporary: false });
    expect((await store.listDevices({ limit: 10 })).devices).toEqual([]);
  });

  it('refuses what is no MAC address or sighting', async () => {
    const { store } = handles();
    const invalid = { code: 'INVALID' };
    await expect(store.getDevice('*')).rejects.toMatchObject(invalid);
    await expect(store.deleteDevice('')).rejects.toMatchObject(invalid);
    await expect(store.touchDevice('x', { at: 1, from: 'a' })).rejects.toMatchObject(invalid);
    await expect(store.touchDevice(MAC, { at: 1.5, from: 'a' })).rejects.toMatchObject(invalid);
    await expect(store.touchDevice(MAC, { at: 1, from: 'x'.repeat(65) })).rejects.toMatchObject(invalid);
  });
}

function describePages(handles: Handles): void {
  it('lists in the order of addresses, page by page', async () => {
    const { store } = handles();
    const macs = [5, 1, 4, 2, 3].map(macNumber);
    for (const mac of macs) await store.putDevice(aDevice(mac));
    const listed: string[][] = [];
    let after: string | undefined;
    do {
      const page = await store.listDevices({ after, limit: 2 });
      listed.push(page.devices.map(({ mac }) => mac));
      after = page.next ?? undefined;
    } while (after !== undefined);
    expect(listed).toEqual([[1, 2].map(macNumber), [3, 4].map(macNumber), [5].map(macNumber)]);
    expect((await store.listDevices({ limit: 5 })).next).toBeNull();
    expect((await store.listDevices({ after: macNumber(9), limit: 5 })).devices).toEqual([]);
    // A page may begin after a device that has been deleted meanwhile.
    await store.deleteDevice(macNumber(2));
    const rest = await store.listDevices({ after: macNumber(2), limit: 1 });
    expect(rest).toEqual({ devices: [aDevice(macNumber(3))], corrupt: [], next: macNumber(3) });
  });

  it('caps a page', async () => {
    const { store } = handles();
    for (const limit of [0, -1, 1.5, MAX_PAGE_DEVICES + 1])
      await expect(store.listDevices({ limit })).rejects.toMatchObject({ code: 'INVALID' });
    await expect(store.listDevices({ after: 'x', limit: 1 })).rejects.toMatchObject({ code: 'INVALID' });
    expect((await store.listDevices({ limit: MAX_PAGE_DEVICES })).devices).toEqual([]);
  });
}

function describeDamage(handles: Handles, damage: (mac: string) => Promise<void>): void {
  it('names corrupt records of a listing, and lists the others', async () => {
    const { store } = handles();
    for (const number of [1, 2, 3, 4, 5]) await store.putDevice(aDevice(macNumber(number)));
    await damage(macNumber(2));
    await damage(macNumber(3));
    await expect(store.getDevice(macNumber(2))).rejects.toMatchObject({ code: 'CORRUPT', temporary: false });
    const first = { devices: [aDevice(macNumber(1))], corrupt: [macNumber(2)], next: macNumber(2) };
    expect(await store.listDevices({ limit: 2 })).toEqual(first);
    const second = { devices: [aDevice(macNumber(4))], corrupt: [macNumber(3)], next: macNumber(4) };
    expect(await store.listDevices({ after: macNumber(2), limit: 2 })).toEqual(second);
    await store.putDevice(aDevice(macNumber(2)));
    await store.deleteDevice(macNumber(3));
    const mended = await store.listDevices({ limit: 5 });
    expect([mended.devices.length, mended.corrupt]).toEqual([4, []]);
  });
}

function describeOverrides(handles: Handles): void {
  it('sets and clears overrides for every handle', async () => {
    const { store, other } = handles();
    await store.setOverride('relay-1', { drain: true, weight: null, by: 'ann "a"', at: 10 });
    await other.setOverride('[2001:db8::1]:8025', { drain: false, weight: 0.5, by: 'bob', at: 11 });
    expect(await store.overrides()).toEqual(
      new Map([
        ['[2001:db8::1]:8025', { drain: false, weight: 0.5, by: 'bob', at: 11 }],
        ['relay-1', { drain: true, weight: null, by: 'ann "a"', at: 10 }],
      ]),
    );
    await other.clearOverride('relay-1', { by: 'bob', at: 12 });
    await store.clearOverride('relay-3', { by: 'ann', at: 13 });
    expect([...(await store.overrides()).keys()]).toEqual(['[2001:db8::1]:8025']);
    const { registers, epoch, changes, revision } = await store.overridesSnapshot();
    expect(registers.get('relay-1')).toEqual({ kind: 'cleared', by: 'bob', at: 12 });
    expect(registers.get('relay-3')).toEqual({ kind: 'cleared', by: 'ann', at: 13 });
    expect(registers.size).toBe(3);
    expect(revision).toBe(`${epoch}.${changes}`);
    expect(await other.revision()).toBe(revision);
  });

  it('lets the last order win, whatever the clocks say', async () => {
    const { store } = handles();
    const future = 2_000_000_000_000;
    await store.setOverride('relay-1', { drain: true, weight: 3, by: 'ann', at: future });
    await store.clearOverride('relay-1', { by: 'bob', at: 5 });
    const { registers } = await store.overridesSnapshot();
    expect(registers.get('relay-1')).toEqual({ kind: 'cleared', by: 'bob', at: future + 1 });
    await store.setOverride('relay-1', { drain: false, weight: 2, by: 'ann', at: 6 });
    expect((await store.overrides()).get('relay-1')).toEqual({ drain: false, weight: 2, by: 'ann', at: future + 2 });
  });

  it('changes the revision with every change, and only then', async () => {
    const { store, other } = handles();
    const seen = new Set([await store.revision()]);
    const changed = async (change: Promise<unknown>): Promise<boolean> => {
      await change;
      const revision = await other.revision();
      expect(await store.revision()).toBe(revision);
      const isNew = !seen.has(revision);
      seen.add(revision);
      return isNew;
    };
    expect(await changed(store.setOverride('r', { drain: true, weight: null, by: 'a', at: 1 }))).toBe(true);
    expect(await changed(store.clearOverride('r', { by: 'a', at: 2 }))).toBe(true);
    expect(await changed(store.putDevice(aDevice(MAC)))).toBe(true);
    expect(await changed(store.touchDevice(MAC, { at: 3, from: 'a' }))).toBe(false);
    expect(await changed(store.getDevice(MAC))).toBe(false);
    expect(await changed(store.deleteDevice(MAC))).toBe(true);
    expect(await changed(store.deleteDevice(MAC))).toBe(false);
    expect(await changed(store.putRevocations({ number: 1, pem: 'x', fetchedAt: 1 }))).toBe(true);
    expect(await changed(store.putRevocations({ number: 1, pem: 'x', fetchedAt: 2 }))).toBe(false);
  });

  it('refuses overrides that make no sense', async () => {
    const { store } = handles();
    const good = { drain: true, weight: 1, by: 'ann', at: 1 };
    const invalid = { code: 'INVALID' };
    for (const relay of ['', '@epoch', 'a b', 'x'.repeat(256), 'a\n'])
      await expect(store.setOverride(relay, good)).rejects.toMatchObject(invalid);
    for (const weight of [-1, Number.NaN, Number.POSITIVE_INFINITY, MAX_WEIGHT + 1])
      await expect(store.setOverride('r', { ...good, weight })).rejects.toMatchObject(invalid);
    await expect(store.setOverride('r', { ...good, by: 'x'.repeat(129) })).rejects.toMatchObject(invalid);
    await expect(store.setOverride('r', { ...good, at: -1 })).rejects.toMatchObject(invalid);
    await expect(store.clearOverride('@changes', { by: 'ann', at: 1 })).rejects.toMatchObject(invalid);
    expect((await store.overridesSnapshot()).registers.size).toBe(0);
  });

  it('bounds the number of relays and forgets the oldest clearing first', async () => {
    const { store } = handles();
    const registers = new Map<string, OverrideRegister>();
    for (let n = 0; n < MAX_OVERRIDES + 10; n += 1)
      registers.set(`relay-${n}`, { kind: 'set', drain: true, weight: null, by: 'a', at: 100 });
    registers.set('relay-8', { kind: 'cleared', by: 'a', at: 90 });
    registers.set('relay-9', { kind: 'cleared', by: 'a', at: 80 });
    const full = await store.restoreOverrides(registers);
    expect(full.registers.size).toBe(MAX_OVERRIDES);
    await store.setOverride('new-1', { drain: true, weight: null, by: 'a', at: 101 });
    expect((await store.overridesSnapshot()).registers.has('relay-9')).toBe(false);
    await store.clearOverride('new-2', { by: 'a', at: 102 });
    expect((await store.overridesSnapshot()).registers.has('relay-8')).toBe(false);
    await store.setOverride('new-3', { drain: true, weight: null, by: 'a', at: 103 });
    const refused = store.setOverride('new-4', { drain: true, weight: null, by: 'a', at: 104 });
    await expect(refused).rejects.toMatchObject({ code: 'INVALID' });
    await store.setOverride('relay-1', { drain: false, weight: null, by: 'a', at: 105 });
    const { registers: after } = await store.overridesSnapshot();
    expect(after.size).toBe(MAX_OVERRIDES);
    expect(after.has('new-2')).toBe(false);
  });
}

function describeRestoring(handles: Handles): void {
  const set = (at: number, weight = 1): OverrideRegister => ({ kind: 'set', drain: false, weight, by: 'a', at });
  const cleared = (at: number): OverrideRegister => ({ kind: 'cleared', by: 'a', at });

  it('merges: of each relay the later change stays', async () => {
    const { store } = handles();
    await store.setOverride('newer', { drain: true, weight: null, by: 'b', at: 50 });
    await store.clearOverride('gone', { by: 'b', at: 50 });
    await store.setOverride('older', { drain: true, weight: null, by: 'b', at: 5 });
    const snapshot = await store.restoreOverrides(
      new Map([
        ['newer', cleared(49)],
        ['gone', set(50)],
        ['older', cleared(6)],
        ['absent', set(7)],
      ]),
    );
    expect(await store.overridesSnapshot()).toEqual(snapshot);
    expect([...(await store.overrides()).keys()]).toEqual(['absent', 'newer']);
    expect(snapshot.registers.get('older')).toEqual(cleared(6));
  });

  it('is one change, and none when it brings nothing new', async () => {
    const { store, other } = handles();
    const remembered = new Map([
      ['a', set(1)],
      ['b', cleared(2)],
    ]);
    const first = await store.restoreOverrides(remembered);
    const second = await other.restoreOverrides(remembered);
    expect(second).toEqual(first);
    expect(await store.revision()).toBe(first.revision);
    expect(first.epoch).not.toBeNull();
    expect((await store.restoreOverrides(new Map())).revision).toBe(first.revision);
  });

  it('comes to the same whoever restores first', async () => {
    const { store } = handles();
    const memories = [new Map([['r', set(10)]]), new Map([['r', cleared(20)]]), new Map([['r', set(15, 2)]])];
    for (const memory of [...memories, ...memories]) await store.restoreOverrides(memory);
    expect((await store.overridesSnapshot()).registers).toEqual(new Map([['r', cleared(20)]]));
  });
}

function describeRevocations(handles: Handles): void {
  it('keeps the list with the highest number', async () => {
    const { store, other } = handles();
    expect(await store.getRevocations()).toBeNull();
    expect(await store.putRevocations({ number: 9, pem: 'nine\n', fetchedAt: 1 })).toBe(true);
    expect(await other.putRevocations({ number: 10n, pem: 'ten', fetchedAt: 2 })).toBe(true);
    expect(await store.putRevocations({ number: 9n, pem: 'old', fetchedAt: 3 })).toBe(false);
    expect(await store.putRevocations({ number: 10, pem: 'same', fetchedAt: 4 })).toBe(false);
    expect(await store.getRevocations()).toEqual({ number: 10n, pem: 'ten', fetchedAt: 2 });
    const highest = 2n ** 160n - 1n;
    expect(await store.putRevocations({ number: highest, pem: 'last', fetchedAt: 5 })).toBe(true);
    expect(await store.putRevocations({ number: highest - 1n, pem: 'before', fetchedAt: 6 })).toBe(false);
    expect(await other.getRevocations()).toEqual({ number: highest, pem: 'last', fetchedAt: 5 });
  });

  it('keeps the highest of many that arrive at once', async () => {
    const { store, other } = handles();
    const numbers = [3, 17, 5, 20, 11, 19, 1, 8];
    await Promise.all(
      numbers.map((number, n) =>
        (n % 2 === 0 ? store : other).putRevocations({ number, pem: `list ${number}`, fetchedAt: 1 }),
      ),
    );
    expect(await store.getRevocations()).toMatchObject({ number: 20n, pem: 'list 20' });
  });

  it('takes a list of the largest size and none above it', async () => {
    const { store } = handles();
    const pem = 'x'.repeat(MAX_REVOCATIONS_CHARS);
    await expect(store.putRevocations({ number: 1, pem: `${pem}x`, fetchedAt: 1 })).rejects.toMatchObject({
      code: 'INVALID',
    });
    expect(await store.putRevocations({ number: 1, pem, fetchedAt: 1 })).toBe(true);
    expect((await store.getRevocations())?.pem.length).toBe(MAX_REVOCATIONS_CHARS);
  });

  it('refuses numbers and texts that are none', async () => {
    const { store } = handles();
    for (const number of [-1, -1n, 1.5, 2 ** 53, 2n ** 160n])
      await expect(store.putRevocations({ number, pem: 'x', fetchedAt: 1 })).rejects.toMatchObject({ code: 'INVALID' });
    for (const pem of ['', 'ü', '\0'])
      await expect(store.putRevocations({ number: 1, pem, fetchedAt: 1 })).rejects.toMatchObject({ code: 'INVALID' });
    expect(await store.getRevocations()).toBeNull();
  });
}

function describeLifecycle(handles: Handles): void {
  it('keeps its data when a handle closes, and that handle only says CLOSED', async () => {
    const { store, other } = handles();
    await store.ping();
    await store.putDevice(aDevice(MAC));
    await store.close();
    await store.close();
    for (const operation of [() => store.ping(), () => store.getDevice(MAC), () => store.putDevice(aDevice(MAC))])
      await expect(operation()).rejects.toMatchObject({ name: 'StoreError', code: 'CLOSED', temporary: false });
    expect(await other.getDevice(MAC)).toEqual(aDevice(MAC));
  });
}
