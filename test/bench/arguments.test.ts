import { expect, test } from 'vitest';
import { parseArguments } from '../../bench/arguments.ts';

test('without arguments: everything, in three rounds, as text', () => {
  expect(parseArguments([])).toEqual({ format: 'text', isQuick: false, only: [], rounds: 3 });
});

test('quick is one round, unless told otherwise', () => {
  expect(parseArguments(['--quick', '--json'])).toEqual({ format: 'json', isQuick: true, only: [], rounds: 1 });
  expect(parseArguments(['--quick', '--rounds', '7', '--only', 'relay.', '--only', 'chain.'])).toEqual({
    format: 'text',
    isQuick: true,
    only: ['relay.', 'chain.'],
    rounds: 7,
  });
});

test.each(['0', '1.5', 'many', '101'])('%s rounds are refused', (rounds) => {
  expect(() => parseArguments(['--rounds', rounds])).toThrow(/from 1 to 100/u);
});

test('what there is not, and what contradicts, is refused', () => {
  expect(() => parseArguments(['--onyl', 'x'])).toThrow(/--onyl/u);
  expect(() => parseArguments(['x'])).toThrow(/'x'/u);
  expect(() => parseArguments(['--json', '--markdown'])).toThrow(/exclude/u);
});
