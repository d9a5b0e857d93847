import { describe, expect, test } from 'vitest';
import type { ShownStatus } from './shown-status.ts';
import { gravestFirst, subjectsOf, worstOf } from './subjects.ts';
import { shownRelay, shownStatus } from './testing/shown-site.ts';

const of = (status: ShownStatus, name: string) => subjectsOf(status).find((subject) => subject.name === name);

test('a site that is well has nothing to say', () => {
  expect(subjectsOf(shownStatus()).map(({ name, value, level, next }) => [name, value, level, next])).toEqual([
    ['Relays', '2 of 2 up', 'ok', null],
    ['Managers', '2 of 2 up', 'ok', null],
    ['Scanners', '4 of 4 up', 'ok', null],
    ['Auths', '2 of 2 up', 'ok', null],
    ['Store', 'up', 'ok', null],
    ['Agents', '400, none direct', 'ok', null],
  ]);
});

describe('every loss of redundancy is a line with who it is and what to do', () => {
  const relay = (changes: Parameters<typeof shownRelay>[0]) => shownStatus({}, [shownRelay(), shownRelay({ name: 's2', ...changes })]);
  const poor = (scannersUp: number) => relay({ inspection: { scanners: 2, scannersUp, clean: 0, infected: 0, unscannable: 0, uninspected: 0 } });
  const [first, second] = shownStatus().auths;
  const panic = (): ShownStatus => {
    const status = shownStatus({}, ['s1', 's2'].map((name) => shownRelay({ name, state: 'overloaded' })));
    return { ...status, table: { ...status.table, panic: true } };
  };

  test.each<[string, string, ShownStatus, string, string, RegExp]>([
    ['a relay', 'Relays', relay({ state: 'down' }), '1 of 2 up', 'lost', /s2 DOWN.*table/u],
    ['a relay that is drained', 'Relays', relay({ state: 'draining' }), '1 of 2 up', 'note', /s2 DRAIN/u],
    ['all relays', 'Relays', shownStatus({}, [shownRelay({ state: 'full' }), shownRelay({ name: 's2', state: 'down' })]), '0 of 2 up', 'out', /^s2 DOWN, s1 FULL.*other sites, or directly/u],
    ['all relays, in panic', 'Relays', panic(), '0 of 2 up', 'out', /OVERLOADED. They carry the mail all the same/u],
    ['a manager', 'Managers', shownStatus({ managers: [...shownStatus().managers.slice(0, 1), { ...shownStatus().managers[1]!, lostAt: 5, reason: 'ECONNREFUSED' }] }), '1 of 2 up', 'lost', /s2.*ECONNREFUSED.*port manager/u],
    ['a manager that stops', 'Managers', shownStatus({ stopping: true }), '2 of 2 up', 'note', /s1.*being stopped/u],
    ['a scanner', 'Scanners', poor(1), '3 of 4 up', 'lost', /s2 misses 1.*clamd/u],
    ['all scanners of a relay', 'Scanners', poor(0), '2 of 4 up', 'out', /s2 misses 2/u],
    ['an auth', 'Auths', shownStatus({ auths: [first!, { ...second!, up: false }] }), '1 of 2 up', 'lost', /s2 does not answer/u],
    ['all auths', 'Auths', shownStatus({ auths: [first!, second!].map((auth) => ({ ...auth, up: false })) }), '0 of 2 up', 'out', /s1, s2: no tickets/u],
    ['the store', 'Store', shownStatus({ store: { up: false, reason: 'no answer within 1000 ms' } }), 'down', 'lost', /1000 ms.*Redis/u],
    ['agents past the relays', 'Agents', shownStatus({ direct: { agents: 3 }, pushesPending: 9 }), '400, 3 direct, 9 to move', 'out', /trace/u],
    ['a second one that was never there', 'Auths', shownStatus({ auths: [first!] }), '1 of 1 up', 'note', /no second one/u],
    ['one site.yaml', 'site.yaml', relay({ config: 'fedcba9876543210' }), 'differs', 'lost', /^s2 runs with another one/u],
    ['one time', 'Clocks', relay({ clockOffsetMs: -6000 }), 'differ', 'lost', /^s2 has another time.*NTP/u],
  ])('%s', (_, name, status, value, level, next) => {
    expect(of(status, name)).toEqual({ name, value, level, next: expect.stringMatching(next) });
  });

  test('a site that inspects nothing has no scanners to lose', () => {
    expect(of(shownStatus({}, [shownRelay({ inspection: null })]), 'Scanners')).toMatchObject({ value: 'not inspected', level: 'ok' });
  });
});

test('the gravest is told first', () => {
  expect(worstOf([])).toBe('ok');
  expect(worstOf(['note', 'out', 'lost'])).toBe('out');
  const subject = (level: 'ok' | 'note' | 'lost' | 'out') => ({ name: level, value: '', level, next: null });
  expect(gravestFirst((['ok', 'lost', 'out', 'note'] as const).map(subject)).map(({ level }) => level)).toEqual(['out', 'lost', 'note', 'ok']);
});
