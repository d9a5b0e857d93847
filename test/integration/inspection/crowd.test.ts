import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Clamd, startClamd } from '../../kit/clamd.ts';
import { dotStuff, sha256, type TestMail, textMail } from '../../kit/mails.ts';
import { Mesh, type MeshAgent, type MeshSite } from '../../kit/mesh.ts';
import { freePort } from '../../kit/ports.ts';
import { stopAllProcesses } from '../../kit/process.ts';
import { deliver, connectSmtpWire, type SmtpWire } from '../../kit/smtp-wire.ts';
import { eicarInBody } from '../../kit/virus-mails.ts';
import { linesOf } from '../session-logs.ts';
import { type HashingDestination, startHashingDestination } from './hashing-destination.ts';
import { type OneMailPop3, startOneMailPop3 } from './one-mail-pop3.ts';
import { Pop3Listener } from './pop3-listener.ts';
import { MemoryWatch, openDescriptors, workerOf } from './process-memory.ts';

const KIBIBYTE = 1024;
const MEBIBYTE = KIBIBYTE * KIBIBYTE;
const CLIENTS = 1000;
/** Past what is kept in memory, so that each has its file. */
const SENT_BYTES = 300_000;
const SENT_PIECES = 5;
const LARGE_BYTES = 24_900_000;
/** What each of the large ones, sent to its end, goes up in. */
const LARGE_PIECE_BYTES = 500_000;
/** What the end of data is looked for in, and so has not been passed on. */
const HELD_BACK_BYTES = 8;
/** A worker's spare memory for messages of up to 1 MiB, and what a session may cost it beyond: 64 KiB of its message, and most of its window. */
const SPARE_MEMORY_BYTES = 64 * MEBIBYTE;
const MAX_SESSION_BYTES = 256 * KIBIBYTE;
/** What goes through memory while a message is spooled, scanned and given on. */
const MAX_FETCH_BYTES = MEBIBYTE;
const FETCHERS = 200;
const FETCHED_BYTES = 5_000_000;
const PATIENCE_MS = 60_000;
const from = 'sender@example.com';
const to = 'recipient@example.net';

let scanners: Clamd[];
let destination: HashingDestination;
let pop3: OneMailPop3;
let fetched: TestMail;
let mesh: Mesh;
let site: MeshSite;
let narrow: MeshSite;
let agent: MeshAgent;
let narrowAgent: MeshAgent;
let metricsPort: number;

beforeAll(async () => {
  fetched = textMail(7, FETCHED_BYTES);
  [scanners, destination, pop3, mesh, metricsPort] = await Promise.all([
    Promise.all([startClamd(), startClamd()]),
    startHashingDestination(),
    startOneMailPop3(retrAnswer(fetched.raw)),
    Mesh.create(),
    freePort(),
  ]);
  const siteInit = (name: string, address: string, maxSpoolBytes: string, settings: Readonly<Record<string, unknown>> = {}) => ({
    name,
    servers: [{ name: 's1', address, roles: ['manager', 'auth', 'relay'] as const }],
    settings: {
      'relay.maxSessions': 5000,
      'relay.maxSessionsPerDevice': 5000,
      'relay.destinations.extraPorts': [destination.port, pop3.port],
      'relay.inspect': { clamd: scanners.map(({ address: scanner }) => scanner), scanTimeout: '60s', maxSpoolBytes },
      ...settings,
    },
  });
  site = await mesh.addSite(siteInit('wide', '127.0.41.1', '2GB', { 'metrics.relay': metricsPort }));
  narrow = await mesh.addSite(siteInit('narrow', '127.0.41.2', '2MB'));
  await Promise.all([site.start(), narrow.start()]);
  const forward = [`127.0.0.1:${destination.port}/smtp`, `127.0.0.1:${pop3.port}/pop3`];
  const settings = { maxSessions: 5000, maxPerClient: 5000, failMode: 'closed' };
  mesh.publish([narrow]);
  narrowAgent = await mesh.startAgent({ mac: '02:00:5e:41:00:02', forward, settings });
  await deliver({ host: '127.0.0.1', port: narrowAgent.ports[0]! }, { from, to, content: dotStuff(textMail(1).raw) });
  mesh.publish([site]);
  agent = await mesh.startAgent({ mac: '02:00:5e:41:00:01', forward, settings });
}, 60_000);

afterAll(async () => {
  await mesh?.stop();
  await Promise.all([destination?.stop(), pop3?.stop()]);
  await Promise.all((scanners ?? []).map((clamd) => clamd.stop()));
  await stopAllProcesses();
});

function retrAnswer(raw: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`+OK ${raw.length} octets\r\n`), raw, Buffer.from('.\r\n')]);
}

async function spoolBytes(): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
  return Number(/^sekisho_relay_spool_bytes (\d+)$/mu.exec(text)?.[1]);
}

