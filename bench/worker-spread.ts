import { type ChildProcess, fork } from 'node:child_process';
import cluster from 'node:cluster';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * How evenly long-lived connections spread over the workers of a relay: the cluster module (the primary accepts and hands
 * out in turn) against SO_REUSEPORT (the kernel chooses by a hash). One worker with twice the mean is one core that is
 * full while others idle. Prints, for each way and number of workers, the busiest worker's share of the mean.
 *
 *     node bench/worker-spread.ts
 */

const CONNECTIONS = 200;
const ROUNDS = 20;
const WORKER_COUNTS = [2, 4];
/** One by one, as devices come; in bursts, as they all come when another relay has died. */
const BURSTS = [1, 10, 200];
const REUSE_PORT_WORKER = 'worker-spread-reuse-port';

type Way = 'cluster' | 'reusePort';
interface Workers {
  readonly port: number;
  counts(): Promise<number[]>;
  stop(): void;
}

if (cluster.isWorker) serve(0, false);
else if (process.argv[2] === REUSE_PORT_WORKER) serve(Number(process.argv[3]), true);
else await main();

/** A worker: accepts, keeps, and says how many it has. */
function serve(port: number, reusePort: boolean): void {
  let open = 0;
  const server = createServer((socket) => {
    open += 1;
    socket.on('error', () => {});
    socket.on('close', () => (open -= 1));
  });
  server.listen({ host: '127.0.0.1', port, reusePort, backlog: 1024 }, () => {
    const address = server.address();
    process.send?.({ port: typeof address === 'object' ? address?.port : 0 });
  });
  process.on('message', () => process.send?.({ open }));
  process.on('disconnect', () => process.exit());
}

async function main(): Promise<void> {
  console.log(`${CONNECTIONS} connections, ${ROUNDS} rounds, ${availableParallelism()} cores, Node ${process.version}`);
  const cases = WORKER_COUNTS.flatMap((workers) => BURSTS.map((burst) => ({ workers, burst })));
  for (const { workers, burst } of cases) {
    for (const way of ['cluster', 'reusePort'] as const) {
      const shares: number[] = [];
      for (let round = 0; round < ROUNDS; round += 1) shares.push(await measure(way, workers, burst));
      shares.sort((a, b) => a - b);
      const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length;
      console.log(
        `${way.padEnd(9)} ${workers} workers, ${String(burst).padStart(3)} at once: max/mean ${mean.toFixed(3)} on average, ` +
          `${shares.at(shares.length >> 1)?.toFixed(3)} median, ${shares.at(-1)?.toFixed(3)} worst`,
      );
    }
  }
}

async function measure(way: Way, count: number, burst: number): Promise<number> {
  const workers = way === 'cluster' ? await startCluster(count) : await startReusePort(count);
  const sockets: Socket[] = [];
  try {
    for (let opened = 0; opened < CONNECTIONS; opened += burst) {
      const batch = Array.from({ length: burst }, () => connect(workers.port, '127.0.0.1'));
      sockets.push(...batch);
      await Promise.all(batch.map((socket) => once(socket, 'connect')));
    }
    return await spread(workers);
  } finally {
    for (const socket of sockets) socket.destroy();
    workers.stop();
  }
}

/** Waits until every connection was accepted, which is after it was connected. */
async function spread(workers: Workers): Promise<number> {
  for (;;) {
    const counts = await workers.counts();
    const total = counts.reduce((sum, open) => sum + open, 0);
    if (total === CONNECTIONS) return Math.max(...counts) / (total / counts.length);
    await sleep(20);
  }
}

async function startCluster(count: number): Promise<Workers> {
  const children = Array.from({ length: count }, () => cluster.fork().process);
  return workersOf(children, await Promise.all(children.map(portOf)));
}

async function startReusePort(count: number): Promise<Workers> {
  const file = import.meta.filename;
  const first = fork(file, [REUSE_PORT_WORKER, '0']);
  const port = await portOf(first);
  const others = Array.from({ length: count - 1 }, () => fork(file, [REUSE_PORT_WORKER, String(port)]));
  return workersOf([first, ...others], [port, ...(await Promise.all(others.map(portOf)))]);
}

function workersOf(children: readonly ChildProcess[], ports: readonly number[]): Workers {
  const [port = 0] = ports;
  return {
    port,
    counts: () => Promise.all(children.map(openOf)),
    stop: () => {
      for (const child of children) child.disconnect();
    },
  };
}

// The channel of a cluster's worker carries messages of the module, too.
async function answer(child: ChildProcess, key: 'port' | 'open'): Promise<number> {
  for (;;) {
    const [message] = (await once(child, 'message')) as [Partial<Record<typeof key, number>>];
    const value = message[key];
    if (value !== undefined) return value;
  }
}

function portOf(child: ChildProcess): Promise<number> {
  return answer(child, 'port');
}

function openOf(child: ChildProcess): Promise<number> {
  const open = answer(child, 'open');
  child.send('open');
  return open;
}
