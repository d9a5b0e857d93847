import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type MailStore, makeMailStore } from '../kit/mail-store.ts';
import { bodyHash, dotStuff, type TestMail, textMail } from '../kit/mails.ts';
import { Mesh, type MeshAgent, type MeshSite } from '../kit/mesh.ts';
import { type Postfix, startPostfix } from '../kit/postfix.ts';
import { stopAllProcesses } from '../kit/process.ts';
import { type SmtpLedger, startSmtpLedger } from '../kit/smtp-ledger.ts';
import { connectSmtpWire, deliver, type Interruption, type SmtpWire, type Stage } from '../kit/smtp-wire.ts';
import { type BreakingDestination, startBreakingDestination } from './breaking-destination.ts';
import { MailLane } from './mail-lane.ts';
import { RelayKiller } from './relay-killer.ts';
import { linesOf } from './session-logs.ts';

const MAIL_BYTES = 200_000;
const SMALL_MAIL_BYTES = 20_000;
const from = 'sender@example.com';
const user = { address: 'anna@example.net', password: 'secret' };
/** Long enough for a kill between the final dot and the reply, short enough for 200 mails. */
const FINAL_REPLY_DELAY_MS = 60;

let mesh: Mesh;
let site: MeshSite;
let agents: MeshAgent[];
let ledgers: SmtpLedger[];
let store: MailStore;
let postfix: Postfix;
let breaking: BreakingDestination;
let killer: RelayKiller;
let seed = 1;

beforeAll(async () => {
  store = await makeMailStore([user]);
  const listening = await Promise.all([startSmtpLedger(), startSmtpLedger()]);
  ledgers = listening;
  [postfix, breaking, mesh] = await Promise.all([startPostfix({ store }), startBreakingDestination(), Mesh.create()]);
  site = await mesh.addSite({
    name: 'tokyo-1',
    servers: [
      { name: 'm1', address: '127.0.4.1', roles: ['manager', 'auth'] },
      ...[1, 2, 3, 4, 5, 6].map((n) => ({ name: `r${n}`, address: `127.0.4.1${n}`, roles: ['relay'] as const })),
    ],
    settings: {
      'manager.probeInterval': '200ms',
      'relay.destinations.extraPorts': [...ledgers.map(({ port }) => port), postfix.port, breaking.port],
    },
  });
  await site.start();
  mesh.publish([site]);
  killer = new RelayKiller(site);
  // Closed: a mail that finds no relay has to wait, so that every one of them runs the gauntlet.
  const settings = { failMode: 'closed', deadAfter: '2s' };
  agents = await Promise.all(
    ledgers.map(({ port }, index) =>
      mesh.startAgent({
        mac: `02:00:5e:10:00:0${index + 1}`,
        forward: [port, postfix.port, breaking.port].map((to) => `127.0.0.1:${to}/smtp`),
        settings,
      }),
    ),
  );
});

afterAll(async () => {
  await mesh?.stop();
  await postfix?.stop();
  await breaking?.stop();
  await Promise.all((ledgers ?? []).map((ledger) => ledger.stop()));
  await stopAllProcesses();
  await store?.remove();
});

function laneTo(agent: number, forward: number): MailLane {
  return new MailLane(agents[agent]!, { port: agents[agent]!.ports[forward]!, from, to: user.address });
}

interface Kill {
  readonly at: Stage;
  readonly offset?: number;
  readonly delayMs: number;
}

/** Where in a conversation a relay is killed; the offsets count the bytes after 354. */
function killPlan(contentBytes: number): Kill[] {
  const plan: Kill[] = [];
  const early: readonly Stage[] = ['connected', 'greeted', 'mail', 'rcpt', 'data', 'replied'];
  for (const at of early) for (const delayMs of [0, 0, 2, 5]) plan.push({ at, delayMs });
  const spread = 80;
  for (let index = 0; index < spread; index += 1)
    plan.push({ at: 'content', offset: Math.round((index * contentBytes) / spread), delayMs: (index % 4) * 4 });
  // Before, within and after the CRLF.CRLF that ends the message.
  for (let left = 0; left <= 6; left += 1)
    for (const delayMs of [0, 3, 15]) plan.push({ at: 'content', offset: contentBytes - left, delayMs });
  for (let index = 0; index < 30; index += 1) plan.push({ at: 'dot', delayMs: (index * FINAL_REPLY_DELAY_MS) / 25 });
  return plan;
}

/** Every kind of kill early and late, in an order that is the same each time. */
function shuffled(kills: readonly Kill[]): Kill[] {
  const step = 37;
  return kills.map((_, index) => kills[(index * step) % kills.length]!);
}

