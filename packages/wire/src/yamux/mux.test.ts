import { describe, expect, test } from 'vitest';
import { Flag, FrameType, INITIAL_WINDOW_BYTES } from './frame.ts';
import { encodeFrame, hexToBytes, RecordedMux, type RecordedStream } from './recording.ts';

const KIB = 1024;

function codeOf(action: () => unknown): unknown {
  try {
    action();
    return undefined;
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
}

function syn(id: number): Buffer {
  return encodeFrame(FrameType.windowUpdate, Flag.syn, id, 0);
}

function withFlag(flag: number, id: number, deltaBytes = 0): Buffer {
  return encodeFrame(FrameType.windowUpdate, flag, id, deltaBytes);
}

describe('limits of the constructor', () => {
  test.each([
    { windowBytes: INITIAL_WINDOW_BYTES - 1 },
    { windowBytes: 2 ** 32 },
    { maxStreams: 0 },
    { maxFrameBytes: 0.5 },
    { maxUnackedOutbound: 0 },
  ])('%o is refused', (init) => {
    expect(() => new RecordedMux({ role: 'client', ...init })).toThrow(RangeError);
  });
});

describe('open', () => {
  test('is refused over maxStreams, and possible again when a stream is closed', () => {
    const side = new RecordedMux({ role: 'client' });
    const first = side.open();
    side.open();
    expect(codeOf(() => side.open())).toBe('TOO_MANY_STREAMS');
    first.stream.reset();
    expect(side.open().stream.id).toBe(5);
  });

  test('counts the streams of the peer', () => {
    const side = new RecordedMux({ role: 'client', maxStreams: 1 });
    side.mux.receive(syn(2));
    expect(codeOf(() => side.open())).toBe('TOO_MANY_STREAMS');
  });

  test('is refused while maxUnackedOutbound streams wait, until ACK, RST or reset', () => {
    const side = new RecordedMux({ role: 'client', maxStreams: 10, maxUnackedOutbound: 1 });
    side.open();
    expect(codeOf(() => side.open())).toBe('TOO_MANY_UNACKED');
    side.mux.receive(withFlag(Flag.ack, 1));
    side.open();
    expect(codeOf(() => side.open())).toBe('TOO_MANY_UNACKED');
    side.mux.receive(withFlag(Flag.rst, 3));
    side.open().stream.reset();
    side.open();
    expect(codeOf(() => side.open())).toBe('TOO_MANY_UNACKED');
  });

  test('counts each stream that waits for its ACK once, however it ends', () => {
    const side = new RecordedMux({ role: 'client', maxStreams: 10, maxUnackedOutbound: 1 });
    const oneMore = (): RecordedStream => {
      const recorded = side.open();
      expect(codeOf(() => side.open())).toBe('TOO_MANY_UNACKED');
      return recorded;
    };
    oneMore();
    side.mux.receive(Buffer.concat([withFlag(Flag.ack, 1), withFlag(Flag.rst, 1)]));
    const twice = oneMore();
    side.mux.receive(Buffer.concat([withFlag(Flag.ack, 3), withFlag(Flag.ack, 3)]));
    expect(twice.acks).toBe(1);
    const ending = oneMore();
    ending.onEnd = () => {
      ending.stream.end();
    };
    side.mux.receive(withFlag(Flag.fin, 5));
    oneMore();
  });

  test.each(['sent', 'received'])('is refused when GoAway was %s, and open streams go on', (direction) => {
    const side = new RecordedMux({ role: 'client' });
    const stream = side.open();
    if (direction === 'sent') side.mux.goAway(0);
    else side.mux.receive(hexToBytes('00 03 0000 00000000 00000000'));
    expect(side.mux.isGoingAway).toBe(true);
    expect(codeOf(() => side.open())).toBe('GOING_AWAY');
    side.takeOutput();
    expect(stream.stream.write(Buffer.from('x'))).toBe(true);
    expect(side.takeFrames()).toEqual(['data 1 #1']);
  });
});

describe('streams of the peer', () => {
  test('are reset after GoAway was sent, once and for all', () => {
    const side = new RecordedMux({ role: 'server' });
    side.mux.goAway(0);
    side.mux.goAway(0);
    side.mux.receive(Buffer.concat([syn(1), encodeFrame(FrameType.data, 0, 1, 2, Buffer.from('hi'))]));
    expect(side.takeFrames()).toEqual(['go-away 0 #0', 'update 1 rst #0']);
    expect(side.events).toEqual([]);
  });

  test('are reset when nobody takes them', () => {
    const side = new RecordedMux({ role: 'server' });
    side.adopt = () => {};
    side.mux.receive(syn(1));
    expect(side.takeFrames()).toEqual(['update 1 rst #0']);
    expect(side.mux.streamCount).toBe(0);
  });

  test('stay unread without a handler', () => {
    const side = new RecordedMux({ role: 'client' });
    const stream = side.mux.open();
    side.takeOutput();
    side.mux.receive(encodeFrame(FrameType.data, Flag.ack, 1, 3, Buffer.from('abc')));
    expect([stream.closed, side.mux.streamCount]).toEqual([true, 0]);
    expect(side.takeFrames()).toEqual(['update 1 rst #0']);
  });

  test('are accepted by write and end, if the user did not', () => {
    const side = new RecordedMux({ role: 'server' });
    side.mux.receive(Buffer.concat([syn(1), syn(3)]));
    side.streams.get(1)!.stream.write(Buffer.from('x'));
    side.streams.get(3)!.stream.end();
    expect(side.takeFrames()).toEqual(['update 1 ack #786432', 'data 1 #1', 'update 3 ack #786432', 'update 3 fin #0']);
    side.streams.get(1)!.stream.accept();
    expect(side.takeOutput()).toHaveLength(0);
  });

  test('may be reset by their user in any event, without a word more', () => {
    const side = new RecordedMux({ role: 'server' });
    side.adopt = (stream) => {
      const recorded = side.record(stream);
      recorded.onData = (chunk) => {
        recorded.received.push(chunk);
        stream.reset();
      };
    };
    side.mux.receive(encodeFrame(FrameType.data, Flag.syn | Flag.fin, 1, 3, Buffer.from('abc')).subarray(0, 13));
    side.mux.receive(Buffer.from('bc'));
    side.mux.receive(syn(3));
    expect(side.events).toEqual(['stream 1', 'stream 3']);
    expect(side.streams.get(1)!.bytes.toString()).toBe('a');
    expect(side.mux.streamCount).toBe(1);
  });

  test('end when onEnd ends them', () => {
    const side = new RecordedMux({ role: 'server', maxStreams: 1 });
    side.adopt = (stream) => {
      const recorded = side.record(stream);
      recorded.onEnd = () => {
        stream.end();
      };
    };
    for (const id of [1, 3, 5]) {
      side.mux.receive(encodeFrame(FrameType.data, Flag.syn | Flag.fin, id, 1, Buffer.from('a')));
      expect(side.streams.get(id)!.stream.closed).toBe(true);
    }
    expect(side.errors).toEqual([]);
  });
});

describe('receive window', () => {
  function received(windowBytes: number): RecordedMux {
    const side = new RecordedMux({ role: 'server', windowBytes });
    side.mux.receive(syn(1));
    side.streams.get(1)!.stream.accept();
    side.takeOutput();
    return side;
  }

  test('is returned when half of it is consumed', () => {
    const side = received(512 * KIB);
    const { stream } = side.streams.get(1)!;
    side.mux.receive(encodeFrame(FrameType.data, 0, 1, 512 * KIB, Buffer.alloc(512 * KIB)));
    stream.consumed(256 * KIB - 1);
    expect(side.takeOutput()).toHaveLength(0);
    stream.consumed(1);
    expect(side.takeFrames()).toEqual(['update 1 #262144']);
    stream.consumed(256 * KIB);
    expect(side.takeFrames()).toEqual(['update 1 #262144']);
    expect(() => {
      stream.consumed(1);
    }).toThrow(RangeError);
  });

  test('holds what was granted to the byte', () => {
    for (const tooMuch of [0, 1]) {
      const side = received(512 * KIB);
      side.mux.receive(encodeFrame(FrameType.data, 0, 1, 300 * KIB, Buffer.alloc(300 * KIB)));
      side.streams.get(1)!.stream.consumed(300 * KIB);
      side.mux.receive(encodeFrame(FrameType.data, 0, 1, 300 * KIB, Buffer.alloc(300 * KIB)));
      side.mux.receive(encodeFrame(FrameType.data, 0, 1, 212 * KIB + tooMuch, Buffer.alloc(212 * KIB)));
      expect(side.errors.map(({ code }) => code)).toEqual(tooMuch === 0 ? [] : ['WINDOW_EXCEEDED']);
    }
  });

  test('is not returned after FIN', () => {
    const side = received(256 * KIB);
    side.mux.receive(encodeFrame(FrameType.data, Flag.fin, 1, 256 * KIB, Buffer.alloc(256 * KIB)));
    side.streams.get(1)!.stream.consumed(256 * KIB);
    expect(side.takeOutput()).toHaveLength(0);
  });

  test('gives out views of what was received', () => {
    const side = received(256 * KIB);
    const chunk = encodeFrame(FrameType.data, 0, 1, 100 * KIB, Buffer.alloc(100 * KIB, 7));
    side.mux.receive(chunk);
    const [view] = side.streams.get(1)!.received;
    expect(view!.buffer).toBe(chunk.buffer);
    expect(view!.length).toBe(100 * KIB);
  });
});

describe('send window', () => {
  test('of 256 KiB is used up, the rest waits for updates, FIN comes last', () => {
    const side = new RecordedMux({ role: 'client' });
    const { stream, events } = side.open();
    side.takeOutput();
    expect(stream.write(Buffer.alloc(256 * KIB))).toBe(true);
    expect(side.takeOutput()).toHaveLength(256 * KIB + 4 * 12);
    expect(stream.write(Buffer.from('abc'))).toBe(false);
    expect(stream.write(Buffer.from('de'))).toBe(false);
    expect(stream.queuedBytes).toBe(5);
    side.mux.receive(withFlag(Flag.none, 1, 4));
    expect(side.takeOutput().toString('latin1')).toMatch(/abc.*d$/s);
    expect(stream.queuedBytes).toBe(1);
    expect(events).toEqual([]);
    side.mux.receive(withFlag(Flag.none, 1, 100));
    expect(events).toEqual(['1 drain']);
    stream.write(Buffer.alloc(100, 'f'));
    stream.end();
    expect(codeOf(() => stream.write(Buffer.from('x')))).toBe('WRITE_AFTER_END');
    expect(side.takeFrames()).toEqual(['data 1 #1', 'data 1 #99']);
    side.mux.receive(withFlag(Flag.none, 1, 1));
    expect(side.takeFrames()).toEqual(['data 1 #1', 'update 1 fin #0']);
    expect(events).toEqual(['1 drain']);
  });

  test('large chunks go out as they are, small ones next to their header', () => {
    const side = new RecordedMux({ role: 'client' });
    const { stream } = side.open();
    const large = Buffer.alloc(60 * KIB, 1);
    stream.write(Buffer.from('small'));
    stream.write(large);
    stream.write(Buffer.from('small'));
    stream.end();
    expect(side.flushesAsked).toBe(1);
    expect(side.writes).toEqual([]);
    side.mux.flush();
    expect(side.writes.map((buffers) => buffers.map(({ length }) => length))).toEqual([
      [12 + 12 + 5 + 12, 60 * KIB, 12 + 5 + 12],
    ]);
    expect(side.writes[0]![1]).toBe(large);
    side.mux.flush();
    expect(side.writes).toHaveLength(1);
  });

  test('headers of two muxes in turn stay apart wherever their common block ends', () => {
    const other = new RecordedMux({ role: 'server' });
    // A block holds 1365 headers; one of these counts ends where the first header of `mux` ended, one block later.
    for (let between = 1360; between < 1370; between += 1) {
      const side = new RecordedMux({ role: 'client' });
      side.mux.ping(1);
      for (let index = 0; index < between; index += 1) other.mux.ping(index);
      side.mux.ping(2);
      expect(side.takeFrames()).toEqual(['ping 0 syn #1', 'ping 0 syn #2']);
    }
  });

  test('a long queue is sent chunk by chunk', () => {
    const side = new RecordedMux({ role: 'client' });
    const { stream } = side.open();
    side.mux.setCongested(true);
    side.takeOutput();
    side.afterWrite = () => {
      side.mux.setCongested(true);
    };
    const chunk = Buffer.alloc(128 * KIB);
    side.mux.receive(withFlag(Flag.none, 1, 1024 * 1024 * KIB));
    for (let index = 0; index < 400; index += 1) stream.write(chunk.subarray(index));
    const frames: string[] = [];
    while (stream.queuedBytes > 0) {
      side.mux.setCongested(false);
      frames.push(...side.takeFrames());
    }
    const lengths = frames.map((frame) => Number(frame.split('#')[1]));
    const expected = Array.from({ length: 400 }, (_, index) => [64 * KIB, 64 * KIB - index]);
    expect(lengths).toEqual(expected.flat());
  });

  test('headers of two muxes in turn stay apart', () => {
    const one = new RecordedMux({ role: 'client' });
    const two = new RecordedMux({ role: 'server', windowBytes: 256 * KIB });
    one.open();
    two.open();
    one.open();
    two.mux.ping(7);
    expect(one.takeFrames()).toEqual(['update 1 syn #786432', 'update 3 syn #786432']);
    expect(two.takeFrames()).toEqual(['update 2 syn #0', 'ping 0 syn #7']);
  });

  test('an empty chunk is no frame', () => {
    const side = new RecordedMux({ role: 'client' });
    const { stream } = side.open();
    side.takeOutput();
    expect(stream.write(Buffer.alloc(0))).toBe(true);
    expect(side.takeOutput()).toHaveLength(0);
  });
});

describe('abort', () => {
  test('resets every stream once and writes nothing more', () => {
    const side = new RecordedMux({ role: 'client' });
    const recorded = side.open();
    side.mux.receive(syn(2));
    const { stream } = recorded;
    recorded.onReset = () => {
      recorded.resets += 1;
      expect(codeOf(() => side.mux.open())).toBe('MUX_CLOSED');
      stream.reset();
      stream.end();
    };
    side.mux.abort();
    side.mux.abort();
    expect([recorded.resets, side.streams.get(2)!.resets]).toEqual([1, 1]);
    side.mux.ping(1);
    side.mux.goAway(0);
    side.mux.receive(syn(4));
    side.mux.setCongested(false);
    expect(side.takeOutput()).toHaveLength(0);
    expect([side.mux.state, side.mux.streamCount]).toEqual(['aborted', 0]);
  });

  test('in the middle of a chunk leaves the rest of it alone', () => {
    const side = new RecordedMux({ role: 'server' });
    side.adopt = (stream) => {
      const recorded = side.record(stream);
      recorded.onData = () => {
        side.mux.abort();
      };
    };
    const first = encodeFrame(FrameType.data, Flag.syn | Flag.fin, 1, 1, Buffer.from('a'));
    side.mux.receive(Buffer.concat([first, syn(3), encodeFrame(FrameType.ping, Flag.ack, 0, 1)]));
    expect(side.events).toEqual(['stream 1', '1 reset']);
  });

  test('after a violation drops the GoAway that was not written', () => {
    const side = new RecordedMux({ role: 'client' });
    side.mux.receive(hexToBytes('ff'.repeat(12)));
    side.mux.abort();
    expect(side.takeOutput()).toHaveLength(0);
  });
});
