import { createHash, randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLogger } from '@sekisho/telemetry';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { TestAgent } from '../test/agent.ts';
import { echo, startDestination, type TestDestination } from '../test/destination.ts';
import { type TestDevice, TestSite } from '../test/site.ts';
import type { RelaySettings } from './settings.ts';
import { RelayWorker } from './worker.ts';

let site: TestSite;
let device: TestDevice;
beforeAll(async () => {
  site = await TestSite.make();
  device = await site.device();
});

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

const log = createLogger({ role: 'relay', level: 'silent' });
const lines: Record<string, unknown>[] = [];
const recording = createLogger({
  role: 'relay',
  destination: { write: (line: string) => lines.push(JSON.parse(line) as Record<string, unknown>) },
});

async function startWorker(change: Partial<RelaySettings> & { readonly ports?: readonly number[] } = {}, into = log) {
  const worker = await RelayWorker.start({ log: into }, site.settings(change));
  cleanUps.push(() => worker.close());
  return worker;
}

async function startServer(serve: (socket: Socket) => void): Promise<TestDestination> {
  const destination = await startDestination(serve);
  cleanUps.push(() => destination.stop());
  return destination;
}

async function connectAgent(worker: RelayWorker, as = device): Promise<TestAgent> {
  const agent = await TestAgent.connect(as, worker.port);
  cleanUps.push(() => agent.close());
  return agent;
}

async function admittedAgent(worker: RelayWorker, as = device): Promise<TestAgent> {
  const agent = await connectAgent(worker, as);
  expect(await agent.show(site.ticket(as))).toBe('admit');
  return agent;
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

describe('a session', () => {
  test('carries bytes both ways and ends with FIN on both sides', async () => {
    const destination = await startServer(echo);
    const worker = await startWorker({ ports: [destination.port] });
    const agent = await admittedAgent(worker);
    const session = agent.session({ port: destination.port });
    expect(await session.answer).toBe('connected');
    expect(session.connected?.address).toBe('127.0.0.1');
    session.stream.write(Buffer.from('EHLO x\r\n'));
    session.end();
    expect(await session.over).toBe('end');
    expect(session.received.toString()).toBe('EHLO x\r\n');
    await expect.poll(() => worker.report().counts.outcomes).toEqual({ completed: 1 });
  });
});
void sha256;
void sleep;
void randomBytes;
void recording;
