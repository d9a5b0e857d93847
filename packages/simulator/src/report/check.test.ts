import { expect, test } from 'vitest';
import { checkPlot, checkReport } from './check.ts';
import { samplePlot, sampleReport } from './samples.ts';

test.each([
  [{ series: [{ label: 's1', values: [1, Number.NaN, 2] }] }, 'plot "Sessions", series "s1": value 1 is NaN'],
  [{ series: [{ label: 's1', values: [1, 2, Infinity] }] }, 'plot "Sessions", series "s1": value 2 is Infinity'],
  [{ series: [{ label: 's1', values: [1, 2] }] }, 'plot "Sessions", series "s1": 2 values for 3 xs'],
  [{ xs: [0, 1, 1] }, 'plot "Sessions": x 2 does not rise'],
  [{ xs: [0, Number.NaN, 2] }, 'plot "Sessions": x 1 is NaN'],
  [{ marks: [{ x: Number.NaN, label: 'end' }] }, 'plot "Sessions", mark "end": x is NaN'],
])('a plot that cannot be drawn is refused by name: %j', (changes, message) => {
  expect(() => checkPlot(samplePlot(changes))).toThrow(new RangeError(message));
});

test.each([
  [{ series: [{ label: 's1', values: [null, 0, -1] }] }],
  [{ xs: [5], series: [{ label: 's1', values: [1] }] }],
  [{ xs: [], series: [] }],
])('gaps, one point and no point are fine: %j', (changes) => {
  expect(() => checkPlot(samplePlot(changes))).not.toThrow();
});

test('a row of another length than the columns is refused', () => {
  const table = { columns: [{ label: 'Relay' }], rows: [['s1'], ['s2', '9']] };
  expect(() => checkReport(sampleReport({ sections: [{ heading: 'Relays', tables: [table] }] }))).toThrow(
    new RangeError('table of "Relays": row 1 has 2 cells for 1 columns'),
  );
});
