import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DotUnstuffer } from './dot-unstuffer.ts';

function unstuff(pieces: readonly string[]): string {
  const unstuffer = new DotUnstuffer();
  return pieces
    .flatMap((piece) => unstuffer.push(Buffer.from(piece, 'latin1')))
    .map((view) => view.toString('latin1'))
    .join('');
}

test.each([
  ['', ''],
  ['.', ''],
  ['..', '.'],
  ['a\r\n..\r\n', 'a\r\n.\r\n'],
  ['..a\r\n..b', '.a\r\n.b'],
  ['.a\r\n.\r\nb', 'a\r\n\r\nb'],
  ['a..b\r\nc.', 'a..b\r\nc.'],
  ['a\n..b', 'a\n..b'],
  ['a\r..b', 'a\r..b'],
  ['a\r\r\n..b', 'a\r\r\n.b'],
  ['\r\n\r\n...', '\r\n\r\n..'],
])('%j becomes %j, at every split', (wire, text) => {
  for (let at = 0; at <= wire.length; at += 1)
    for (let to = at; to <= wire.length; to += 1)
      expect(unstuff([wire.slice(0, at), wire.slice(at, to), wire.slice(to)])).toBe(text);
});

test('text without such dots is given out in the buffer that came in', () => {
  const chunk = Buffer.from('a line.\r\n'.repeat(100));
  expect(new DotUnstuffer().push(chunk)[0]).toBe(chunk);
});

test('it undoes stuffing', () => {
  const line = fc.array(fc.constantFrom('.', '..', 'a', '\r', '\n', '\0', 'b.')).map((letters) => letters.join(''));
  fc.assert(
    fc.property(fc.array(line), fc.array(fc.nat(9)), (lines, sizes) => {
      const text = lines.join('\r\n');
      const wire = text.replaceAll(/(^|\r\n)\./gu, '$1..');
      const pieces: string[] = [];
      let at = 0;
      for (const size of [...sizes, wire.length]) pieces.push(wire.slice(at, (at += size)));
      expect(unstuff(pieces)).toBe(text);
    }),
  );
});
