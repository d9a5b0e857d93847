import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HEADER_BYTES } from './frame.ts';
import { type MuxInit, UNREAD_CONTROL_FRAMES_BASE, UNREAD_CONTROL_FRAMES_PER_STREAM } from './mux.ts';
import { encodeFrame, RecordedMux, type RecordedStream } from './recording.ts';

const KIB = 1024;

/** Pieces of these sizes, over and over; empty sizes: as a whole. */
function* split(bytes: Buffer, sizes: number[]): Generator<Buffer> {
  for (let at = 0, piece = 0; at < bytes.length; piece += 1) {
    const size = sizes[piece % sizes.length] ?? bytes.length;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

const anySplit = fc.array(fc.integer({ min: 1, max: 40_000 }), { maxLength: 5 });

const likelyFrame = fc
  .record({
    type: fc.nat(4),
    flags: fc.oneof(fc.constantFrom(0, 1, 2, 4, 5, 8), fc.nat(31)),
    id: fc.nat(12),
    length: fc.oneof(fc.nat(40), fc.constantFrom(256 * KIB, 2 ** 32 - 1)),
    payload: fc.uint8Array({ maxLength: 40 }),
  })
  .map(({ type, flags, id, length, payload }) =>
    type === 0 && length <= 40
      ? encodeFrame(type, flags, id, payload.length, payload)
      : encodeFrame(type, flags, id, length),
  );

test('whatever the peer sends, however it is cut: no throw, nothing grows, dead after the first error', () => {
  const anything = fc.array(fc.oneof({ weight: 9, arbitrary: likelyFrame }, fc.uint8Array({ maxLength: 60 })), {
    maxLength: 40,
    size: 'max',
  });
  fc.assert(
    fc.property(fc.constantFrom('client', 'server'), anything, anySplit, (role, frames, sizes) => {
      const side = new RecordedMux({ role, maxStreams: 4, windowBytes: 256 * KIB });
      side.open().stream.write(Buffer.alloc(300 * KIB));
      side.mux.setCongested(true);
      for (const piece of split(Buffer.concat(frames), sizes)) {
        side.mux.receive(piece);
        expect(side.mux.streamCount).toBeLessThanOrEqual(side.mux.state === 'open' ? 4 : 0);
      }
      expect(side.errors.length).toBe(side.mux.state === 'open' ? 0 : 1);
      for (const { received, resets, ends } of side.streams.values()) {
        expect(Buffer.concat(received).length).toBeLessThanOrEqual(256 * KIB);
        expect([0, 1]).toContain(resets);
        expect([0, 1]).toContain(ends);
      }
      const controlFrames = UNREAD_CONTROL_FRAMES_BASE + 4 * UNREAD_CONTROL_FRAMES_PER_STREAM + 2;
      expect(side.takeOutput().length).toBeLessThanOrEqual(300 * KIB + HEADER_BYTES * (controlFrames + 5));
    }),
    { numRuns: 500 },
  );
});

/** What one end of a stream did, to be compared with what the other end saw. */
class End {
  readonly recorded: RecordedStream;
  readonly sent: Buffer[] = [];
  hasEnded = false;
  wasReset = false;
  consumedBytes = 0;
  refusals = 0;

  constructor(recorded: RecordedStream) {
    this.recorded = recorded;
  }

  get unconsumedBytes(): number {
    return this.recorded.bytes.length - this.consumedBytes;
  }

  write(bytes: number, seed: number): void {
    if (this.hasEnded || this.recorded.stream.closed) return;
    // A pattern without a short period: bytes in the wrong place do not go unnoticed.
    const chunk = Buffer.alloc(bytes);
    for (let at = 0; at < bytes; at += 1) chunk[at] = (at * 31 + (at >> 8) * 7 + seed) & 0xff;
    this.sent.push(chunk);
    if (!this.recorded.stream.write(chunk)) this.refusals += 1;
  }

  end(): void {
    if (!this.recorded.stream.closed) this.hasEnded = true;
    this.recorded.stream.end();
  }

  reset(): void {
    this.wasReset ||= !this.recorded.stream.closed;
    this.recorded.stream.reset();
  }

  consume(bytes: number): void {
    if (this.recorded.stream.closed) return;
    this.recorded.stream.consumed(bytes);
    this.consumedBytes += bytes;
  }
}

/** A mux, its ends by id, and what it has written but the other has not received. */
class Party {
  readonly side: RecordedMux;
  readonly ends = new Map<number, End>();
  readonly windowBytes: number;
  #inFlight = Buffer.alloc(0);

  constructor(init: Pick<MuxInit, 'role' | 'windowBytes' | 'maxFrameBytes'>) {
    this.side = new RecordedMux({ maxStreams: 5, ...init });
    this.windowBytes = init.windowBytes;
    this.side.adopt = (stream) => {
      this.#adopt(this.side.record(stream));
      if (stream.id % 4 !== 0) stream.accept();
    };
  }

  open(): void {
    if (this.side.mux.streamCount < 5) this.#adopt(this.side.open());
  }

  #adopt(recorded: RecordedStream): void {
    this.ends.set(recorded.stream.id, new End(recorded));
  }

  deliverTo(peer: Party, bytes: number, sizes: number[]): boolean {
    this.#inFlight = Buffer.concat([this.#inFlight, this.side.takeOutput()]);
    const now = Buffer.from(this.#inFlight.subarray(0, bytes));
    this.#inFlight = this.#inFlight.subarray(now.length);
    for (const piece of split(now, sizes)) peer.side.mux.receive(piece);
    return now.length > 0;
  }
}

function checkWindows({ side, ends, windowBytes }: Party): void {
  expect(side.errors).toEqual([]);
  for (const end of ends.values()) expect(end.unconsumedBytes).toBeLessThanOrEqual(windowBytes);
}

type Step =
  | { do: 'open' }
  | { do: 'ping' }
  | { do: 'write' | 'consume' | 'deliver'; which: number; bytes: number; sizes: number[] }
  | { do: 'end' | 'reset'; which: number }
  | { do: 'congest'; flag: boolean };

function apply(step: Step, self: Party, peer: Party): void {
  if (step.do === 'open') self.open();
  else if (step.do === 'ping') self.side.mux.ping(1);
  else if (step.do === 'congest') self.side.mux.setCongested(step.flag);
  else if (step.do === 'deliver') self.deliverTo(peer, step.bytes, step.sizes);
  else {
    const end = [...self.ends.values()].at(step.which % Math.max(self.ends.size, 1));
    if (step.do === 'write') end?.write(step.bytes, step.which);
    else if (step.do === 'consume') end?.consume(Math.min(step.bytes, end.unconsumedBytes));
    else if (step.do === 'end') end?.end();
    else end?.reset();
  }
}

/** Until nothing moves: both transports take everything, both users consume everything. */
function settle(one: Party, other: Party): void {
  for (const { side } of [one, other]) side.mux.setCongested(false);
  let moved = true;
  while (moved) {
    // Consumed first: what is delivered last may be the update that this causes.
    for (const { ends } of [one, other]) for (const end of ends.values()) end.consume(end.unconsumedBytes);
    const there = one.deliverTo(other, Infinity, []);
    const back = other.deliverTo(one, Infinity, []);
    moved = there || back;
  }
}

/** onReset once at the end that did not reset, unless both sides had ended before. */
function compareResets(end: End, isReset: boolean): void {
  const { resets, ends } = end.recorded;
  if (!isReset || end.wasReset) expect(resets).toBe(0);
  else if (end.hasEnded && ends === 1) expect([0, 1]).toContain(resets);
  else expect(resets).toBe(1);
}

function compare(id: number, from: End, to: End | undefined, isReset: boolean): void {
  const sent = Buffer.concat(from.sent);
  const received = to?.recorded.bytes ?? Buffer.alloc(0);
  expect(received.equals(sent.subarray(0, received.length))).toBe(true);
  if (isReset) return;
  expect([id, received.length]).toEqual([id, sent.length]);
  expect(to?.recorded.ends).toBe(from.hasEnded ? 1 : 0);
  expect(from.recorded.stream.queuedBytes).toBe(0);
  expect(from.recorded.drains).toBeLessThanOrEqual(from.refusals);
  if (from.refusals > 0 && !from.hasEnded) expect(from.recorded.drains).toBeGreaterThan(0);
}

const which = fc.nat(9);
const bytes = fc.oneof(fc.integer({ min: 1, max: 2000 }), fc.integer({ min: 1, max: 400 * KIB }));
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.constant<Step>({ do: 'open' }) },
  { weight: 1, arbitrary: fc.constant<Step>({ do: 'ping' }) },
  {
    weight: 14,
    arbitrary: fc.record({ do: fc.constantFrom('write', 'consume', 'deliver'), which, bytes, sizes: anySplit }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('end'), which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reset'), which }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('congest'), flag: fc.boolean() }) },
);

test('two muxes: every stream is byte-exact, keeps its windows, and closes when both have ended', () => {
  const script = fc.array(fc.tuple(fc.boolean(), anyStep), { maxLength: 80, size: 'max' });
  fc.assert(
    fc.property(script, (steps) => {
      const one = new Party({ role: 'client', windowBytes: 256 * KIB, maxFrameBytes: 64 * KIB });
      const other = new Party({ role: 'server', windowBytes: 320 * KIB, maxFrameBytes: 1000 });
      for (const [isOne, step] of steps) {
        apply(step, isOne ? one : other, isOne ? other : one);
        checkWindows(one);
        checkWindows(other);
      }
      settle(one, other);
      let openStreams = 0;
      for (const [id, end] of [...one.ends, ...other.ends]) {
        const peer = (one.ends.get(id) === end ? other : one).ends.get(id);
        // A side that has too many streams resets the peer's next one unseen.
        const isReset = end.wasReset || peer === undefined || peer.wasReset;
        compare(id, end, peer, isReset);
        compareResets(end, isReset);
        const isClosed = isReset || (end.hasEnded && peer.hasEnded);
        expect([id, end.recorded.stream.closed]).toEqual([id, isClosed]);
        if (!isClosed) openStreams += 1;
      }
      expect(one.side.mux.streamCount + other.side.mux.streamCount).toBe(openStreams);
    }),
    { numRuns: 150 },
  );
}, 60_000);
