import { expect, test } from 'vitest';
import { table } from './output.ts';

test('columns line up, numbers to the right, nothing hangs over', () => {
  const text = table(
    ['NAME', 'SESSIONS', 'STATE'],
    [
      ['s1', 5, 'up'],
      ['a-long-name', 12_000, { text: 'down', colour: 'red' }],
    ],
  );
  expect(text.split('\n')).toEqual(['NAME         SESSIONS  STATE', 's1                  5  up', 'a-long-name     12000  down']);
});

test('characters that take two columns are counted so, and marks are not', () => {
  const lines = table(['LABEL', 'X'], [['受付', 1], ['Büro', 2], ['Bu\u0308ro', 3], ['ハンコ', 4]]).split('\n');
  expect(lines).toEqual(['LABEL   X', '受付    1', 'Büro    2', 'Bu\u0308ro    3', 'ハンコ  4']);
});

test('what strangers wrote moves no terminal and is cut', () => {
  const text = table(['LABEL', 'X'], [['\u001b[2J\r\nroot\u202e', 1], [{ text: '\u0007', colour: 'red' }, 2], ['x'.repeat(10_000), 3]]);
  expect(text).toContain('\\u001b[2J\\u000d\\u000aroot\\u202e');
  expect(text.split('\n')).toHaveLength(4);
  // oxlint-disable-next-line no-control-regex -- that is what must not be there
  expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/u);
  expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThan(700);
});

test('an empty table is its head; a short row is filled', () => {
  expect(table(['A', 'B'], [])).toBe('A  B');
  expect(table(['A', 'B'], [['x']])).toBe('A  B\nx');
});
