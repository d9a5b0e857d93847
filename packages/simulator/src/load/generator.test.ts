import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, test, vi } from 'vitest';
import { type Balance, balance, Ledger } from './figures/ledger.ts';
import { Tally } from './figures/tally.ts';
import { Generator, type GeneratorInit } from './generator.ts';
import { Pacer } from './pacer.ts';
import { seeded } from './random.ts';
import { selfSigned } from './self-signed.ts';
import { Servers } from './servers.ts';
import { type Target, TLS_NAME } from './session.ts';
import type { Traffic } from './traffic.ts';

const RUN = 'c0ffee04';
const cleanups: (() => void)[] = [];

afterAll(() => {
  for (const cleanup of cleanups) cleanup();
});

const traffic: Traffic = {
  clients: 8,
  loop: { kind: 'closed', thinkMs: 0 },
  mix: { sizes: [{ share: 1, bytes: 5000 }], fetchShare: 0.5 },
  bulk: false,
  clientBytesPerSecond: undefined,
  timeoutMs: 10_000,
};

interface Bench {
  readonly tally: Tally;
  readonly ledger: Ledger;
  readonly generator: Generator;
  readonly targets: { send: Target; fetch: Target };
  /** Lets it run for so many milliseconds, or until something is true, and returns its books. */
  readonly run: (until: number | (() => boolean)) => Promise<Balance>;
  readonly books: () => Balance;
}

/** Servers and clients in this process; `through` stands between them. */
async function bench(wanted: Partial<Traffic>, options: { tls?: boolean; through?: (port: number) => Promise<number>; graceMs?: number } = {}): Promise<Bench> {
  const own = { ...traffic, ...wanted };
  const ledger = new Ledger({ worker: 0 });
  const tally = new Tally();
  tally.measuring = true;
  const pacer = own.clientBytesPerSecond === undefined ? undefined : new Pacer({ bytesPerSecond: own.clientBytesPerSecond });
  const tls = options.tls === true ? selfSigned(TLS_NAME) : undefined;
  const servers = new Servers({ ledger, pacer, onBytesStored: (bytes) => tally.bytes('up', bytes) }, { run: RUN, workers: 1, tls });
  cleanups.push(() => servers.close());
  const through = options.through ?? ((port) => Promise.resolve(port));
  const smtp = await through(await servers.listen({ protocol: 'smtp', host: '127.0.0.1', port: 0 }));
  const pop3 = await through(await servers.listen({ protocol: 'pop3', host: '127.0.0.1', port: 0 }));
  const targets = { send: { host: '127.0.0.1', port: smtp }, fetch: { host: '127.0.0.1', port: pop3 } };
  const init: GeneratorInit = { run: RUN, worker: 0, traffic: own, targets: { send: [targets.send], fetch: [targets.fetch] }, tlsCaPem: tls?.certPem };
  const generator = new Generator({ ledger, tally, pacer, random: seeded(1) }, init);
  const books = (): Balance => balance([ledger.parts()]);
  const run = async (until: number | (() => boolean)): Promise<Balance> => {
    generator.start();
    if (typeof until === 'number') await sleep(until);
    else await vi.waitFor(() => expect(until()).toBe(true), { timeout: 10_000, interval: 5 });
    pacer?.lift();
    await generator.stop(options.graceMs ?? 5000);
    expect(generator.active).toBe(0);
    return books();
  };
  return { tally, ledger, generator, targets, run, books };
}

