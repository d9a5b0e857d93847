import { expect, test } from 'vitest';
import { samplePlot } from './samples.ts';
import { sparklines } from './sparkline.ts';

const lines = (changes: Parameters<typeof samplePlot>[0]): string[] => sparklines(samplePlot(changes), 100);

test('all series on one scale from zero, figures in columns', () => {
  const series = [
    { label: 'tokyo', values: [0, 50, 100] },
    { label: 'osaka-1', values: [7.5, 7.5, 7.5] },
  ];
  expect(lines({ series })).toEqual([
    'Sessions, sessions/s',
    `  tokyo    ${'▁'.repeat(14)}${'▅'.repeat(13)}${'█'.repeat(13)}  min   0  max 100`,
    `  osaka-1  ${'▁'.repeat(40)}  min 7.5  max 7.5`,
    '  since the start: 0 s to 2 s',
  ]);
});

test('a gap is empty, a peak among 100,000 values is seen', () => {
  const xs = Array.from({ length: 100_000 }, (_, index) => index);
  const values = xs.map((x) => (x < 50_000 ? null : x === 77_777 ? 800 : 1));
  const spark = lines({ xs, series: [{ label: 's', values }] })[1]?.slice(5, 45);
  expect(spark).toBe(`${' '.repeat(20)}${'▁'.repeat(11)}█${'▁'.repeat(8)}`);
});

test('one point, no point, a series of gaps', () => {
  expect(lines({ xs: [3], series: [{ label: 's', values: [7] }] })[1]).toBe(`  s  ${'█'.repeat(40)}  min 7  max 7`);
  expect(lines({ xs: [], series: [{ label: 's', values: [] }] })).toEqual(['Sessions, sessions/s', '  no values']);
  const series = [{ label: 'a', values: [1, 2, 3] }, { label: 'b', values: [null, null, null] }];
  expect(lines({ series })[2]).toBe(`  b  ${' '.repeat(40)}  min –  max –`);
});

test('marks are told below; a long name is cut; a crowd is counted', () => {
  const series = Array.from({ length: 300 }, (_, index) => ({ label: `relay-${index}`.padEnd(50, 'x'), values: [1, 2, 3] }));
  const found = lines({ series, marks: [{ x: 1, label: 'osaka dies' }] });
  expect(found).toHaveLength(1 + 40 + 3);
  expect(found[1]).toMatch(/^ {2}relay-0x{20}… {2}/u);
  expect(found.slice(-3)).toEqual(['  and 260 more', '  since the start: 0 s to 2 s', '  marks: 1 s osaka dies']);
});
