import fc from 'fast-check';
import { REFUSALS, type RefusalCode } from '@sekisho/wire';
import { expect, test } from 'vitest';
import { RelayRace } from './relay-race.ts';

const make = (relays = 2): RelayRace => new RelayRace({ relays, startedAtMs: 0, ackTimeoutMs: 300, deadlineMs: 5000 });

/** Every relay to be opened at this time. */
function steps(race: RelayRace, nowMs: number): number[] {
  const opened: number[] = [];
  for (let relay = race.step(nowMs); relay !== undefined; relay = race.step(nowMs)) opened.push(relay);
  return opened;
}

test('an acknowledged session is not raced, however long the destination takes', () => {
  const race = make();
  expect(steps(race, 0)).toEqual([0]);
  race.acked(0);
  expect(steps(race, 4999)).toEqual([]);
  race.connected(0);
  expect(race.verdict).toEqual({ kind: 'connected', relay: 0 });
});

test('no acknowledgement for 300 ms: the second relay, and the first connected wins', () => {
  const race = make();
  steps(race, 0);
  expect(race.wakeAtMs).toBe(300);
  expect(steps(race, 299)).toEqual([]);
  expect(steps(race, 300)).toEqual([1]);
  race.acked(0);
  race.acked(1);
  race.connected(1);
  race.connected(0);
  expect(race.verdict).toEqual({ kind: 'connected', relay: 1 });
});

test('a lost relay and one that says elsewhere hand over at once', () => {
  for (const fail of [(race: RelayRace) => race.lost(0), (race: RelayRace) => race.refused(0, 'FULL')]) {
    const race = make();
    steps(race, 0);
    fail(race);
    expect(steps(race, 1)).toEqual([1]);
  }
});

test('a no that another relay may not overrule ends the race', () => {
  const race = make();
  steps(race, 0);
  race.refused(0, 'DESTINATION_PORT');
  expect(steps(race, 1)).toEqual([]);
  expect(race.verdict).toEqual({ kind: 'refused', code: 'DESTINATION_PORT' });
});

const unreached = ['DNS_FAILED', 'DNS_NOT_FOUND', 'CONNECT_TIMEOUT', 'CONNECT_REFUSED', 'CONNECT_UNREACHABLE'] as const;

test.each(unreached)('%s of the only relay that is asked is the answer, and no other is asked', (code) => {
  const race = make();
  steps(race, 0);
  race.acked(0);
  race.refused(0, code);
  expect(steps(race, 1)).toEqual([]);
  expect(race.verdict).toEqual({ kind: 'refused', code });
});

test.each(unreached)('%s of one relay: the other, which is asked already, may still connect', (code) => {
  for (const first of [0, 1]) {
    const race = make();
    steps(race, 0);
    steps(race, 300);
    race.refused(first, code);
    expect([steps(race, 301), race.verdict]).toEqual([[], undefined]);
    expect(race.wakeAtMs).toBe(5000);
    race.acked(1 - first);
    race.connected(1 - first);
    expect(race.verdict).toEqual({ kind: 'connected', relay: 1 - first });
  }
});

test.each<[string, (race: RelayRace) => void]>([
  ['lost', (race) => race.lost(1)],
  ['full', (race) => race.refused(1, 'FULL')],
  ['as far', (race) => race.refused(1, 'CONNECT_TIMEOUT')],
  ['silent to the end', (race) => steps(race, 5000)],
  ['at it to the end', (race) => (race.acked(1), steps(race, 5000))],
])('one relay did not reach the destination and the other is %s: the first says why, and a third is not asked', (_name, happen) => {
  const race = make(3);
  steps(race, 0);
  steps(race, 300);
  race.refused(0, 'CONNECT_REFUSED');
  expect(steps(race, 4000)).toEqual([]);
  expect(race.wakeAtMs).toBe(5000);
  happen(race);
  expect(steps(race, 4001)).toEqual([]);
  expect(race.verdict).toEqual({ kind: 'refused', code: 'CONNECT_REFUSED' });
});

test('a relay that is full says less than one that tried', () => {
  const race = make();
  steps(race, 0);
  steps(race, 300);
  race.refused(0, 'FULL');
  race.refused(1, 'DNS_NOT_FOUND');
  expect(steps(race, 301)).toEqual([]);
  expect(race.verdict).toEqual({ kind: 'refused', code: 'DNS_NOT_FOUND' });
});