/** A proxy that does something with what the client says. */
async function proxyTo(port: number, change: (chunk: Buffer, client: Socket) => Buffer): Promise<number> {
  const server: Server = createServer((client) => {
    const out = connect(port, '127.0.0.1');
    client.on('data', (chunk) => out.write(change(chunk as Buffer, client))).on('end', () => out.end());
    out.on('data', (chunk) => client.write(chunk)).on('end', () => client.end());
    for (const [socket, other] of [[client, out], [out, client]] as const) socket.on('error', () => other.destroy()).on('close', () => other.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

test.each([false, true])('every mail that is sent is stored, every one that is asked for arrives (TLS: %s)', async (tls) => {
  const { run, tally, books } = await bench({ mix: { sizes: [{ share: 0.5, bytes: 300 }, { share: 0.5, bytes: 200_000 }], fetchShare: 0.5 } }, { tls });
  const { up, down } = await run(() => books().up.accepted >= 20 && books().down.fetched >= 20);
  expect(up).toEqual({ sent: up.sent, accepted: up.sent, stored: up.sent, lost: 0, duplicate: 0, altered: 0, unconfirmed: 0, foreign: 0 });
  expect(down).toEqual({ asked: down.asked, served: down.asked, fetched: down.asked, altered: 0 });
  const { errors, sessionsInAll, phases } = tally.parts();
  expect(errors).toEqual([]);
  expect(sessionsInAll).toBe(up.sent + down.asked);
  expect(phases.timeToRelay.min).toBeGreaterThanOrEqual(phases.connect.min);
});

test('a mail that is altered on its way is found, and not accepted', async () => {
  const through = (port: number): Promise<number> =>
    proxyTo(port, (chunk) => Buffer.from(chunk.toString('latin1').replace('Subject: sekisho', 'Subject: SEKISHO'), 'latin1'));
  const { run, tally, books } = await bench({ mix: { ...traffic.mix, fetchShare: 0 } }, { through });
  const { up } = await run(() => books().up.altered >= 3);
  expect(up).toMatchObject({ accepted: 0, stored: 0, lost: 0, altered: up.sent });
  expect(tally.parts().errors).toEqual([{ code: 'refused_permanent', stage: 'final', count: up.sent }]);
});

test('a mail that somebody took and did not pass on is lost', async () => {
  // Whatever stands between says 250 by itself, and keeps the mail.
  const through = (port: number): Promise<number> =>
    proxyTo(port, (chunk, client) => {
      if (!chunk.includes('\r\n.\r\n')) return chunk;
      client.write('250 2.0.0 trust me\r\n');
      return Buffer.alloc(0);
    });
  const { run, books } = await bench({ clients: 2, mix: { ...traffic.mix, fetchShare: 0 } }, { through, graceMs: 100 });
  const { up } = await run(() => books().up.accepted === 2);
  expect(up).toMatchObject({ accepted: 2, stored: 0, lost: 2 });
});

test('a connection that breaks is counted where it broke, and the client goes on', async () => {
  let connections = 0;
  const through = (port: number): Promise<number> =>
    proxyTo(port, (chunk, client) => {
      if (chunk.includes('DATA') && ++connections % 2 === 1) client.resetAndDestroy();
      return chunk;
    });
  const { run, tally, books } = await bench({ clients: 2, mix: { ...traffic.mix, fetchShare: 0 } }, { through });
  const { up } = await run(() => books().up.accepted >= 3);
  expect(up).toMatchObject({ lost: 0, altered: 0, stored: up.accepted });
  expect(tally.parts().errors).toMatchObject([{ code: 'reset', stage: 'commands' }]);
});

// From here on side by side: they wait.
test.concurrent('nobody there, nobody who speaks, and somebody who says nothing more', async () => {
  const refused = await bench({ clients: 2 }, { through: () => Promise.resolve(1) });
  await refused.run(50);
  expect(refused.tally.parts().errors).toEqual([{ code: 'connect_refused', stage: 'connect', count: 2 }]);

  const mute = createServer();
  await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => mute.close());
  const silent = await bench({ clients: 2, timeoutMs: 1000 }, { through: () => Promise.resolve((mute.address() as AddressInfo).port) });
  await silent.run(() => silent.tally.parts().failedInAll > 0);
  expect(silent.tally.parts().errors).toMatchObject([{ code: 'silent', stage: 'greeting' }]);

  const unfinished = await bench({ clients: 2 }, { through: () => Promise.resolve((mute.address() as AddressInfo).port), graceMs: 50 });
  await unfinished.run(50);
  expect(unfinished.tally.parts().errors).toEqual([{ code: 'unfinished', stage: 'greeting', count: 2 }]);
});

test.concurrent('in bulk every client keeps to its rate, in both directions, and finishes its last mail', async () => {
  const perSecond = 400_000;
  const { run, generator, tally } = await bench({ bulk: true, clients: 6, clientBytesPerSecond: perSecond, mix: { sizes: [{ share: 1, bytes: 150_000 }], fetchShare: 0.5 } });
  const running = run(2400);
  await sleep(1000);
  const [before, beganMs] = [generator.moved(), performance.now()];
  await sleep(1200);
  const seconds = (performance.now() - beganMs) / 1000;
  const rates = [...generator.moved()].map((bytes, client) => (bytes - (before[client] ?? 0)) / seconds);
  for (const rate of rates) expect(Math.abs(rate / perSecond - 1)).toBeLessThan(0.35);
  const { up, down } = await running;
  expect(up).toMatchObject({ accepted: up.sent, lost: 0, stored: up.sent });
  expect(down).toMatchObject({ fetched: down.asked });
  // One session each, from the beginning to the end.
  expect(tally.parts()).toMatchObject({ sessionsInAll: 6, failedInAll: 0 });
});

test.concurrent('with an open loop sessions begin at their rate, and those for whom there is no room are counted', async () => {
  const { run, tally } = await bench({ loop: { kind: 'open', perSecond: 200 }, clients: 100 });
  await run(1000);
  const { sessionsInAll, failedInAll } = tally.parts();
  expect(sessionsInAll + failedInAll).toBeGreaterThan(130);
  expect(sessionsInAll + failedInAll).toBeLessThan(280);

  const mute = createServer();
  await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => mute.close());
  const full = await bench({ loop: { kind: 'open', perSecond: 500 }, clients: 3 }, { through: () => Promise.resolve((mute.address() as AddressInfo).port), graceMs: 10 });
  await full.run(200);
  expect(full.tally.parts().errors.map(({ code }) => code).sort()).toEqual(['not_started', 'unfinished']);
});

test.concurrent('think time is the pause between sessions', async () => {
  const { run, tally } = await bench({ clients: 20, loop: { kind: 'closed', thinkMs: 200 } });
  await run(1000);
  // 20 clients, a session every 200 ms: about 100.
  expect(tally.parts().sessionsInAll).toBeGreaterThan(15);
  expect(tally.parts().sessionsInAll).toBeLessThan(160);
});
