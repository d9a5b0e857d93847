import { expect, test } from 'vitest';
import { MUX_VIOLATIONS } from './error.ts';
import type { GoAwayCode } from './frame.ts';
import { hexToBytes, RecordedMux } from './recording.ts';
import vectors from './vectors.json' with { type: 'json' };

const GO_AWAY_PROTOCOL_ERROR = '000300000000000000000001';

function call(side: RecordedMux, [method, id, argument]: (string | number)[]): void {
  const number = Number(id);
  const stream = side.streams.get(number)?.stream;
  if (method === 'open') side.open();
  else if (method === 'accept') stream!.accept();
  else if (method === 'write') stream!.write(hexToBytes(String(argument)));
  else if (method === 'end') stream!.end();
  else if (method === 'reset') stream!.reset();
  else if (method === 'ping') side.mux.ping(number);
  else if (method === 'goAway') side.mux.goAway(number as GoAwayCode);
  else if (method !== undefined) throw new Error(`vectors.json calls ${method}`);
}

/** Takes a mux to where the vector begins; a byte at a time, or each frame as a whole. */
function begin(receiver: string, before: string[]): RecordedMux {
  const side = new RecordedMux({ role: receiver as 'client' | 'server' });
  for (const step of before) {
    if (step === 'open') side.open();
    else side.mux.receive(hexToBytes(step));
  }
  side.takeOutput();
  side.events.length = 0;
  return side;
}

function feed(side: RecordedMux, bytes: Buffer, pieceBytes: number): void {
  for (let at = 0; at < bytes.length; at += pieceBytes) side.mux.receive(bytes.subarray(at, at + pieceBytes));
}

test('the conversation is sent and understood byte by byte', () => {
  const sides = { client: new RecordedMux({ role: 'client' }), server: new RecordedMux({ role: 'server' }) };
  for (const step of vectors.conversation) {
    const [sender, receiver] =
      step.from === 'client' ? [sides.client, sides.server] : [sides.server, sides.client];
    call(sender, step.call);
    const sent = sender.takeOutput();
    expect([step.meaning, sent.toString('hex')]).toEqual([step.meaning, hexToBytes(step.hex).toString('hex')]);
    receiver.mux.receive(sent);
  }
  expect(sides.client.events).toEqual([
    '1 ack',
    '1 data 32353020',
    'pong 305419896',
    '1 data 627965',
    '1 end',
    'stream 2',
    'go away 0',
  ]);
  expect(sides.server.events).toEqual([
    'stream 1',
    '1 data 45484c4f',
    '1 end',
    '2 reset',
    'stream 3',
    'stream 5',
    '3 data 51554954',
  ]);
  expect([sides.client.mux.streamCount, sides.server.mux.streamCount]).toEqual([2, 2]);
});

test('there is a vector for every violation', () => {
  const codes = new Set(vectors.violations.map(({ code }) => code));
  // A flood is thousands of frames: it has a test of its own.
  expect(MUX_VIOLATIONS.filter((code) => !codes.has(code))).toEqual(['CONTROL_FLOOD']);
});

test.each(vectors.accepted)('$name', ({ receiver, before, hex, events, answer }) => {
  for (const pieceBytes of [Infinity, 1, 5, 12]) {
    const side = begin(receiver, before);
    feed(side, hexToBytes(hex), pieceBytes);
    expect(side.errors).toEqual([]);
    const seen = side.events.join('; ').replaceAll(/(?<=data )([0-9a-f]+); \d+ data /g, '$1');
    expect(seen).toBe(events.join('; '));
    expect(side.takeOutput().toString('hex')).toBe(hexToBytes(answer ?? '').toString('hex'));
  }
});

test.each(vectors.violations)('violation: $name', ({ receiver, before, hex, code }) => {
  for (const pieceBytes of [Infinity, 1, 5, 12]) {
    const side = begin(receiver, before);
    const open = [...side.streams.values()].filter(({ stream }) => !stream.closed);
    feed(side, hexToBytes(hex), pieceBytes);
    expect(side.errors.map((error) => error.code)).toEqual([code]);
    expect(side.mux.state).toBe('failed');
    expect(side.mux.streamCount).toBe(0);
    for (const stream of open) expect(stream.resets).toBe(1);
    expect(side.takeOutput().toString('hex')).toMatch(new RegExp(`${GO_AWAY_PROTOCOL_ERROR}$`));

    // Dead after the first error: a perfect frame changes nothing.
    const events = side.events.length;
    side.mux.receive(hexToBytes('00 02 0001 00000000 00000001'));
    expect(side.events).toHaveLength(events);
    expect(side.takeOutput()).toHaveLength(0);
    expect(() => side.mux.open()).toThrow(/MUX_CLOSED/);
  }
});