test('a no that is final ends the race also while another relay is at it', () => {
  const race = make();
  steps(race, 0);
  steps(race, 300);
  race.refused(0, 'CONNECT_REFUSED');
  race.refused(1, 'DESTINATION_ADDRESS');
  expect(race.verdict).toEqual({ kind: 'refused', code: 'DESTINATION_ADDRESS' });
});

test('one no and one lost relay: refused, since a relay answered', () => {
  const race = make();
  steps(race, 0);
  race.refused(0, 'FULL');
  steps(race, 1);
  race.lost(1);
  steps(race, 2);
  expect(race.verdict).toEqual({ kind: 'refused', code: 'FULL' });
});

test('at the deadline: acknowledged but no answer is a refusal, no sign of life is unreachable', () => {
  const acked = make();
  steps(acked, 0);
  acked.acked(0);
  steps(acked, 5000);
  expect(acked.verdict).toEqual({ kind: 'refused', code: 'CONNECT_TIMEOUT' });
  const silent = make();
  steps(silent, 0);
  steps(silent, 300);
  steps(silent, 5000);
  expect(silent.verdict).toEqual({ kind: 'unreachable' });
});

const codes = Object.keys(REFUSALS) as RefusalCode[];
const event = fc.record({
  kind: fc.constantFrom('acked', 'connected', 'refused', 'lost', 'time'),
  relay: fc.nat(2),
  code: fc.constantFrom(...codes),
  waitMs: fc.nat(700),
});

test('whatever the relays do: decided by the deadline, each relay opened once, never unreachable after an answer', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 3 }), fc.array(event, { maxLength: 30 }), (relays, events) => {
      const race = make(relays);
      let nowMs = 0;
      const opened = steps(race, 0);
      let answered = false;
      for (const { kind, relay, code, waitMs } of events) {
        if (race.verdict !== undefined) break;
        if (kind === 'time') nowMs += waitMs;
        else if (opened.includes(relay)) {
          if (kind === 'refused') race.refused(relay, code);
          else race[kind](relay);
          answered ||= kind === 'refused' || kind === 'connected';
        }
        opened.push(...steps(race, nowMs));
      }
      steps(race, 5000);
      expect(race.verdict).toBeDefined();
      expect(new Set(opened).size).toBe(opened.length);
      if (answered) expect(race.verdict?.kind).not.toBe('unreachable');
    }),
  );
});

test('all are asked and nobody says anything: it is known as soon as the last one is overdue, and once', () => {
  const race = make();
  steps(race, 0);
  steps(race, 300);
  expect([race.isSilent, race.wakeAtMs]).toEqual([false, 600]);
  expect(steps(race, 600)).toEqual([]);
  expect([race.isSilent, race.verdict, race.wakeAtMs]).toEqual([true, undefined, 5000]);
  race.acked(0);
  expect(race.isSilent).toBe(false);
});

test('the relays of a new lease join: at once when the others are overdue, and any of them may win', () => {
  const race = make();
  steps(race, 0);
  steps(race, 300);
  steps(race, 600);
  race.extend(2);
  expect(steps(race, 700)).toEqual([2]);
  expect([race.isSilent, race.wakeAtMs]).toEqual([false, 1000]);
  expect(steps(race, 1000)).toEqual([3]);
  race.connected(1);
  expect(race.verdict).toEqual({ kind: 'connected', relay: 1 });
});

test('they wait for their turn while another one may still acknowledge; one that cannot be had costs no time', () => {
  const race = make();
  steps(race, 0);
  race.extend(1);
  expect(steps(race, 299)).toEqual([]);
  expect(steps(race, 300)).toEqual([1]);
  race.lost(1);
  expect(steps(race, 301)).toEqual([2]);
});

test.each(['TICKET_EXPIRED', 'TICKET_INVALID', 'TICKET_MISMATCH'] as const)('%s is the opinion of one relay: the next is asked, and if it says so, too, that is the answer', (code) => {
  const race = make();
  steps(race, 0);
  race.refused(0, code);
  expect(steps(race, 1)).toEqual([1]);
  race.refused(1, code);
  expect(steps(race, 2)).toEqual([]);
  expect(race.verdict).toEqual({ kind: 'refused', code });
});
