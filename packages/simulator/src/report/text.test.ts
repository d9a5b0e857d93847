import { expect, test } from 'vitest';
import { samplePlot, sampleReport } from './samples.ts';
import { renderText } from './text.ts';

test('a whole report', () => {
  expect(renderText(sampleReport())).toBe(`A run
=====

All was well.

Conditions
  Seed  42

Result
------

First.

Second.

  Relay  Sessions
  -----  --------
  s1        1,000
  s2            9

Sessions, sessions/s
  s1  ▃▃▃▃▃▃▃▃▃▃▃▃▃▃█████████████▆▆▆▆▆▆▆▆▆▆▆▆▆  min 1  max 3
  since the start: 0 s to 2 s
`);
});

test('words wrap before column 100; a text of many words is not cut', () => {
  const text = renderText(sampleReport({ summary: 'word '.repeat(300), conditions: [{ label: 'CPU', value: 'core '.repeat(40) }] }));
  for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(100);
  expect(text.match(/\bword\b/gu)).toHaveLength(300);
  expect(text.match(/\bcore\b/gu)).toHaveLength(40);
});

test('what a stranger sent cannot move the terminal, wherever it stands', () => {
  const evil = '\u001b[2Jx\u202e';
  const text = renderText({
    title: evil,
    summary: evil,
    conditions: [{ label: evil, value: evil }],
    sections: [
      {
        heading: evil,
        text: evil,
        tables: [{ columns: [{ label: evil }], rows: [[evil]] }],
        plots: [samplePlot({ title: evil, xLabel: evil, yLabel: evil, series: [{ label: evil, values: [1, 2, 3] }], marks: [{ x: 1, label: evil }] })],
      },
    ],
  });
  expect(text).not.toMatch(/(?!\n)[\p{Cc}\p{Cf}]/u);
  expect(text.match(/\\u001b\[2Jx\\u202e/gu)).toHaveLength(13);
});

test('a series with a value that is no number is refused', () => {
  const plots = [samplePlot({ series: [{ label: 's9', values: [1, Number.NaN, 2] }] })];
  expect(() => renderText(sampleReport({ sections: [{ heading: 'h', plots }] }))).toThrow(/series "s9"/u);
});

test('a report of nothing', () => {
  expect(renderText({ title: 'A run', summary: '', conditions: [], sections: [] })).toBe('A run\n=====\n');
});