const spoolOf = (where: MeshSite): string => join(dirname(where.file), 'state', 'spool');
const kib = (bytes: number): number => Math.round(bytes / KIBIBYTE);
const mib = (bytes: number): number => Math.round(bytes / MEBIBYTE);

/** Up to the go-ahead for a message. */
async function begin(port: number): Promise<SmtpWire> {
  const wire = await connectSmtpWire({ host: '127.0.0.1', port, timeoutMs: 2 * PATIENCE_MS });
  expect(await wire.reply()).toMatch(/^220 /u);
  for (const line of ['EHLO client.example.com', `MAIL FROM:<${from}>`, `RCPT TO:<${to}>`]) expect(await wire.command(line)).toMatch(/^250 /u);
  expect(await wire.command('DATA')).toMatch(/^354 /u);
  return wire;
}

/** As many as a real crowd would be in the middle of connecting at any moment. */
async function inGroups<T>(count: number, make: (index: number) => Promise<T>): Promise<T[]> {
  const made: T[] = [];
  const groupSize = 100;
  for (let start = 0; start < count; start += groupSize)
    made.push(...(await Promise.all(Array.from({ length: Math.min(groupSize, count - start) }, (_, index) => make(start + index)))));
  return made;
}

async function send(where: MeshAgent, mail: TestMail): Promise<string | undefined> {
  const { reply } = await deliver({ host: '127.0.0.1', port: where.ports[0]!, timeoutMs: PATIENCE_MS }, { from, to, content: dotStuff(mail.raw) });
  return reply;
}

test('1,000 clients with slow 25 MB mails: memory is bounded; the relay is killed, and nothing of them is left', async () => {
  const port = agent.ports[0]!;
  for (let count = 0; count < 20; count += 1) expect(await send(agent, textMail(100 + count, 100_000))).toMatch(/^250 /u);
  const before = destination.hashes.length;
  const worker = workerOf(site.process('s1', 'relay'));
  const memory = new MemoryWatch(worker);

  const content = dotStuff(textMail(2, LARGE_BYTES).raw);
  const wires = await inGroups(CLIENTS, () => begin(port));
  const connectedBytes = memory.peakBytes;
  for (let piece = 0; piece < SENT_PIECES; piece += 1) {
    const bytes = content.subarray((piece * SENT_BYTES) / SENT_PIECES, ((piece + 1) * SENT_BYTES) / SENT_PIECES);
    for (const wire of wires) wire.write(bytes);
    const least = CLIENTS * (((piece + 1) * SENT_BYTES) / SENT_PIECES - HELD_BACK_BYTES);
    await expect.poll(spoolBytes, { timeout: PATIENCE_MS, interval: 100 }).toBeGreaterThanOrEqual(least);
  }
  expect(await spoolBytes()).toBeLessThanOrEqual(CLIENTS * SENT_BYTES);
  const descriptors = openDescriptors(worker);
  // A socket each, and a file for those that spare memory has no room for: most.
  expect(descriptors).toBeGreaterThan(1.5 * CLIENTS);
  expect(descriptors).toBeLessThan(2 * CLIENTS + 200);
  expect(readdirSync(spoolOf(site))).toEqual([]);

  // Others are not kept waiting, and are judged; a few of the crowd come to their end.
  expect(await send(agent, textMail(3))).toMatch(/^250 /u);
  expect(await send(agent, eicarInBody(3))).toMatch(/^554 5\.7\.1 /u);
  const finishers = wires.splice(0, 4);
  await Promise.all(
    finishers.map(async (wire) => {
      for (let at = SENT_BYTES; at < content.length; at += LARGE_PIECE_BYTES) {
        wire.write(content.subarray(at, at + LARGE_PIECE_BYTES));
        await wire.flushed();
      }
      expect(await wire.reply()).toMatch(/^250 /u);
    }),
  );
  memory.stop();
  const grownBytes = memory.peakBytes - memory.beforeBytes;
  console.log(
    `crowd: worker ${mib(memory.beforeBytes)} MiB before, ${mib(connectedBytes)} MiB with ${CLIENTS} sessions at DATA, peak ${mib(memory.peakBytes)} MiB ` +
      `(${kib(grownBytes / CLIENTS)} KiB a session), ${descriptors} descriptors`,
  );
  expect(grownBytes).toBeLessThan(SPARE_MEMORY_BYTES + CLIENTS * MAX_SESSION_BYTES);

  // The machine loses power.
  await site.killRole('s1', 'relay');
  expect(readdirSync(spoolOf(site))).toEqual([]);
  const ends = await Promise.all(wires.map((wire) => wire.ended));
  expect(ends.filter((end) => end === 'silence')).toEqual([]);
  expect(wires.filter((wire) => /^250 [^\r]*stored/mu.test(wire.received))).toEqual([]);
  await expect.poll(() => destination.openConnections, { timeout: 10_000 }).toBe(0);
  for (const wire of [...wires, ...finishers]) wire.close();

  await site.startRole('s1', 'relay');
  const next = textMail(4, 200_000);
  await expect.poll(() => send(agent, next), { timeout: 20_000, interval: 200 }).toMatch(/^250 /u);
  expect(await send(agent, eicarInBody(4))).toMatch(/^554 5\.7\.1 /u);
  const whole = sha256(textMail(2, LARGE_BYTES).raw);
  expect(destination.hashes.slice(before)).toEqual([textMail(3).sha256, ...finishers.map(() => whole), next.sha256]);
  await expect.poll(spoolBytes, { timeout: 10_000 }).toBe(0);
  expect(readdirSync(spoolOf(site))).toEqual([]);
  expect(agent.events('direct')).toEqual([]);
}, 180_000);

