import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeFields } from './fields.ts';
import { chooseVersion, encodeFrame, FrameReader } from './frames.ts';
import { MESSAGES, type MessageName } from './messages.ts';
import { SAMPLE_MESSAGES } from './samples.ts';
import { WireError } from './wire-error.ts';

const NAMES = Object.keys(MESSAGES) as MessageName[];
const vectors = JSON.parse(
  readFileSync(new URL('fixtures/frames.json', import.meta.url), 'utf8'),
) as Record<MessageName, string>;
const codeOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof WireError) return error.code;
    throw error;
  }
  return 'none';
};

describe('every frame has exactly the bytes of its test vector', () => {
  test.each(NAMES)('%s', (name) => {
    expect(encodeFrame(SAMPLE_MESSAGES[name]).toString('hex')).toBe(vectors[name]);
    expect(new FrameReader([name]).push(Buffer.from(vectors[name], 'hex'))).toEqual([SAMPLE_MESSAGES[name]]);
  });
});

test('any split of any sequence of frames gives the same messages', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...NAMES), { maxLength: 8 }), fc.array(fc.nat(5000)), (names, cuts) => {
      const bytes = Buffer.concat(names.map((name) => encodeFrame(SAMPLE_MESSAGES[name])));
      const reader = new FrameReader(NAMES);
      const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
      const messages = at.slice(1).flatMap((end, index) => reader.push(bytes.subarray(at[index], end)));
      expect(messages).toEqual(names.map((name) => SAMPLE_MESSAGES[name]));
      expect(reader.bufferedBytes).toBe(0);
    }),
  );
});

test('any bytes in any split: no exception but WireError, and never more held than the largest frame', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 60 }), (chunks) => {
      const reader = new FrameReader(NAMES);
      for (const chunk of chunks) {
        codeOf(() => reader.push(Buffer.from(chunk)));
        expect(reader.bufferedBytes).toBeLessThanOrEqual(16_384);
      }
    }),
    { numRuns: 1000 },
  );
});

describe('violations', () => {
  test.each<[string, string, string]>([
    ['a type that does not exist', '0001 99', 'UNKNOWN_TYPE'],
    ['a type that is not expected here', encodeFrame(SAMPLE_MESSAGES.lease).toString('hex'), 'UNKNOWN_TYPE'],
    ['a length over the limit of its type', 'ffff 06', 'TOO_LONG'],
    ['a length without a type', '0000 06', 'TRUNCATED'],
    ['a field cut off', '0004 06 010004', 'TRUNCATED'],
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\n').toString('hex'), 'UNKNOWN_TYPE'],
    ['a TLS record', '1603010200', 'TOO_LONG'],
  ])('%s', (_, bytes, code) => {
    const reader = new FrameReader(['ping', 'hello']);
    expect(codeOf(() => reader.push(Buffer.from(bytes.replaceAll(' ', ''), 'hex')))).toBe(code);
    expect(codeOf(() => reader.push(encodeFrame(SAMPLE_MESSAGES.ping)))).toBe('DEAD');
    expect(reader.bufferedBytes).toBe(0);
  });
});

test('a length over the limit is refused on the header alone', () => {
  const reader = new FrameReader(['ping']);
  expect(codeOf(() => reader.push(Buffer.from('0fff06', 'hex')))).toBe('TOO_LONG');
});

test('a frame that would be over its limit is not made', () => {
  const avoid = Array.from({ length: 32 }, (_, index) => `${index}`.padEnd(64, 'x'));
  expect(codeOf(() => encodeFrame({ ...SAMPLE_MESSAGES.hello, avoid }))).toBe('none');
  const relays = avoid.map((name) => ({ name, host: 'h'.repeat(253), port: 1 }));
  expect(codeOf(() => encodeFrame({ ...SAMPLE_MESSAGES.lease, relays }))).toBe('none');
  expect(codeOf(() => encodeFrame({ ...SAMPLE_MESSAGES.pong, report: undefined }))).toBe('none');
  expect(codeOf(() => encodeFrame({ ...SAMPLE_MESSAGES.connect, host: 'h'.repeat(254) }))).toBe('TOO_LONG');
});

test('what managers and relays have said since inspection came: told, and skipped by who does not know it', () => {
  const inspection = { clean: 1, infected: 2, unscannable: 3, uninspected: 2 ** 53 - 1, scanners: 2, scannersUp: 1, why: 'x'.repeat(255) };
  const { report } = SAMPLE_MESSAGES.pong;
  if (report === undefined) throw new Error('the sample has no report');
  const pong = { ...SAMPLE_MESSAGES.pong, report: { ...report, unable: 'y'.repeat(255), inspection } };
  const hello = { ...SAMPLE_MESSAGES.hello, detections: 1 };
  const frames = [encodeFrame<'pong'>(pong), encodeFrame<'hello'>(hello)];
  expect(new FrameReader(['pong', 'hello']).push(Buffer.concat(frames))).toEqual([pong, hello]);
  // What they add stands at the end, under tags that did not exist: those who come from before skip them.
  const { detections: _detections, ...fields } = MESSAGES.hello.fields;
  const { type: _type, ...before } = SAMPLE_MESSAGES.hello;
  expect(decodeFields(fields, encodeFrame<'hello'>(hello).subarray(3))).toEqual(before);
});

test('the largest detection fits into its frame', () => {
  const detection = { ...SAMPLE_MESSAGES.detection, key: 'k'.repeat(64), signature: 's'.repeat(128), client: 'c'.repeat(64), destination: 'd'.repeat(260) };
  expect(new FrameReader(['detection']).push(encodeFrame(detection))).toEqual([detection]);
  expect(codeOf(() => encodeFrame({ ...detection, signature: 's'.repeat(129) }))).toBe('TOO_LONG');
});

test('pushOne takes one frame and leaves what is behind it', () => {
  const bytes = Buffer.concat([encodeFrame(SAMPLE_MESSAGES.connect), Buffer.from('EHLO')]);
  for (let cut = 0; cut <= bytes.length; cut += 1) {
    const reader = new FrameReader(['connect']);
    const first = reader.pushOne(bytes.subarray(0, cut));
    const taken = first ?? reader.pushOne(bytes.subarray(cut));
    expect(taken?.message).toEqual(SAMPLE_MESSAGES.connect);
    const tail = first === undefined ? '' : bytes.subarray(cut).toString();
    expect(`${taken?.rest.toString()}${tail}`).toBe('EHLO');
  }
});

test('the highest version that both speak is chosen', () => {
  expect(chooseVersion(Buffer.from([1]), [1])).toBe(1);
  expect(chooseVersion(Buffer.from([3, 2, 1, 9]), [1, 2, 3])).toBe(3);
  expect(chooseVersion(Buffer.from([2]), [1])).toBeUndefined();
  expect(chooseVersion(Buffer.from([0]), [0])).toBeUndefined();
});
