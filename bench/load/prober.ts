// Clients that connect, wait for the first byte of a greeting, hold the connection for a while, and come again.
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { serve } from './helper-process.ts';

/** `steady`: each client comes when it wants to. `burst`: all come in the same instant. */
export interface ProbeTask {
  readonly port: number;
  readonly arrival: 'steady' | 'burst';
  readonly atOnce: number;
  /** Of each client. */
  readonly connections: number;
}

/** A client holds its connection for up to twice as long, by chance. */
const MEAN_HOLD_MS = 250;
const BETWEEN_BURSTS_MS = 20;

/** Resolves with the time from connect() to the first byte. */
async function probe(port: number): Promise<{ readonly ms: number; readonly socket: Socket }> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const startMs = performance.now();
  const socket = connect({ host: '127.0.0.1', port, noDelay: true });
  socket.once('error', reject);
  socket.once('data', () => resolve());
  socket.once('end', () => reject(new Error('ended without a byte')));
  await promise;
  return { ms: performance.now() - startMs, socket };
}

async function steady({ port, atOnce, connections }: ProbeTask): Promise<number[]> {
  const times: number[] = [];
  const client = async (): Promise<void> => {
    await sleep(Math.random() * 2 * MEAN_HOLD_MS);
    for (let turn = 0; turn < connections; turn += 1) {
      const { ms, socket } = await probe(port);
      times.push(ms);
      await sleep(Math.random() * 2 * MEAN_HOLD_MS);
      socket.destroy();
    }
  };
  await Promise.all(Array.from({ length: atOnce }, client));
  return times;
}

async function burst({ port, atOnce, connections }: ProbeTask): Promise<number[]> {
  const times: number[] = [];
  for (let turn = 0; turn < connections; turn += 1) {
    const probes = await Promise.all(Array.from({ length: atOnce }, () => probe(port)));
    times.push(...probes.map(({ ms }) => ms));
    for (const { socket } of probes) socket.destroy();
    await sleep(BETWEEN_BURSTS_MS);
  }
  return times;
}

serve((question) => {
  const task = question as ProbeTask;
  return task.arrival === 'steady' ? steady(task) : burst(task);
});
