/**
 * How servers read content, each written down as naively as can be, and none of it with the code under test. A reader
 * gets the bytes after DATA, and says where it sees the first end of data and which dots it has unstuffed until there.
 */
export interface Reading {
  /** Behind the end of data; -1: none was seen. */
  readonly end: number;
  /** The places of the dots that were taken away. */
  readonly unstuffed: readonly number[];
}

/** A line ends where this matches, first behind `lastIndex`. Together with what belongs to the break. */
type LineBreak = RegExp;

/** A line ends with CRLF, and CR and LF alone are text (RFC 5321 2.3.8). */
const CRLF: LineBreak = /\r\n/gu;
/** A line ends with LF or CRLF. */
const LF: LineBreak = /\r?\n/gu;
/** Postfix before 3.9: a line ends with LF, and all CRs before it go. */
const LF_WITHOUT_CRS: LineBreak = /\r*\n/gu;
/** A line ends with CR, LF or CRLF. */
const ANY: LineBreak = /\r\n|\r|\n/gu;
/** A line ends with CR or CRLF, and LF alone is text. */
const CR: LineBreak = /\r\n?/gu;

interface Vices {
  /** What the reader has of the text of a line. */
  readonly see?: (text: string) => string;
  /** Letters that it never sees at all. */
  readonly drop?: string;
}

/** Line by line. */
function reader(lineBreak: LineBreak, { see = (text) => text, drop = '' }: Vices = {}) {
  return (stream: string): Reading => {
    const places = [...stream.matchAll(/[^]/gu)].filter(([char]) => !drop.includes(char)).map(({ index }) => index);
    const text = places.map((place) => stream.charAt(place)).join('');
    /** Of a place in what the reader has, in the stream. */
    const placeOf = (at: number): number => places[at] ?? stream.length;
    const unstuffed: number[] = [];
    let from = 0;
    for (const { index, 0: { length } } of text.matchAll(lineBreak)) {
      const line = text.slice(from, index);
      if (see(line) === '.') return { end: placeOf(index + length), unstuffed };
      if (line.startsWith('.')) unstuffed.push(placeOf(from));
      from = index + length;
    }
    if (text.startsWith('.', from)) unstuffed.push(placeOf(from));
    return { end: -1, unstuffed };
  };
}

/** A string of C ends at a NUL. */
const untilNul = (text: string): string => text.replace(/\0[^]*/u, '');

export const strictReader = reader(CRLF);

/** `strict`, and everything that is known to be laxer, alone and together with another vice. */
export const READERS: Readonly<Record<string, (stream: string) => Reading>> = {
  strict: strictReader,
  'LF ends a line': reader(LF),
  'LF ends a line, all CRs before it go': reader(LF_WITHOUT_CRS),
  'CR, LF and CRLF end a line': reader(ANY),
  'CR and CRLF end a line': reader(CR),
  'CR is dropped': reader(LF, { drop: '\r' }),
  'NUL is dropped': reader(CRLF, { drop: '\0' }),
  'NUL is dropped, LF ends a line, all CRs before it go': reader(LF_WITHOUT_CRS, { drop: '\0' }),
  'NUL is dropped, CR, LF and CRLF end a line': reader(ANY, { drop: '\0' }),
  'NUL and CR are dropped': reader(LF, { drop: '\0\r' }),
  'NUL ends the text of a line': reader(CRLF, { see: untilNul }),
  'NUL ends the text of a line, LF ends a line': reader(LF, { see: untilNul }),
  'NUL ends the text of a line, CR, LF and CRLF end a line': reader(ANY, { see: untilNul }),
  qmail,
  exim,
  sendmail,
};

/** qmail-smtpd: a bare LF ends the session; CR CR LF ends a line; `.CR` with something else behind it is text. */
function qmail(stream: string): Reading {
  let state: 'text' | 'line' | 'dot' | 'dot cr' | 'cr' = 'line';
  const unstuffed: number[] = [];
  for (let at = 0; at < stream.length; at += 1) {
    const char = stream.charAt(at);
    if (state === 'dot cr' && char === '\n') return { end: at + 1, unstuffed: unstuffed.slice(0, -1) };
    // Nothing is accepted then, so there is no message at all; its reply is an error.
    if (char === '\n' && state !== 'cr') return { end: -1, unstuffed };
    if (state === 'cr' && char === '\n') state = 'line';
    else if (state === 'line' && char === '.') {
      unstuffed.push(at);
      state = 'dot';
    } else if (char === '\r') {
      if (state === 'dot cr') unstuffed.pop();
      state = state === 'dot' ? 'dot cr' : 'cr';
    } else {
      if (state === 'dot cr') unstuffed.pop();
      state = 'text';
    }
  }
  return { end: -1, unstuffed };
}

/** Exim before 4.97.1, body: LF ends a line, CR alone becomes one but no dot counts behind it. */
function exim(stream: string): Reading {
  let state: 'text' | 'line' | 'dot' | 'dot cr' | 'cr' = 'line';
  const unstuffed: number[] = [];
  for (let at = 0; at < stream.length; at += 1) {
    const char = stream.charAt(at);
    if (char === '\n' && (state === 'dot' || state === 'dot cr')) return { end: at + 1, unstuffed: unstuffed.slice(0, -1) };
    if (state === 'line' && char === '.') {
      unstuffed.push(at);
      state = 'dot';
    } else if (state === 'dot' && char === '\r') state = 'dot cr';
    else if (char === '\r') state = 'cr';
    else if (char === '\n') state = 'line';
    else state = 'text';
  }
  return { end: -1, unstuffed };
}

/** sendmail before 8.18: LF ends a line, `.LF` and `.CRLF` end the data. */
function sendmail(stream: string): Reading {
  const unstuffed: number[] = [];
  let isLineStart = true;
  for (let at = 0; at < stream.length; at += 1) {
    if (isLineStart && stream[at] === '.') {
      const end = /^\.\r?\n/u.exec(stream.slice(at))?.[0];
      if (end !== undefined) return { end: at + end.length, unstuffed };
      unstuffed.push(at);
      isLineStart = false;
    } else isLineStart = stream[at] === '\n';
  }
  return { end: -1, unstuffed };
}