/** Sends mails through kill after kill until all of them have been done. */
async function runGauntlet(lane: MailLane, ledger: SmtpLedger, kills: Kill[]): Promise<void> {
  const done = new Set<Kill>();
  const interruption = (kill: Kill): Interruption => ({
    at: kill.at,
    ...(kill.offset === undefined ? {} : { offset: kill.offset }),
    act: async (wire: SmtpWire) => {
      await wire.flushed();
      await sleep(kill.delayMs);
      const relay = killer.carrierTo(ledger.port) ?? killer.connected()[0];
      if (relay !== undefined && killer.kill(relay)) done.add(kill);
    },
  });
  for (let mine: Kill[] = []; kills.length > 0; kills.push(...mine.filter((kill) => !done.has(kill)))) {
    mine = kills.splice(0, 1 + (seed % 3));
    const mail = textMail((seed += 1), MAIL_BYTES);
    ledger.behaviour.finalReplyDelayMs = mine.some(({ at }) => at === 'dot') ? FINAL_REPLY_DELAY_MS : 0;
    // What came too late, because the mail was accepted or another kill was faster, comes again.
    await lane.send(mail, mine.map(interruption));
  }
}

type HandshakeKill = 'before' | 'within' | { readonly afterMs: number };

/** Kills the relay in use and then the one that the agent turns to: before, within or shortly after its handshake. */
async function killAtHandshake(lane: MailLane, ledger: SmtpLedger, kind: HandshakeKill): Promise<void> {
  await killer.waitForWorkers(4);
  await lane.send(textMail((seed += 1), SMALL_MAIL_BYTES), [
    {
      at: 'rcpt',
      act: async () => {
        const before = killer.connected();
        const carrier = killer.carrierTo(ledger.port) ?? before[0]!;
        const others = killer.relays.map(({ name }) => name).filter((name) => name !== carrier);
        const next = async (names: () => string[]): Promise<string | undefined> => {
          const deadline = performance.now() + 3000;
          while (performance.now() < deadline) {
            const [found] = names().filter((name) => name !== carrier);
            if (found !== undefined) return found;
            await sleep(1);
          }
          return undefined;
        };
        if (kind === 'before') for (const name of others.slice(0, 2)) killer.kill(name);
        if (kind === 'within') for (const name of others) killer.freeze(name);
        killer.kill(carrier);
        if (kind === 'within') {
          const victim = await next(() => killer.inHandshake());
          if (victim !== undefined && killer.kill(victim)) handshakesCut += 1;
          for (const name of others) killer.thaw(name);
        } else if (kind !== 'before') {
          const victim = await next(() => killer.connected().filter((name) => !before.includes(name)));
          await sleep(kind.afterMs);
          if (victim !== undefined) killer.kill(victim);
        }
      },
    },
  ]);
}
let handshakesCut = 0;

function ledgerDuplicates(lane: MailLane, ledger: SmtpLedger): number {
  const hashes = new Set(ledger.hashes);
  // Whole: nothing is there that nobody sent. And nothing is lost that was promised.
  expect([...hashes].filter((hash) => !lane.sent.has(hash))).toEqual([]);
  expect([...lane.accepted].filter((hash) => !hashes.has(hash))).toEqual([]);
  return ledger.hashes.length - hashes.size;
}

