import { describe, expect, test } from 'vitest';
import { Flag, FrameType } from './frame.ts';
import { UNREAD_CONTROL_FRAMES_BASE, UNREAD_CONTROL_FRAMES_PER_STREAM } from './mux.ts';
import { encodeFrame, RecordedMux } from './recording.ts';

const KIB = 1024;

function syn(id: number): Buffer {
  return encodeFrame(FrameType.windowUpdate, Flag.syn, id, 0);
}

function withFlag(flag: number, id: number, deltaBytes = 0): Buffer {
  return encodeFrame(FrameType.windowUpdate, flag, id, deltaBytes);
}

describe('congestion', () => {
  test('queues data, not control frames, and then serves the streams in turn', () => {
    const side = new RecordedMux({ role: 'client', maxStreams: 3, maxFrameBytes: 10 });
    const [fast, slow, ending] = [side.open(), side.open(), side.open()];
    side.takeOutput();
    side.mux.setCongested(true);
    expect(fast.stream.write(Buffer.alloc(35, 1))).toBe(false);
    expect(slow.stream.write(Buffer.alloc(12, 2))).toBe(false);
    ending.stream.write(Buffer.alloc(10, 3));
    ending.stream.end();
    side.mux.ping(1);
    expect(side.takeFrames()).toEqual(['ping 0 syn #1']);

    side.mux.setCongested(false);
    expect(side.takeFrames().join(', ')).toBe(
      'data 1 #10, data 3 #10, data 5 #10, update 5 fin #0, data 1 #10, data 3 #2, data 1 #10, data 1 #5',
    );
    expect([fast.drains, slow.drains, ending.drains]).toEqual([1, 1, 0]);
  });

  test('stops the round where the transport fills up again', () => {
    const side = new RecordedMux({ role: 'client', windowBytes: 256 * KIB });
    const streams = [side.open(), side.open()];
    side.mux.receive(Buffer.concat([withFlag(Flag.none, 1, 4096 * KIB), withFlag(Flag.none, 3, 4096 * KIB)]));
    side.takeOutput();
    side.mux.setCongested(true);
    side.afterWrite = () => {
      side.mux.setCongested(true);
    };
    for (const { stream } of streams) stream.write(Buffer.alloc(1024 * KIB));
    let rounds = 0;
    while (streams.some(({ stream }) => stream.queuedBytes > 0)) {
      const before = streams.map(({ stream }) => stream.queuedBytes);
      side.mux.setCongested(false);
      side.mux.flush();
      const sent = streams.map(({ stream }, index) => before[index]! - stream.queuedBytes);
      expect(sent).toEqual([128 * KIB, 128 * KIB]);
      rounds += 1;
    }
    expect(rounds).toBe(8);
  });

  test('a stream that refills itself on drain does not get more than its turn', () => {
    const side = new RecordedMux({ role: 'client', maxFrameBytes: 100, windowBytes: 256 * KIB });
    const [greedy, modest] = [side.open(), side.open()];
    side.takeOutput();
    let refills = 5;
    greedy.onDrain = () => {
      if (refills > 0) greedy.stream.write(Buffer.alloc(100, 1));
      refills -= 1;
    };
    side.mux.setCongested(true);
    greedy.stream.write(Buffer.alloc(100, 1));
    modest.stream.write(Buffer.alloc(300, 2));
    side.mux.setCongested(false);
    const order = side.takeFrames().map((frame) => frame.slice(0, 6));
    expect(order.join()).toBe('data 1,data 3,data 1,data 3,data 1,data 3,data 1,data 1');
  });

  test('one large write is cut off where the transport fills up', () => {
    const side = new RecordedMux({ role: 'client' });
    const { stream } = side.open();
    side.mux.receive(withFlag(Flag.none, 1, 4096 * KIB));
    side.afterWrite = () => {
      side.mux.setCongested(true);
    };
    expect(stream.write(Buffer.alloc(1024 * KIB))).toBe(false);
    expect(stream.queuedBytes).toBe(768 * KIB);
  });

  test('a transport that takes everything at once does not nest', () => {
    const side = new RecordedMux({ role: 'client', maxStreams: 8000, maxFrameBytes: 256 * KIB });
    const chunk = Buffer.alloc(256 * KIB);
    side.mux.setCongested(true);
    const streams = Array.from({ length: 8000 }, () => side.open());
    for (const { stream } of streams) stream.write(chunk);
    side.afterWrite = () => {
      side.writes.length = 0;
      side.mux.setCongested(false);
    };
    side.mux.setCongested(false);
    expect(streams.every(({ stream }) => stream.queuedBytes === 0)).toBe(true);
  });

  test('FIN that comes with the window is not heard by a stream that resets itself on drain', () => {
    const side = new RecordedMux({ role: 'client' });
    const recorded = side.open();
    recorded.stream.write(Buffer.alloc(300 * KIB));
    recorded.onDrain = () => {
      recorded.stream.reset();
    };
    side.mux.receive(withFlag(Flag.fin, 1, 100 * KIB));
    expect([recorded.stream.closed, recorded.ends, side.mux.streamCount]).toEqual([true, 0, 0]);
  });

  test('a reset drops what is queued', () => {
    const side = new RecordedMux({ role: 'client' });
    const [first, second] = [side.open(), side.open()];
    side.takeOutput();
    side.mux.setCongested(true);
    first.stream.write(Buffer.alloc(100));
    second.stream.write(Buffer.alloc(100));
    side.mux.receive(withFlag(Flag.rst, 1));
    second.stream.reset();
    expect(side.takeFrames()).toEqual(['update 3 rst #0']);
    side.mux.setCongested(false);
    expect(side.takeOutput()).toHaveLength(0);
    expect([first.stream.queuedBytes, first.stream.closed, second.stream.closed]).toEqual([0, true, true]);
    expect(first.stream.write(Buffer.from('x'))).toBe(false);
    expect([first.resets, second.resets]).toEqual([1, 0]);
  });
});