test('no room for all of them: who has none hears 451 and comes again, the others pass, none is lost', async () => {
  const clients = 40;
  const port = narrowAgent.ports[0]!;
  const before = destination.hashes.length;
  const mails = Array.from({ length: clients }, (_, index) => textMail(1000 + index, 200_000));
  const contents = mails.map(({ raw }) => dotStuff(raw));
  const wires = await inGroups(clients, () => begin(port));
  // All at once, but for the end: what finds no room is decided before any of them gives room back.
  for (const [index, wire] of wires.entries()) wire.write(contents[index]!.subarray(0, -3));
  await Promise.all(wires.map((wire) => wire.flushed()));
  await expect.poll(() => destination.openConnections, { timeout: 10_000 }).toBe(clients);
  await new Promise((resolve) => setTimeout(resolve, 500));
  for (const [index, wire] of wires.entries()) wire.write(contents[index]!.subarray(-3));
  const replies = await Promise.all(wires.map((wire) => wire.reply()));
  for (const wire of wires) wire.close();
  const accepted = mails.filter((_, index) => replies[index]!.startsWith('250 '));
  const deferred = mails.filter((_, index) => /^451 4\.7\.1 .*no room/u.test(replies[index]!));
  console.log(`crowd: ${accepted.length} of ${clients} had room, ${deferred.length} came again`);
  expect(accepted.length + deferred.length).toBe(clients);
  expect(accepted.length).toBeGreaterThanOrEqual(5);
  expect(deferred.length).toBeGreaterThanOrEqual(20);
  const hashesOf = (some: readonly TestMail[]): string[] => some.map(({ sha256: hash }) => hash).sort();
  expect(destination.hashes.slice(before).sort()).toEqual(hashesOf(accepted));
  expect(linesOf(narrow.process('s1', 'relay'), 'unscannable').map(({ cause, action }) => `${String(cause)} ${String(action)}`)).toEqual(
    deferred.map(() => 'no_room deferred'),
  );
  for (const mail of deferred) expect(await send(narrowAgent, mail)).toMatch(/^250 /u);
  expect(destination.hashes.slice(before).sort()).toEqual(hashesOf(mails));
});

test('200 clients fetch 5 MB by POP3 and read slowly: memory is bounded, and whoever reads on gets all of it', async () => {
  const port = agent.ports[1]!;
  const worker = workerOf(site.process('s1', 'relay'));
  const memory = new MemoryWatch(worker);
  const startMs = performance.now();
  const clients = await inGroups(FETCHERS, async () => {
    const client = await Pop3Listener.open(port, PATIENCE_MS);
    await client.until(/^\+OK ready\r\n$/u);
    client.pause();
    client.write('RETR 1\r\n');
    return client;
  });
  await expect.poll(spoolBytes, { timeout: PATIENCE_MS, interval: 200 }).toBeGreaterThan(FETCHERS * FETCHED_BYTES * 0.9);
  const spooledMs = Math.round(performance.now() - startMs);
  expect(readdirSync(spoolOf(site))).toEqual([]);
  const expected = sha256(Buffer.concat([Buffer.from('+OK ready\r\n'), retrAnswer(fetched.raw)]));
  const readers = clients.splice(0, 20);
  await Promise.all(
    readers.map(async (client) => {
      client.resume();
      await client.until(/\r\n\.\r\n$/u);
      expect(sha256(client.received)).toBe(expected);
      client.close();
    }),
  );
  memory.stop();
  const grownBytes = memory.peakBytes - memory.beforeBytes;
  console.log(
    `crowd: ${FETCHERS} fetchers, all spooled after ${spooledMs} ms; worker ${mib(memory.beforeBytes)} MiB before, peak ${mib(memory.peakBytes)} MiB (${kib(grownBytes / FETCHERS)} KiB a session)`,
  );
  expect(grownBytes).toBeLessThan(SPARE_MEMORY_BYTES + FETCHERS * MAX_FETCH_BYTES);
  for (const client of clients) client.close();
  await expect.poll(spoolBytes, { timeout: 15_000 }).toBe(0);
  expect(agent.events('direct')).toEqual([]);
}, 180_000);
