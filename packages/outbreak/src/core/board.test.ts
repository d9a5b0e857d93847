import { describe, expect, test } from 'vitest';
import { aSighting, macNumber } from '../testing/detections.ts';
import { BoardSite, HOUR_MS, MINUTE_MS, START_MS } from '../testing/site.ts';
import { MAX_OUTBREAKS, OutbreakBoard } from './board.ts';
import { MAX_WAITING_DETECTIONS } from './detection-window.ts';
import { decodeOutbreak, encodeOutbreak } from './outbreak-document.ts';
import { outbreakName } from './outbreak.ts';
import type { Sighting } from './sighting.ts';

const DEVICE = outbreakName('device', macNumber(1));

function many(count: number, fields: Parameters<typeof aSighting>[0] = {}): Sighting[] {
  return Array.from({ length: count }, () => aSighting({ at: START_MS, ...fields }));
}

/** One detection of each of `count` devices. */
function devices(count: number, fields: Parameters<typeof aSighting>[0] = {}, first = 1): Sighting[] {
  return Array.from({ length: count }, (_, index) => aSighting({ at: START_MS, mac: macNumber(first + index), ...fields }));
}

describe('the window', () => {
  test('as many as the threshold open an outbreak, one less does not', () => {
    const site = new BoardSite();
    site.take(...many(19));
    expect(site.evaluate().changes).toEqual([]);
    site.take(aSighting({ at: START_MS }));
    expect(site.evaluate().changes.map(({ name, what }) => [name, what])).toEqual([[DEVICE, 'opened']]);
  });

  test('detections further apart than the window do not count together', () => {
    const site = new BoardSite();
    for (let index = 0; index < 100; index += 1) {
      site.take(aSighting({ at: site.nowMs }));
      site.pass(32_000);
    }
    expect(site.history).toEqual([]);
    for (let index = 0; index < 20; index += 1) {
      site.take(aSighting({ at: site.nowMs }));
      site.pass(31_000);
    }
    expect(site.history[0]).toBe(`opened ${DEVICE}`);
  });

  test('detections that come late are counted by when they were found', () => {
    const site = new BoardSite();
    // For 40 minutes nobody could reach the store.
    site.take(...many(10, { at: START_MS - 40 * MINUTE_MS }), ...many(10, { at: START_MS - 35 * MINUTE_MS }));
    site.take(...many(19, { mac: macNumber(2), at: START_MS - 40 * MINUTE_MS }), aSighting({ mac: macNumber(2), at: START_MS - 29 * MINUTE_MS }));
    expect(site.evaluate().changes.map(({ name }) => name)).toEqual([DEVICE]);
  });

  test('what is hours old opens nothing', () => {
    const site = new BoardSite();
    site.take(...many(100, { at: START_MS - 2 * HOUR_MS }));
    expect(site.evaluate().changes).toEqual([]);
    expect(site.board.waiting).toBe(0);
  });

  test('a reporter whose clock is ahead counts now', () => {
    const site = new BoardSite();
    site.take(...many(20, { at: START_MS + 24 * HOUR_MS }));
    site.evaluate();
    expect(site.outbreaks.get(DEVICE)).toMatchObject({ firstAt: START_MS, tally: { lastAt: START_MS } });
  });

  test('a flood of different things is bounded, and the oldest go', () => {
    const site = new BoardSite({ thresholds: { device: 20, contact: 50, signature: 1_000_000 } });
    const flood = (count: number, at: number): Sighting[] => Array.from({ length: count }, () => aSighting({ mac: null, at }));
    site.take(...flood(MAX_WAITING_DETECTIONS, START_MS - 1000));
    site.take(...flood(1, START_MS));
    expect(site.board.waiting).toBeLessThanOrEqual(MAX_WAITING_DETECTIONS);
    expect(site.board.dropped).toBeGreaterThan(0);
    expect(site.board.counts('signature', START_MS).get('Win.Test.EICAR_HDB-1')).toBeGreaterThan(0);
  });
});

