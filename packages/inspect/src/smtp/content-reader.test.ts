import { describe, expect, test } from 'vitest';
import { DotUnstuffer } from '../dot-unstuffer.ts';
import { ContentReader } from './content-reader.ts';
import { READERS, strictReader } from './testing/readers.ts';

interface Outcome {
  readonly outcome: 'more' | 'end' | 'smuggling';
  /** Behind the last byte taken, for an end. */
  readonly end: number;
  readonly content: string;
}

/** Reads the pieces, each a chunk of its own, until the reader has had enough. */
function read(pieces: readonly string[]): Outcome {
  const reader = new ContentReader();
  let content = '';
  let end = 0;
  for (const piece of pieces) {
    const { taken, outcome } = reader.read(Buffer.from(piece, 'latin1'), (bytes) => {
      content += bytes.toString('latin1');
    });
    end += taken;
    if (outcome !== 'more') return { outcome, end: outcome === 'end' ? end : -1, content };
  }
  return { outcome: 'more', end: -1, content };
}

/** All words of these letters. */
function* words(letters: readonly string[], length: number): Generator<string> {
  if (length === 0) yield '';
  else for (const head of words(letters, length - 1)) for (const letter of letters) yield head + letter;
}

const LETTERS = ['\r', '\n', '.', '\0', 'x'];
const END = '\r\n.\r\n';

/** Places of the dots that DotUnstuffer takes away. */
function unstuffedBy(content: string): number[] {
  const bytes = Buffer.from(content, 'latin1');
  const views = new DotUnstuffer().push(bytes);
  const kept = new Set(views.flatMap((view) => [...view.keys()].map((index) => view.byteOffset - bytes.byteOffset + index)));
  return [...bytes.keys()].filter((place) => !kept.has(place));
}

/** What a reader makes of a stream, in one word to compare: none of it may depend on the reader. */
function seen({ end, unstuffed }: { readonly end: number; readonly unstuffed: readonly number[] }): string {
  return `end ${end}, unstuffed ${unstuffed.join(' ')}`;
}

describe('the end of data', () => {
  test.each([
    ['a\r\n.\r\n', 'a\r\n'],
    ['.\r\n', ''],
    ['\r\n.\r\n', '\r\n'],
    ['..\r\n.\r\n', '..\r\n'],
    ['a\r\n..\r\n.\r\n', 'a\r\n..\r\n'],
    ['a\r\n.b\r\n.\r\n', 'a\r\n.b\r\n'],
    ['a\r\r\n.\r\n', 'a\r\r\n'],
    ['a\nb\rc\0d\r\n.\r\n', 'a\nb\rc\0d\r\n'],
    ['\n\r\n.\r\n', '\n\r\n'],
    ['a.\r\n.\r\n', 'a.\r\n'],
    ['a. .b', 'a. .b'],
  ])('%j has the content %j, at every split', (stream, content) => {
    const isWhole = stream.endsWith('.\r\n');
    for (let at = 0; at <= stream.length; at += 1)
      for (let to = at; to <= stream.length; to += 1)
        expect(read([stream.slice(0, at), stream.slice(at, to), stream.slice(to)])).toEqual({
          outcome: isWhole ? 'end' : 'more',
          end: isWhole ? stream.length : -1,
          content,
        });
  });

  test('what comes behind it is not taken', () => {
    expect(read(['a\r\n.\r\nQUIT\r\n'])).toEqual({ outcome: 'end', end: 6, content: 'a\r\n' });
    expect(read(['a\r\n.\r', '\n.\r\n'])).toEqual({ outcome: 'end', end: 6, content: 'a\r\n' });
  });

  test('a dot that may be the end is held, and given out when it is none', () => {
    expect(read(['a\r\n.'])).toMatchObject({ outcome: 'more', content: 'a\r\n' });
    expect(read(['a\r\n.', '\r'])).toMatchObject({ outcome: 'more', content: 'a\r\n' });
    expect(read(['a\r\n.', 'b'])).toMatchObject({ outcome: 'more', content: 'a\r\n.b' });
    expect(read(['a\r\n.', '.\r\n'])).toMatchObject({ outcome: 'more', content: 'a\r\n..\r\n' });
  });

  test('content is given out in the buffers that came in', () => {
    const chunk = Buffer.from('text\r\n'.repeat(1000));
    const given: Buffer[] = [];
    new ContentReader().read(chunk, (bytes) => given.push(bytes));
    expect(given).toHaveLength(1);
    expect(given[0]).toBe(chunk);
  });
});

