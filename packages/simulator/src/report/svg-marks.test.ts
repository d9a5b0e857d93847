import { expect, test } from 'vitest';
import { samplePlot } from './samples.ts';
import { markLabels } from './svg-marks.ts';

const area = { left: 0, right: 400, character: 7, labelCharacters: 20 };
const place = (marks: { x: number; label: string }[]) => markLabels(samplePlot({ marks }), (x) => x * 100, area);

test('labels that would overlap go below each other, in the order of their places', () => {
  const { rows, labels } = place([
    { x: 1.2, label: 'osaka is back' },
    { x: 1, label: 'osaka dies' },
    { x: 3, label: 'end' },
  ]);
  expect(rows).toBe(2);
  expect(labels.map(({ label, row }) => [label, row])).toEqual([['osaka dies', 0], ['osaka is back', 1], ['end', 0]]);
});

test('at the right edge a label stands left of its line', () => {
  expect(place([{ x: 3.9, label: 'midnight' }]).labels).toEqual([{ x: 390, row: 0, anchor: 'end', textX: 386, label: 'midnight' }]);
});

test('a label without room is left out, its line is not; a mark outside is', () => {
  const { rows, labels } = place([...[1, 1.1, 1.2, 1.3].map((x) => ({ x, label: `at ${x}, crowded` })), { x: 9, label: 'outside' }]);
  expect(rows).toBe(3);
  expect(labels.map(({ label }) => label)).toEqual(['at 1, crowded', 'at 1.1, crowded', 'at 1.2, crowded', '']);
});

test('a long label is cut', () => {
  expect(place([{ x: 1, label: 'x'.repeat(500) }]).labels[0]?.label).toBe(`${'x'.repeat(19)}…`);
});