describe('floods', () => {
  const limit = UNREAD_CONTROL_FRAMES_BASE + 2 * UNREAD_CONTROL_FRAMES_PER_STREAM;

  test.each([
    ['pings', () => encodeFrame(FrameType.ping, Flag.syn, 0, 1)],
    ['streams over the limit', (index: number) => syn(5 + 2 * index)],
  ])('%s that are answered into a congested transport end the connection', (_, frame) => {
    const side = new RecordedMux({ role: 'server' });
    side.mux.receive(Buffer.concat([syn(1), syn(3)]));
    side.mux.setCongested(true);
    for (let index = 0; index < limit; index += 1) {
      side.mux.receive(frame(index));
      if (index % 100 === 0) side.mux.flush();
    }
    expect(side.errors).toEqual([]);
    side.mux.flush();
    side.mux.receive(frame(limit));
    expect(side.errors.map(({ code }) => code)).toEqual(['CONTROL_FLOOD']);
    expect(side.takeOutput()).toHaveLength((limit + 2) * 12);
  });

  test('end with the transport taking data again', () => {
    const side = new RecordedMux({ role: 'server' });
    side.mux.setCongested(true);
    const pings = Buffer.concat(Array.from({ length: limit }, () => encodeFrame(FrameType.ping, Flag.syn, 0, 1)));
    side.mux.receive(pings);
    side.mux.flush();
    side.mux.setCongested(false);
    side.mux.receive(pings);
    expect(side.errors).toEqual([]);
  });

  test('another violation at the limit is still the only one', () => {
    const side = new RecordedMux({ role: 'server' });
    side.mux.setCongested(true);
    for (let index = 0; index < limit; index += 1) side.mux.receive(encodeFrame(FrameType.ping, Flag.syn, 0, 1));
    side.mux.receive(Buffer.alloc(12, 0xff));
    expect(side.errors.map(({ code }) => code)).toEqual(['BAD_VERSION']);
  });

  test('as many pings in a transport that takes them are answered', () => {
    const side = new RecordedMux({ role: 'server' });
    for (let index = 0; index < 3 * limit; index += 1) {
      side.mux.receive(encodeFrame(FrameType.ping, Flag.syn, 0, index));
      if (index % 100 === 0) side.mux.flush();
    }
    expect(side.errors).toEqual([]);
    expect(side.takeOutput()).toHaveLength(3 * limit * 12);
  });
});
