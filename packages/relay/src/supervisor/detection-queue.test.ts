import { createLogger } from '@sekisho/telemetry';
import { encodeFrame, type Message } from '@sekisho/wire';
import { beforeEach, expect, test } from 'vitest';
import type { Detection } from '../inspect/detection.ts';
import { DetectionQueue } from './detection-queue.ts';

const HELD = 10_000;
const IN_FLIGHT = 64;

let nowMs: number;
let counts: { noted: number; dropped: number };
let lines: Record<string, unknown>[];
let queue: DetectionQueue;
beforeEach(() => {
  nowMs = 0;
  counts = { noted: 0, dropped: 0 };
  lines = [];
  queue = new DetectionQueue({
    log: createLogger({ role: 'relay', destination: { write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) } }),
    now: () => nowMs,
    handler: { onNoted: () => (counts.noted += 1), onDropped: () => (counts.dropped += 1) },
  });
});

const found = (key: string, fields: Partial<Detection> = {}): Detection => ({
  key,
  at: 1_800_000_000_000,
  mac: '02:00:5e:10:00:01',
  signature: 'Win.Test.EICAR_HDB-1',
  protocol: 'pop3',
  client: '10.1.2.3:50000',
  destination: 'mail.example.com:110',
  session: '000102030405060708090a0b0c0d0e0f',
  ...fields,
});
const addMany = (count: number): void => {
  for (let n = 1; n <= count; n += 1) queue.add(found(`k${n}`));
};

/** A manager that notes what it is told to. */
class Manager {
  readonly got: Message<'detection'>[] = [];
  readonly outlet = queue.open((message) => this.got.push(message));

  get keys(): string[] {
    return this.got.map(({ key }) => key);
  }

  note(...keys: string[]): void {
    for (const key of keys) this.outlet.noted(this.got.findLast((message) => message.key === key)?.id ?? 0);
  }
}

test('every manager is sent what is found, with all of it, and what one has noted waits no more', () => {
  const [first, second] = [new Manager(), new Manager()];
  queue.add(found('a'));
  queue.add(found('b'));
  expect(first.got).toEqual(second.got);
  expect(first.got[0]).toEqual({
    type: 'detection',
    id: 1,
    key: 'a',
    at: 1_800_000_000_000,
    mac: Buffer.from('02005e100001', 'hex'),
    signature: 'Win.Test.EICAR_HDB-1',
    protocol: 2,
    client: '10.1.2.3:50000',
    destination: 'mail.example.com:110',
    session: Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex'),
  });
  first.note('a');
  second.note('a');
  expect(queue.size).toBe(1);
  expect(counts).toEqual({ noted: 1, dropped: 0 });
  expect(new Manager().keys).toEqual(['b']);
});

test('nobody is there: it waits, and goes to who comes', () => {
  addMany(3);
  const manager = new Manager();
  expect(manager.keys).toEqual(['k1', 'k2', 'k3']);
  manager.outlet.close();
  queue.add(found('k4'));
  expect(manager.keys).toHaveLength(3);
  expect(new Manager().keys).toEqual(['k1', 'k2', 'k3', 'k4']);
});

test('a manager has so many unanswered and no more, also when another one is faster', () => {
  const [fast, slow] = [new Manager(), new Manager()];
  addMany(200);
  expect(fast.keys).toHaveLength(IN_FLIGHT);
  for (let n = 1; n <= 200; n += 1) fast.note(`k${n}`);
  expect(fast.keys).toEqual(Array.from({ length: 200 }, (_, n) => `k${n + 1}`));
  expect(queue.size).toBe(0);
  expect(slow.keys).toHaveLength(IN_FLIGHT);
  // It was away for a while: what is noted already is not sent again, what comes is.
  queue.add(found('new'));
  expect(slow.keys).not.toContain('new');
  nowMs += 3000;
  queue.tick();
  expect(slow.keys.slice(IN_FLIGHT)).toEqual(['new']);
});

test('without an answer it is sent again, under the same number, and not sooner', () => {
  const manager = new Manager();
  addMany(2);
  manager.note('k1');
  nowMs += 2999;
  queue.tick();
  expect(manager.keys).toEqual(['k1', 'k2']);
  nowMs += 1;
  queue.tick();
  queue.tick();
  expect(manager.keys).toEqual(['k1', 'k2', 'k2']);
  expect(manager.got[2]?.id).toBe(manager.got[1]?.id);
  manager.note('k2');
  expect(queue.size).toBe(0);
});

test('what waits already is not taken again; what was noted is', () => {
  const manager = new Manager();
  queue.add(found('a'));
  queue.add(found('a'));
  expect(manager.keys).toEqual(['a']);
  manager.note('a');
  queue.add(found('a'));
  expect(manager.keys).toEqual(['a', 'a']);
});

test('a manager notes only what it was sent', () => {
  const outlet = new Manager().outlet;
  addMany(IN_FLIGHT + 1);
  outlet.noted(IN_FLIGHT + 1);
  outlet.noted(0);
  expect(queue.size).toBe(IN_FLIGHT + 1);
});

test('too many: the oldest go, which is counted each time and told once', () => {
  addMany(HELD + 5);
  expect(queue.size).toBe(HELD);
  expect(counts.dropped).toBe(5);
  expect(lines.map(({ event }) => event)).toEqual(['detections_dropped']);
  const manager = new Manager();
  for (let n = 6; n <= HELD + 5; n += 1) manager.note(`k${n}`);
  expect(manager.keys[0]).toBe('k6');
  expect(counts.noted).toBe(HELD);
  expect(queue.size).toBe(0);
  // It is another outbreak.
  addMany(HELD + 1);
  expect(lines).toHaveLength(2);
});

test('a manager whose connection breaks over a message is sent nothing more', () => {
  const sent: string[] = [];
  const outlet = queue.open(({ key }) => {
    sent.push(key);
    if (key === 'k3') outlet.close();
  });
  addMany(5);
  expect(sent).toEqual(['k1', 'k2', 'k3']);
  expect(new Manager().keys).toHaveLength(5);
});

test('what a scanner or a client calls itself is made fit for a frame', () => {
  const manager = new Manager();
  queue.add(found('a', { signature: `\u001b[2J\u2028${'ウ'.repeat(100)}`, client: 'c'.repeat(100), destination: 'd'.repeat(600) }));
  const [message] = manager.got;
  if (message === undefined) throw new Error('nothing was sent');
  expect(message.signature.startsWith('\\u001b[2J\\u2028ウウ')).toBe(true);
  expect(Buffer.byteLength(message.signature)).toBe(126);
  expect(message.client).toHaveLength(64);
  expect(message.destination).toHaveLength(260);
  expect(() => encodeFrame(message)).not.toThrow();
});

test('a relay that ends waits for the last to be noted, if there is who could, and not for long', async () => {
  queue.add(found('a'));
  await queue.flush(60_000);
  const manager = new Manager();
  setTimeout(() => manager.note('a'), 10);
  await queue.flush(60_000);
  expect(queue.size).toBe(0);
  queue.close();
  expect(lines).toEqual([]);
  queue.add(found('b'));
  setTimeout(() => (nowMs += 2000), 10);
  await queue.flush(2000);
  queue.close();
  expect(lines).toMatchObject([{ event: 'detections_lost', detections: 1 }]);
});