describe('one outbreak, one alert', () => {
  test('10,000 notices of one machine are an outbreak of the device, not also of its customer and of the virus', () => {
    const site = new BoardSite();
    for (let index = 0; index < 10; index += 1) {
      site.take(...many(1000, { contact: 'ann@example.com' }));
      site.evaluate();
    }
    expect(site.history).toEqual([`opened ${DEVICE}`]);
    expect(site.board.current(DEVICE)?.tally.count).toBe(10_000);
    expect(site.board.waiting).toBe(0);
  });

  test('whatever the steps in which they are read', () => {
    for (const step of [1, 7, 19, 20, 49, 333]) {
      const site = new BoardSite();
      for (let read = 0; read < 1000; read += step) {
        site.take(...many(Math.min(step, 1000 - read), { contact: 'ann@example.com' }));
        site.evaluate();
      }
      expect(site.history, `steps of ${step}`).toEqual([`opened ${DEVICE}`]);
      expect(site.board.current(DEVICE)?.tally.count).toBe(1000);
    }
  });

  test('many devices of one customer are an outbreak of the customer, not of the virus', () => {
    const site = new BoardSite();
    for (let round = 0; round < 10; round += 1) {
      site.take(...devices(15, { registeredContact: 'Ann <ann@example.com>' }));
      site.evaluate();
    }
    const name = outbreakName('contact', 'ann <ann@example.com>');
    expect(site.history).toEqual([`opened ${name}`]);
    expect(site.board.current(name)).toMatchObject({ customer: 'ann@example.com', tally: { count: 150 } });
  });

  test('many customers with one virus are an outbreak of the virus', () => {
    const site = new BoardSite();
    site.take(...devices(100));
    site.evaluate();
    expect(site.history).toEqual([`opened ${outbreakName('signature', 'Win.Test.EICAR_HDB-1')}`]);
  });

  test('detections of an open outbreak of a device count towards nothing else', () => {
    const site = new BoardSite();
    site.take(...many(20, { registeredContact: 'ann@example.com' }));
    site.evaluate();
    // 49 of the customer's others, and any number of the one that is known.
    site.take(...devices(49, { registeredContact: 'ann@example.com' }, 2), ...many(500, { registeredContact: 'ann@example.com' }));
    site.evaluate();
    expect(site.history).toEqual([`opened ${DEVICE}`]);
    site.take(...devices(1, { registeredContact: 'ann@example.com' }, 60));
    site.evaluate();
    expect(site.history.at(-1)).toBe(`opened ${outbreakName('contact', 'ann@example.com')}`);
  });

  test('a device stands out of the outbreak of its customer when it passes its own threshold', () => {
    const site = new BoardSite();
    site.take(...devices(50, { registeredContact: 'ann@example.com' }), ...many(18, { registeredContact: 'ann@example.com' }));
    site.evaluate();
    expect(site.history).toHaveLength(1);
    site.take(...many(1, { registeredContact: 'ann@example.com' }));
    site.evaluate();
    expect(site.history.at(-1)).toBe(`opened ${DEVICE}`);
    expect(site.outbreaks.get(DEVICE)?.tally.count).toBe(20);
  });

  test('detections that are out of order by minutes belong to the outbreak all the same', () => {
    const site = new BoardSite();
    site.take(...many(20));
    site.evaluate();
    site.take(...many(300, { at: START_MS - 5 * MINUTE_MS }));
    site.evaluate();
    expect(site.history).toEqual([`opened ${DEVICE}`]);
  });

  test('what was found long before an open outbreak does not open it again', () => {
    const site = new BoardSite();
    site.take(...many(20));
    site.evaluate();
    site.take(...many(20, { at: START_MS - 65 * MINUTE_MS }));
    expect(site.evaluate().changes).toEqual([]);
  });

  test('what several servers see: an outbreak that another one has opened takes what waits here', () => {
    const [one, other] = [new BoardSite(), new BoardSite()];
    one.take(...many(30));
    one.evaluate();
    other.take(...many(10));
    other.outbreaks = one.outbreaks;
    other.board.adopt(one.outbreaks);
    expect(other.board.current(DEVICE)?.tally.count).toBe(30);
    other.take(...many(40));
    expect(other.board.current(DEVICE)?.tally.count).toBe(50);
    expect(other.evaluate().changes).toEqual([]);
    expect(other.board.waiting).toBe(0);
  });
});

describe('limits', () => {
  test('too many devices at once: what has no room counts towards the virus', () => {
    const site = new BoardSite();
    const sightings = Array.from({ length: MAX_OUTBREAKS.device + 10 }, (_, index) => many(20, { mac: macNumber(index) })).flat();
    site.take(...sightings);
    expect(site.evaluate().refused).toBe(10);
    const levels = [...site.outbreaks.values()].map(({ level }) => level);
    expect(levels.filter((level) => level === 'device')).toHaveLength(MAX_OUTBREAKS.device);
    expect(levels.filter((level) => level === 'signature')).toHaveLength(1);
  });

  test('a stranger cannot make a document too large, nor one that cannot be read back', () => {
    const site = new BoardSite();
    const nasty = (char: string, length: number): string => char.repeat(length);
    for (const char of ['\u0000', '"', '\\', '\ud800', '\u202e', '𝕏', '\n']) {
      site.take(...Array.from({ length: 50 }, (_, index) =>
        aSighting({ at: START_MS, signature: nasty(char, 100) + index, client: nasty(char, 250), destination: nasty(char, 250), reporter: nasty(char, 250), contact: nasty(char, 250) }),
      ));
      site.evaluate();
    }
    site.take(...devices(50, { contact: nasty('\u0000', 256), signature: nasty('\u0000', 128) }, 100), ...devices(100, { signature: nasty('\u0001', 128) }, 200));
    site.evaluate();
    expect(site.outbreaks.size).toBeGreaterThanOrEqual(3);
    for (const outbreak of site.outbreaks.values()) {
      const body = encodeOutbreak(outbreak);
      expect(body.length).toBeLessThan(12_000);
      expect(body).toSatisfy((text: string) => text.isWellFormed() && !text.includes('\0'));
      expect(decodeOutbreak(body)).toEqual(outbreak);
    }
  });
});