test('200 relays are killed with SIGKILL, at every point of a conversation: no mail is lost, none is cut short', async () => {
  const startedAtMs = performance.now();
  const lanes = [laneTo(0, 0), laneTo(1, 0)];
  const background = laneTo(0, 1);
  const over = new AbortController();
  const beside = (async () => {
    while (!over.signal.aborted) {
      await background.send(textMail((seed += 1), SMALL_MAIL_BYTES));
      await sleep(100);
    }
  })();

  const kinds: HandshakeKill[] = [];
  for (let round = 0; round < 8; round += 1) kinds.push('before', 'within', { afterMs: round * 3 });
  for (const [index, kind] of kinds.entries()) await killAtHandshake(lanes[index % 2]!, ledgers[index % 2]!, kind);
  const inHandshakes = killer.total;

  const contentBytes = dotStuff(textMail(seed, MAIL_BYTES).raw).length;
  const kills = shuffled(killPlan(contentBytes));
  const half = Math.ceil(kills.length / 2);
  await Promise.all([
    runGauntlet(lanes[0]!, ledgers[0]!, kills.slice(0, half)),
    runGauntlet(lanes[1]!, ledgers[1]!, kills.slice(half)),
  ]);
  over.abort();
  await beside;
  await killer.settle();

  await expect.poll(async () => (await store.messages(user.address)).length, { timeout: 20_000 }).toBeGreaterThanOrEqual(background.accepted.size);
  const stored = (await store.messages(user.address)).map(bodyHash);
  expect(stored.filter((hash) => !background.sent.has(hash))).toEqual([]);
  expect([...background.accepted].filter((hash) => !stored.includes(hash))).toEqual([]);
  const all = [...lanes, background];
  const duplicates =
    ledgerDuplicates(lanes[0]!, ledgers[0]!) + ledgerDuplicates(lanes[1]!, ledgers[1]!) + stored.length - new Set(stored).size;
  const sum = (of: (lane: MailLane) => number): number => all.reduce((total, lane) => total + of(lane), 0);
  const slowestMs = Math.round(Math.max(...all.map((lane) => lane.slowestMs)));
  const { worker, machine } = killer.kills;
  console.log(
    `kills: ${worker} workers, ${machine} relays (${inHandshakes} around handshakes, ${handshakesCut} within); mails accepted: ${sum((lane) => lane.accepted.size)}, lost: 0; ` +
      `retries: ${sum((lane) => lane.retries)}, duplicates: ${duplicates}, slowest new session: ${slowestMs} ms; ${Math.round(performance.now() - startedAtMs)} ms in all`,
  );
  expect(killer.total).toBeGreaterThanOrEqual(200);
  expect(machine).toBeGreaterThanOrEqual(40);
  expect(handshakesCut).toBeGreaterThanOrEqual(4);
  expect(agents.flatMap((agent) => agent.events('direct'))).toEqual([]);
}, 300_000);

test('manager and auth are killed in the middle of a mail: it goes on, and so does the next', async () => {
  const lane = laneTo(0, 0);
  await killer.waitForWorkers(killer.relays.length);
  for (const role of ['manager', 'auth'] as const) {
    const before = ledgers[0]!.messages.length;
    const mail = textMail((seed += 1), MAIL_BYTES);
    await lane.send(mail, [{ at: 'content', offset: MAIL_BYTES / 2, act: () => site.killRole('m1', role) }]);
    const next = textMail((seed += 1), SMALL_MAIL_BYTES);
    await lane.send(next);
    expect(ledgers[0]!.hashes.slice(before)).toEqual([mail.sha256, next.sha256]);
    expect(lane.retries).toBe(0);
  }
  await site.startRole('m1', 'auth');
  await site.startRole('m1', 'manager');
  // Both agents find it again by themselves.
  await expect
    .poll(async () => (await site.status())['managers'], { timeout: 20_000, interval: 500 })
    .toMatchObject([{ agents: 2 }]);
});

test('a relay that hangs: new mail takes the second relay in less than a second, the old one is not cut short', async () => {
  const ledger = ledgers[0]!;
  const lane = laneTo(0, 0);
  await killer.waitForWorkers(killer.relays.length);
  const before = ledger.messages.length;
  const mail = textMail((seed += 1), MAIL_BYTES);
  const meanwhile: TestMail[] = [];
  let hung: string | undefined;
  const others = laneTo(0, 0);
  await lane.send(mail, [
    {
      at: 'content',
      offset: MAIL_BYTES / 2,
      act: async () => {
        hung = killer.carrierTo(ledger.port);
        // With its supervisor, as when a machine stops.
        site.process(hung!, 'relay').kill('SIGSTOP');
        for (let count = 0; count < 5; count += 1) {
          const small = textMail((seed += 1), SMALL_MAIL_BYTES);
          meanwhile.push(small);
          const startedAtMs = performance.now();
          await others.send(small);
          expect(performance.now() - startedAtMs).toBeLessThan(1000);
        }
      },
    },
  ]);
  // It was noticed, the client was told, and its next try was accepted.
  expect(lane.retries).toBeGreaterThanOrEqual(1);
  expect(others.retries).toBe(0);
  const relays = agents[0]!.events('session').slice(-6).map(({ relay }) => relay);
  expect(relays.filter((relay) => relay === hung).length).toBeLessThanOrEqual(1);
  site.process(hung!, 'relay').kill('SIGCONT');
  await killer.waitForWorkers(killer.relays.length);
  await expect.poll(() => ledger.openConnections, { timeout: 15_000 }).toBe(0);
  const expected = new Set([mail, ...meanwhile].map(({ sha256 }) => sha256));
  expect(new Set(ledger.hashes.slice(before))).toEqual(expected);
});

