import { expect, test } from 'vitest';
import { KeptHeader, MAX_KEPT_HEADER_BYTES } from './kept-header.ts';

function kept(content: string, pieceBytes = content.length): KeptHeader {
  const header = new KeptHeader();
  const bytes = Buffer.from(content, 'latin1');
  for (let at = 0; at < bytes.length; at += pieceBytes) header.push(bytes.subarray(at, at + pieceBytes));
  return header;
}

const safe = (content: string): string => content.slice(0, kept(content).safeLength);

test('a copy of the header, however it comes, and nothing behind it', () => {
  for (const header of ['A: b\r\nC: d\r\n\r\n', '\r\n', 'A: b\r\n\r\n'])
    for (const pieceBytes of [1, 2, 3, 100]) {
      const bytes = kept(`${header}A: body\r\n\r\n`, pieceBytes).bytes.toString();
      expect({ header, pieceBytes, bytes }).toEqual({ header, pieceBytes, bytes: header });
    }
});

test('no more than its limit', () => {
  const long = `A: ${'b'.repeat(MAX_KEPT_HEADER_BYTES)}\r\n`;
  for (const pieceBytes of [1, 1000, long.length])
    expect(kept(long, pieceBytes).bytes.toString()).toBe(long.slice(0, MAX_KEPT_HEADER_BYTES));
  expect(kept(long).safeLength).toBe(0);
});

test('whole fields are safe, up to the end of the header', () => {
  expect(safe('A: b\r\nC-D:e\r\n f\r\n\tg\r\nH: \xe4\r\n\r\nI: body\r\n')).toBe('A: b\r\nC-D:e\r\n f\r\n\tg\r\nH: \xe4\r\n');
  expect(safe('A:\r\nB : c\r\nincomplete: x')).toBe('A:\r\nB : c\r\n');
  expect(safe('A: b\r\nincomplete: x\r')).toBe('A: b\r\n');
});

test('a line that says how the body is read, or that could be taken for the end of the header, is not', () => {
  const unsafe = [
    'Content-Type: text/plain\r\n',
    'cONTENT-whatever: x\r\n',
    'mime-version: 1.0\r\n',
    'MIME-Version : 1.0\r\n',
    'no field\r\n',
    ': no name\r\n',
    ' \r\n',
    '\t \t\r\n',
    '..A: b\r\n',
    'A: b\nC: d\r\n',
    'A: b\rC: d\r\n',
    'A: b\0\r\n',
    'A: b\x0bc\r\n',
    'A: \x1b[2J\r\n',
    'A b: c\r\n',
    'A\xe4: c\r\n',
    'A: b\n',
    '\n',
  ];
  for (const line of unsafe) expect({ line, safe: safe(`X: y\r\n${line}Z: z\r\n`) }).toEqual({ line, safe: 'X: y\r\n' });
  // A continuation of nothing.
  expect(safe(' x: y\r\nA: b\r\n')).toBe('');
});