describe('the life of an outbreak', () => {
  function open(site: BoardSite): void {
    site.take(...many(20, { at: site.nowMs }));
    site.evaluate();
  }

  /** A detection each minute for so long. */
  function lasts(site: BoardSite, ms: number): string[] {
    const before = site.history.length;
    for (let passed = 0; passed < ms; passed += MINUTE_MS) {
      site.take(aSighting({ at: site.nowMs }));
      site.pass(MINUTE_MS);
    }
    return site.history.slice(before).filter((one) => !one.startsWith('saved'));
  }

  test('silence for the cool-down, then a digest each time, and an all-clear when nothing comes', () => {
    const site = new BoardSite();
    open(site);
    expect(lasts(site, HOUR_MS - MINUTE_MS)).toEqual([]);
    expect(lasts(site, 2 * MINUTE_MS)).toEqual([`digest ${DEVICE}`]);
    expect(lasts(site, 59 * MINUTE_MS)).toEqual([`digest ${DEVICE}`]);
    expect(site.pass(28 * MINUTE_MS)).toEqual([]);
    expect(site.pass(3 * MINUTE_MS)).toEqual([`ended ${DEVICE}`]);
    expect(site.outbreaks.get(DEVICE)).toMatchObject({ endedAt: site.nowMs - 2 * MINUTE_MS, event: { number: 4, stage: 'clear' }, tally: { count: 140 } });
  });

  test('without new detections there is no digest', () => {
    const site = new BoardSite({ clearAfterMs: 5 * HOUR_MS });
    open(site);
    expect(site.pass(4 * HOUR_MS)).toEqual([]);
    site.take(aSighting({ at: site.nowMs }));
    expect(site.pass(MINUTE_MS)).toEqual([`digest ${DEVICE}`]);
  });

  test('one that is acknowledged has no digests, but an all-clear', () => {
    const site = new BoardSite();
    open(site);
    const acked = { ...site.outbreaks.get(DEVICE)!, ack: { by: 'ann', at: site.nowMs } };
    site.outbreaks = new Map([[DEVICE, acked]]);
    site.board.adopt(site.outbreaks);
    expect(lasts(site, 5 * HOUR_MS)).toEqual([]);
    expect(site.pass(HOUR_MS)).toEqual([`ended ${DEVICE}`]);
    // The next one is another.
    open(site);
    expect(site.outbreaks.get(DEVICE)).toMatchObject({ ack: null, event: { number: 1, stage: 'alert' } });
    expect(lasts(site, 61 * MINUTE_MS)).toEqual([`digest ${DEVICE}`]);
  });

  test('it does not end while detections may be missing', () => {
    const site = new BoardSite();
    open(site);
    site.nowMs += 5 * HOUR_MS;
    expect(site.evaluate({ mayEnd: false }).changes).toEqual([]);
    expect(site.evaluate({ mayEnd: true }).changes).toMatchObject([{ what: 'ended' }]);
  });

  test('what it counted is not counted again when the log is read anew', () => {
    const site = new BoardSite();
    open(site);
    lasts(site, 10 * MINUTE_MS);
    site.pass(31 * MINUTE_MS);
    expect(site.history.at(-1)).toBe(`ended ${DEVICE}`);
    const later = new OutbreakBoard({ windowMs: 10 * MINUTE_MS, thresholds: { device: 20, contact: 50, signature: 20 }, coolDownMs: HOUR_MS, clearAfterMs: 30 * MINUTE_MS });
    later.adopt(site.outbreaks);
    later.take(many(20), site.nowMs);
    expect(later.evaluate(site.nowMs, { mayEnd: true, isTold: () => true }).changes).toEqual([]);
  });

  test('it is forgotten when nothing of it can be counted again and everybody is told', () => {
    const site = new BoardSite();
    open(site);
    site.pass(31 * MINUTE_MS);
    site.nowMs += 69 * MINUTE_MS;
    expect(site.evaluate().changes).toEqual([]);
    site.nowMs += 2 * MINUTE_MS;
    expect(site.evaluate({ isTold: false }).changes).toEqual([]);
    expect(site.evaluate().changes).toEqual([{ name: DEVICE, next: null, what: 'removed' }]);
  });

  test('one of which nobody can be told is forgotten after a week', () => {
    const site = new BoardSite();
    open(site);
    site.pass(31 * MINUTE_MS);
    site.nowMs += 7 * 24 * HOUR_MS;
    expect(site.evaluate({ isTold: false }).changes).toMatchObject([{ what: 'removed' }]);
  });

  test('a clock that goes back neither silences it nor keeps it alive', () => {
    const site = new BoardSite();
    open(site);
    site.nowMs -= 24 * HOUR_MS;
    expect(lasts(site, 58 * MINUTE_MS)).toEqual([]);
    expect(lasts(site, 4 * MINUTE_MS)).toEqual([`digest ${DEVICE}`]);
    expect(site.pass(32 * MINUTE_MS)).toEqual([`ended ${DEVICE}`]);
  });

  test('a clock that goes back opens nothing', () => {
    const site = new BoardSite();
    site.take(...many(19));
    site.evaluate();
    site.nowMs -= 3 * HOUR_MS;
    site.take(aSighting({ at: site.nowMs }));
    expect(site.evaluate().changes).toEqual([]);
  });

  test('its count is written down now and then', () => {
    const site = new BoardSite();
    open(site);
    site.take(...many(5, { at: site.nowMs }));
    expect(site.evaluate().changes).toEqual([]);
    site.nowMs += MINUTE_MS;
    expect(site.evaluate().changes).toMatchObject([{ what: 'saved', next: { tally: { count: 25 } } }]);
  });
});

