import { expect, test } from 'vitest';
import { describePlot, figuresTable } from './plot-figures.ts';
import { samplePlot } from './samples.ts';

const plot = samplePlot({
  series: [
    { label: 'low', values: [1, 2, 3] },
    { label: 'high', values: [null, 9, 6] },
    { label: 'as high', values: [9, 0, null] },
    { label: 'none', values: [null, null, null] },
  ],
});

test('the highest of all curves is told, the first one of equals', () => {
  expect(describePlot(plot)).toBe('Sessions, sessions/s: 4 curves over since the start, 0 s to 2 s. Highest: 9 (high) at 1 s.');
});

test('gaps count for nothing', () => {
  expect(figuresTable(plot).rows).toEqual([
    ['low', '1', '2', '3', '2 s', '3'],
    ['high', '6', '7.5', '9', '1 s', '6'],
    ['as high', '0', '4.5', '9', '0 s', '0'],
    ['none', '–', '–', '–', '–', '–'],
  ]);
});
