import { expect, test } from 'vitest';
import { textTable } from './text-table.ts';

const columns = [{ label: 'Site' }, { label: 'Note' }, { label: 'Clients', align: 'right' as const }];

test('columns are aligned by characters, not by UTF-16 units', () => {
  expect(textTable({ columns, rows: [['東京', '😀', '5'], ['osaka', '', '1,000']] }, 100)).toEqual([
    '  Site   Note  Clients',
    '  -----  ----  -------',
    '  東京     😀           5',
    '  osaka          1,000',
  ]);
});

test('a table that is too wide wraps its widest texts, and numbers stay whole', () => {
  const note = 'down from ten to twelve and brought back afterwards';
  expect(textTable({ columns, rows: [['osaka', note, '1,000']] }, 44)).toEqual([
    '  Site   Note                        Clients',
    '  -----  --------------------------  -------',
    '  osaka  down from ten to twelve       1,000',
    '         and brought back',
    '         afterwards',
  ]);
});

test('a column of numbers is never wrapped: the table is wider', () => {
  const label = 'sessions that were refused, of all that were asked for';
  expect(textTable({ columns: [{ label, align: 'right' }], rows: [] }, 44)[0]).toBe(`  ${label}`);
});