describe('after a restart', () => {
  test('counts are rebuilt from the log', () => {
    const site = new BoardSite();
    const log = [...many(30, { label: 'Front office' }), ...many(19, { mac: macNumber(2) })];
    site.take(...log);
    site.evaluate();
    const restarted = new BoardSite();
    restarted.outbreaks = site.outbreaks;
    restarted.board.adopt(restarted.outbreaks);
    restarted.take(...log, ...many(12));
    restarted.board.recover();
    expect(restarted.board.current(DEVICE)?.tally.count).toBe(42);
    restarted.take(aSighting({ at: START_MS, mac: macNumber(2) }));
    expect(restarted.evaluate().changes).toMatchObject([{ what: 'opened', next: { subject: macNumber(2), tally: { count: 20 } } }]);
  });

  test('an outbreak older than the log goes on from what was written down', () => {
    const site = new BoardSite();
    site.take(...many(500));
    site.evaluate();
    const restarted = new BoardSite();
    restarted.outbreaks = site.outbreaks;
    restarted.board.adopt(restarted.outbreaks);
    restarted.take(...many(3));
    restarted.board.recover();
    restarted.take(...many(4));
    expect(restarted.board.current(DEVICE)?.tally).toMatchObject({ count: 504, signatures: { top: [['Win.Test.EICAR_HDB-1', 504]] } });
  });
});

test('the facts of an outbreak', () => {
  const site = new BoardSite();
  site.take(
    ...many(15, { label: 'Front office', at: START_MS - 5 * MINUTE_MS }),
    ...many(7, { label: 'Front office', signature: 'Other.Virus', client: '[fd00::5]:40000', reporter: 's2', destination: null }),
  );
  site.evaluate();
  expect(site.outbreaks.get(DEVICE)).toMatchObject({
    level: 'device',
    subject: macNumber(1),
    label: 'Front office',
    customer: null,
    firstAt: START_MS - 5 * MINUTE_MS,
    openedAt: START_MS,
    tally: {
      count: 22,
      lastAt: START_MS,
      signatures: { top: [['Win.Test.EICAR_HDB-1', 15], ['Other.Virus', 7]], others: 0 },
      clients: { top: [['192.168.1.5', 15], ['fd00::5', 7]] },
      destinations: { top: [['mail.example.com:587', 15]] },
      reporters: { top: [['s1', 15], ['s2', 7]] },
    },
  });
});

test("a notice that claims a customer's address counts for him, and shows him nobody else's device", () => {
  const site = new BoardSite();
  site.take(...devices(30, { registeredContact: 'ann@example.com' }), ...devices(25, { contact: 'Ann@example.com', mac: macNumber(99) }).slice(0, 19), aSighting({ at: START_MS, mac: null, contact: 'ann@example.com' }));
  site.evaluate();
  const [outbreak] = site.outbreaks.values();
  expect(outbreak).toMatchObject({ level: 'contact', customer: 'ann@example.com', tally: { count: 50 } });
  expect(outbreak?.tally.devices.top.map(([mac]) => mac)).not.toContain(macNumber(99));
});

test('a contact that only notices claim is never written to', () => {
  const site = new BoardSite();
  site.take(...devices(50, { contact: 'victim@example.net' }));
  site.evaluate();
  expect([...site.outbreaks.values()]).toMatchObject([{ level: 'contact', subject: 'victim@example.net', customer: null }]);
});