describe('smuggling', () => {
  test.each([
    '\n.\r\n', '\n.\n', '\n.x', 'a\n..', '\r.\r\n', '\r.\r', '\r.x', '\n\r.', '\r\n\r.', '\n\n.', '\r\r.',
    '\r\n.\n', '\r\n.\rx', '\r\n.\r\r\n', '\r\n.\r.\r\n', '.\n', '.\rx', '.\0',
    '\r\n.\0\r\n', '\r\n.\0x', '\r\n\0.\r\n', '\r\n\0\0\0.x', '\0.', '\r\0.', '\n\0.', '\r\0\n.',
  ])('%j is refused before its dot, at every split', (stream) => {
    const whole = read([stream]);
    expect(whole.outcome).toBe('smuggling');
    expect(stream[whole.content.length]).toBe('.');
    for (let at = 0; at <= stream.length; at += 1)
      for (let to = at; to <= stream.length; to += 1)
        expect(read([stream.slice(0, at), stream.slice(at, to), stream.slice(to)])).toEqual(whole);
  });

  test.each(['a\n', 'a\r', 'a\0', 'a\nb', '\n\n\r\r\n\0x', 'x\0.', 'x.\n', 'x.\r', '\r\n..\n', '\r\n..\r', '\r\n..\0', '\r\n.x\n'])(
    '%j passes as it is',
    (stream) => expect(read([stream])).toEqual({ outcome: 'more', end: -1, content: stream }),
  );
});

describe('everybody reads the same', () => {
  const LENGTH = 5;
  const BEFORE = ['', 'x', 'x\r\n', 'x\r', 'x\n'];

  /** Where the letters come first, in the middle, at the end, and the end of data right behind them. */
  function* streams(): Generator<string> {
    for (const before of BEFORE) for (const word of words(LETTERS, LENGTH)) yield `${before}${word}${END}`;
  }

  test('what is not refused is one message with one text, for every reader', () => {
    let passed = 0;
    for (const stream of streams()) {
      const { outcome, end, content } = read([stream]);
      if (outcome === 'smuggling') continue;
      passed += 1;
      expect(outcome).toBe('end');
      expect(stream.slice(0, end), JSON.stringify(stream)).toBe(`${content}.\r\n`);
      // The server has nothing behind the end of data before its reply.
      const sent = `${content}.\r\n`;
      const expected = seen({ end, unstuffed: unstuffedBy(content) });
      for (const [name, reader] of Object.entries(READERS)) {
        const reading = reader(sent);
        // It hangs up at an LF without CR, so there is no message at all.
        if (name === 'qmail' && /(?<!\r)\n/u.test(content)) expect(reading.end).toBe(-1);
        else expect(seen(reading), `${name}: ${JSON.stringify(sent)}`).toBe(expected);
      }
    }
    expect(passed).toBeGreaterThan(BEFORE.length * 500);
  });

  test('what is refused is read differently by somebody', () => {
    let refused = 0;
    for (const stream of streams()) {
      if (read([stream]).outcome !== 'smuggling') continue;
      refused += 1;
      const readings = new Set(Object.values(READERS).map((reader) => seen(reader(stream))));
      expect(readings.size, JSON.stringify(stream)).toBeGreaterThan(1);
    }
    expect(refused).toBeGreaterThan(BEFORE.length * 500);
  });

  test('the end is where a strict reader has it', () => {
    const seenElsewhere = [...streams()].filter((stream) => {
      const { outcome, end } = read([stream]);
      return outcome === 'end' && end !== strictReader(stream).end;
    });
    expect(seenElsewhere).toEqual([]);
  });

  test('at every split', () => {
    for (const before of BEFORE)
      for (const word of words(LETTERS, 4)) {
        const stream = `${before}${word}${END}`;
        const whole = read([stream]);
        expect(read(stream.split('')), JSON.stringify(stream)).toEqual(whole);
        for (let at = 1; at < stream.length; at += 1)
          expect(read([stream.slice(0, at), stream.slice(at)]), JSON.stringify(stream)).toEqual(whole);
      }
  });
});