test('a client that breaks off in the middle of its mail: nothing is stored that it did not finish', async () => {
  const ledger = ledgers[0]!;
  const mail = textMail((seed += 1), MAIL_BYTES);
  const content = dotStuff(mail.raw);
  const target = laneTo(0, 0).target;
  const before = ledger.messages.length;
  let broken = 0;
  const breakAt = (offset: number, how: 'reset' | 'finish') =>
    deliver({ ...target, timeoutMs: 3000 }, { from, to: user.address, content }, {
      at: 'content',
      offset,
      act: async (wire) => {
        await wire.flushed();
        broken += 1;
        wire[how]();
        if (how === 'finish') await wire.ended;
      },
    });
  const offsets = [0, 1, 1000, 65_536, 131_072, content.length - 6, content.length - 3, content.length - 1];
  for (const offset of offsets)
    for (const how of ['reset', 'finish'] as const) expect((await breakAt(offset, how)).accepted).toBe(false);
  // The destination has heard of each end, and has kept nothing.
  await expect.poll(() => ledger.openConnections, { timeout: 10_000 }).toBe(0);
  expect(broken).toBe(2 * offsets.length);
  expect(ledger.hashes.slice(before)).toEqual([]);
  // Whoever breaks off after the final dot may find its mail delivered, but never a part of it.
  for (let round = 0; round < 10; round += 1) await breakAt(content.length, 'reset');
  await expect.poll(() => ledger.openConnections, { timeout: 10_000 }).toBe(0);
  expect(ledger.hashes.slice(before).filter((hash) => hash !== mail.sha256)).toEqual([]);
});

test('an abort arrives as an abort and an end as an end, in both directions', async () => {
  const target = { host: '127.0.0.1', port: agents[0]!.ports[2]! };
  breaking.breakage = { afterBytes: Number.POSITIVE_INFINITY };
  const opened = async (): Promise<SmtpWire> => {
    const wire = await connectSmtpWire(target);
    expect(await wire.reply()).toBe('220 breaking.test');
    wire.write(Buffer.from('EHLO client.example.com\r\n'));
    await wire.reply();
    return wire;
  };
  const before = breaking.ends.length;
  (await opened()).reset();
  await expect.poll(() => breaking.ends.slice(before)).toEqual(['ECONNRESET']);
  const polite = await opened();
  polite.finish();
  // Half-closed: the answer still comes.
  expect(await polite.reply()).toMatch(/^221 /);
  expect(await polite.ended).toBe('end');
  expect(breaking.ends.slice(before)).toEqual(['ECONNRESET', 'end']);
});

test('a destination that breaks off in the middle of a mail: the client sees an abort and no reply', async () => {
  const content = dotStuff(textMail((seed += 1), MAIL_BYTES).raw);
  const target = { host: '127.0.0.1', port: agents[0]!.ports[2]! };
  const deliverNow = () => deliver(target, { from, to: user.address, content });
  for (const afterBytes of [0, 1, 1000, 65_536, 131_072, content.length - 3, content.length]) {
    breaking.breakage = { afterBytes };
    const { reply, end } = await deliverNow();
    expect(reply).toBeUndefined();
    expect(['ECONNRESET', 'EPIPE']).toContain(end);
  }
  // A reply that was cut off is none.
  breaking.breakage = { afterBytes: content.length, lastWords: '250 2.0.0 sto' };
  const { reply, end } = await deliverNow();
  expect(reply).toBeUndefined();
  expect(['ECONNRESET', 'EPIPE']).toContain(end);
});

test('the sessions that were broken off say so, under one id at agent and relay', () => {
  const outcomes = new Set(agents.flatMap((agent) => agent.events('session')).map(({ outcome }) => outcome));
  for (const outcome of ['completed', 'relay_lost', 'client_aborted', 'destination_aborted']) expect(outcomes).toContain(outcome);
  const lines = killer.relays.flatMap(({ name }) => linesOf(site.process(name, 'relay'), 'session'));
  const atRelays = new Map(lines.map((line) => [line['session'], line['outcome']]));
  for (const { session, outcome } of agents.flatMap((agent) => agent.events('session'))) {
    // Those of a relay that was killed, or of an earlier life of it, have only the agent's line.
    const other = atRelays.get(session);
    if (other === undefined || other === 'abandoned') continue;
    if (outcome === 'client_aborted') expect(['client_reset', 'completed']).toContain(other);
    if (outcome === 'destination_aborted') expect(other).toBe('server_reset');
  }
});
