import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Detection, Store } from '@sekisho/store';
import { type Logger, Metrics } from '@sekisho/telemetry';
import { describe, test, vi } from 'vitest';
import { type SmtpLedger, startSmtpLedger } from '../../../test/kit/smtp-ledger.ts';
import { acknowledge } from './acknowledge.ts';
import { AlarmBook, type AlarmPage } from './alarm-book.ts';
import { messageId } from './alert/news.ts';
import { CLAIM_MS } from './alert/recipient.ts';
import { MAX_PER_HOUR } from './alert/target.ts';
import { outbreakStatus } from './outbreak-status.ts';
import type { OutbreakSettings } from './settings.ts';
import { aDetection, macNumber } from './testing/detections.ts';
import { headersOf } from './testing/headers.ts';
import { aDevice, breakable, SharedStore } from './testing/shared-store.ts';
import { HOUR_MS, MINUTE_MS, recordingLog, silentLog, watchSettings } from './testing/site.ts';
import { Watch } from './watch.ts';

const NAME = `device-${macNumber(1)}`;

interface WatchInit {
  readonly settings: OutbreakSettings;
  readonly clock?: { now(): number };
  readonly log?: Logger;
  readonly store?: Store;
  readonly metrics?: Metrics;
}

/** A site of one test: its store, its mailbox, its watches. They go with the test. */
class TestSite {
  readonly shared: SharedStore;
  readonly #cleanups: (() => unknown)[] = [];

  constructor(shared: SharedStore) {
    this.shared = shared;
  }

  static async make(): Promise<TestSite> {
    const shared = await SharedStore.make();
    const site = new TestSite(shared);
    site.later(() => shared.remove());
    return site;
  }

  later(cleanup: () => unknown): void {
    this.#cleanups.push(cleanup);
  }

  async remove(): Promise<void> {
    for (const cleanup of this.#cleanups.toReversed()) await cleanup();
  }

  async mailbox(): Promise<SmtpLedger> {
    const ledger = await startSmtpLedger();
    this.later(() => ledger.stop());
    return ledger;
  }

  async start({ settings, clock, log = silentLog, store, metrics = new Metrics() }: WatchInit): Promise<Watch> {
    const watch = new Watch({ log, metrics, store: store ?? (await this.shared.open()), clock }, settings);
    this.later(() => watch.close());
    await watch.start();
    return watch;
  }

  async record(list: readonly Detection[]): Promise<void> {
    const store = await this.shared.open();
    for (let start = 0; start < list.length; start += 500) await store.recordDetections(list.slice(start, start + 500));
  }

  async page(): Promise<AlarmPage> {
    return new AlarmBook({ store: await this.shared.open() }).read();
  }
}

const site = async (onTestFinished: (cleanup: () => Promise<void>) => void): Promise<TestSite> => {
  const made = await TestSite.make();
  onTestFinished(() => made.remove());
  return made;
};

/** `count` detections of one device, a second apart, the last one now. */
const detections = (count: number, fields: Parameters<typeof aDetection>[0] = {}, nowMs = Date.now()): Detection[] =>
  Array.from({ length: count }, (_, index) => aDetection({ at: nowMs - (count - index - 1) * 1000, ...fields }));

/** A clock that can be set ahead. */
const aClock = () => {
  const clock = { offset: 0, now: () => Date.now() + clock.offset };
  return clock;
};

const subjects = (ledger: SmtpLedger): (string | undefined)[] => ledger.messages.map(({ raw }) => headersOf(raw).values.get('Subject'));
const ids = (ledger: SmtpLedger): (string | undefined)[] => ledger.messages.map(({ raw }) => headersOf(raw).values.get('Message-ID'));

/** Time for a few rounds, in which nothing more must come. */
const aWhile = (): Promise<void> => sleep(400);

async function metric(metrics: Metrics, line: string): Promise<number> {
  const found = (await metrics.text()).split('\n').find((one) => one.startsWith(`${line} `));
  return Number(found?.slice(line.length));
}

describe.concurrent('two watches of one site', () => {
  test.concurrent('50 detections of one device are one alert for each recipient', async ({ expect, onTestFinished }) => {
    const at = await site(onTestFinished);
    const ledger = await at.mailbox();
    const settings = watchSettings(ledger.port, { to: ['admin@example.com', 'second@example.com'] });
    await Promise.all([at.start({ settings }), at.start({ settings: { ...settings, name: 's2' } })]);
    const store = await at.shared.open();
    await store.putDevice(aDevice(macNumber(1), { contact: 'ann@example.com' }));
    // They come bit by bit, as from relays.
    for (const one of detections(50)) {
      await store.recordDetections([one]);
      await sleep(5);
    }
    await ledger.waitForMessages(2);
    await aWhile();
    expect(ledger.messages.flatMap(({ to }) => to).sort()).toEqual(['admin@example.com', 'second@example.com']);
    for (const subject of subjects(ledger)) expect(subject).toMatch(/^\[Sekisho tokyo-1\] Virus outbreak: Front office 02:00:5e:10:00:01, [2-5]\d detections$/u);
    expect(headersOf(ledger.messages[0]!.raw).body).toContain('    |     ');
  });

  test.concurrent('10,000 notices in a burst are one alert and, while it lasts, one digest', async ({ expect, onTestFinished }) => {
    const at = await site(onTestFinished);
    const ledger = await at.mailbox();
    const clock = aClock();
    const settings = watchSettings(ledger.port);
    await Promise.all([at.start({ settings, clock }), at.start({ settings, clock })]);
    await at.record(Array.from({ length: 10_000 }, () => aDetection({ at: Date.now(), source: 'notice', contact: 'someone@example.net' })));
    await ledger.waitForMessages(1);
    await aWhile();
    expect(ledger.messages).toHaveLength(1);
    clock.offset = HOUR_MS;
    await at.record([aDetection({ at: clock.now() })]);
    await ledger.waitForMessages(2);
    await aWhile();
    expect(subjects(ledger)[1]).toBe('[Sekisho tokyo-1] Virus outbreak goes on: Front office 02:00:5e:10:00:01, 10001 detections'.replace('Front office ', ''));
    clock.offset = 2 * HOUR_MS;
    await ledger.waitForMessages(3);
    await aWhile();
    expect(subjects(ledger)).toHaveLength(3);
    expect(subjects(ledger)[2]).toContain('Virus outbreak is over');
  });

  test.concurrent('outbreaks that open together go into one mail', async ({ expect, onTestFinished }) => {
    const at = await site(onTestFinished);
    const ledger = await at.mailbox();
    await at.record([1, 2, 3].flatMap((device) => detections(20, { mac: macNumber(device) })));
    await at.start({ settings: watchSettings(ledger.port) });
    await ledger.waitForMessages(1);
    await aWhile();
    expect(subjects(ledger)).toEqual(['[Sekisho tokyo-1] Virus outbreak: 3 devices']);
  });

  test.concurrent('a customer is told of his device, by a mail of his own', async ({ expect, onTestFinished }) => {
    const at = await site(onTestFinished);
    const ledger = await at.mailbox();
    const store = await at.shared.open();
    await store.putDevice(aDevice(macNumber(1), { contact: 'Ann <ann@example.com>' }));
    await store.putDevice(aDevice(macNumber(2), { label: 'Other', contact: 'bob@example.com' }));
    await at.record([1, 2].flatMap((device) => detections(20, { mac: macNumber(device), contact: 'claimed@example.net' })));
    await at.start({ settings: watchSettings(ledger.port, { toCustomer: true }) });
    await ledger.waitForMessages(3);
    await aWhile();
    const received = new Map(ledger.messages.map(({ to, raw }) => [to.join(), headersOf(raw).body]));
    expect([...received.keys()].sort()).toEqual(['admin@example.com', 'ann@example.com', 'bob@example.com']);
    expect(received.get('ann@example.com')).toContain(macNumber(1));
    expect(received.get('ann@example.com')).not.toContain(macNumber(2));
    expect(received.get('bob@example.com')).not.toContain(macNumber(1));
  });
});

describe.concurrent('when a process dies', () => {
  /** A submission server that takes a connection and says nothing. */
  async function tarpit(at: TestSite): Promise<{ port: number }> {
    const sockets: Socket[] = [];
    const server = createServer((socket) => void sockets.push(socket.on('error', () => {}))).listen(0, '127.0.0.1');
    await once(server, 'listening');
    at.later(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    return { port: (server.address() as AddressInfo).port };
  }

  test.concurrent('between claim and mail, another sends it when the claim ends, under the same Message-ID', async ({ expect, onTestFinished }) => {
    const at = await site(onTestFinished);
    const ledger = await at.mailbox();
    const { port } = await tarpit(at);
    const clock = aClock();
    // Its connection to the store dies with it.
    const store = breakable(await at.shared.open());
    const dying = await at.start({ settings: watchSettings(port), store, clock });
    await at.record(detections(30));
    await vi.waitUntil(async () => (await at.page()).recipients.size > 0);
    const claims = [...(await at.page()).recipients.values()].map(({ claim }) => claim);
    expect(claims).toMatchObject([{ by: expect.stringMatching(/^s1-/u), items: [{ name: NAME, number: 1 }] }]);
    store.isDown = true;
    await dying.close();

    const { lines, log } = recordingLog();
    await at.start({ settings: watchSettings(ledger.port, { name: 's2' }), log, clock });
    await aWhile();
    expect(ledger.messages).toHaveLength(0);
    clock.offset = CLAIM_MS;
    await ledger.waitForMessages(1);
    await aWhile();
    const [recipient = ''] = (await at.page()).recipients.keys();
    expect(ids(ledger)).toEqual([`<${messageId('tokyo-1', recipient, claims[0]?.items ?? [])}@site.example.com>`]);
    expect(lines.map(({ event }) => event)).toContain('alert_taken_over');
  });

  test.concurrent('between mail and note, the mail comes again under the same Message-ID', async ({ expect, onTestFinished }) => {
    const at = await site(onTestFinished);
    const ledger = await at.mailbox();
    ledger.behaviour.finalReplyDelayMs = 300;
    const clock = aClock();
    const store = breakable(await at.shared.open());
    const dying = await at.start({ settings: watchSettings(ledger.port), store, clock });
    await at.record(detections(30));
    await ledger.waitForMessages(1);
    store.isDown = true;
    await dying.close();
    ledger.behaviour.finalReplyDelayMs = 0;
    clock.offset = CLAIM_MS;
    await at.start({ settings: watchSettings(ledger.port, { name: 's2' }), clock });
    await ledger.waitForMessages(2);
    await aWhile();
    expect(new Set(ids(ledger)).size).toBe(1);
    expect(ledger.messages).toHaveLength(2);
  });

  test.concurrent('a restart loses no counts and repeats no alert', async ({ expect, onTestFinished }) => {
    const at = await site(onTestFinished);
    const ledger = await at.mailbox();
    const settings = watchSettings(ledger.port);
    const first = await at.start({ settings });
    await at.record([...detections(25), ...detections(19, { mac: macNumber(2) })]);
    await ledger.waitForMessages(1);
    await aWhile();
    await first.drain();
    await at.record(detections(5));
    const metrics = new Metrics();
    await at.start({ settings, metrics });
    await aWhile();
    expect(ledger.messages).toHaveLength(1);
    expect(await metric(metrics, 'sekisho_outbreak_detections_total{source="relay"}')).toBe(0);
    const status = await outbreakStatus(await at.shared.open(), settings, Date.now());
    expect(status.outbreaks).toMatchObject([{ name: NAME, tally: { count: 30 } }]);
    expect(status.counting[0]).toEqual({ level: 'device', threshold: 20, top: [[macNumber(2), 19]] });
    await at.record(detections(1, { mac: macNumber(2) }));
    await ledger.waitForMessages(2);
    expect(subjects(ledger)[1]).toContain('02:00:5e:10:00:02, 20 detections');
    expect(await metric(metrics, 'sekisho_outbreak_detections_total{source="relay"}')).toBe(1);
  });

  test.concurrent('a stop waits for the mail that is being sent', async ({ expect, onTestFinished }) => {
    const at = await site(onTestFinished);
    const ledger = await at.mailbox();
    ledger.behaviour.finalReplyDelayMs = 200;
    const watch = await at.start({ settings: watchSettings(ledger.port) });
    await at.record(detections(30));
    await ledger.waitForMessages(1);
    await watch.drain();
    const [recipient] = (await at.page()).recipients.values();
    expect(recipient).toMatchObject({ claim: null, failure: null });
    expect(recipient?.told.get(NAME)).toMatchObject({ number: 1, count: 30 });
  });
});

describe.concurrent('when something is down', () => {
  test.concurrent('no submission server: it is loud, and the alert goes out when it is back', async ({ expect, onTestFinished }) => {
    const at = await site(onTestFinished);
    const ledger = await at.mailbox();
    const { port } = ledger;
    await ledger.stop();
    const metrics = new Metrics();
    const { lines, log } = recordingLog();
    await at.start({ settings: watchSettings(port), metrics, log });
    expect(await metric(metrics, 'sekisho_outbreak_submission_up')).toBe(1);
    await vi.waitUntil(async () => (await metric(metrics, 'sekisho_outbreak_submission_up')) === 0);
    await at.record(detections(30));
    await vi.waitUntil(async () => (await metric(metrics, 'sekisho_outbreak_messages_total{way="mail",stage="alert",result="failed"}')) >= 2);
    expect(await metric(metrics, 'sekisho_outbreak_untold{way="mail"}')).toBe(1);
    const [recipient] = (await at.page()).recipients.values();
    expect(recipient?.failure?.reason).toContain('ECONNREFUSED');
    expect(lines.map(({ event }) => event)).toEqual(expect.arrayContaining(['submission_down', 'alert_failed']));
    const back = await startSmtpLedger({ port });
    at.later(() => back.stop());
    await back.waitForMessages(1);
    await vi.waitUntil(async () => (await metric(metrics, 'sekisho_outbreak_submission_up')) === 1);
    await vi.waitUntil(async () => (await metric(metrics, 'sekisho_outbreak_untold{way="mail"}')) === 0);
    expect((await at.page()).recipients.values().next().value?.failure).toBeNull();
  });

  test.concurrent('a recipient who is refused does not keep the others from being told', async ({ expect, onTestFinished }) => {
    const at = await site(onTestFinished);
    const ledger = await at.mailbox();
    ledger.behaviour.refuse = { at: 'rcpt', code: 550, text: '5.1.1 nobody here' };
    const metrics = new Metrics();
    await at.start({ settings: watchSettings(ledger.port, { to: ['gone@example.com', 'admin@example.com'], firstRetryMs: 5000 }), metrics });
    await at.record(detections(30));
    await vi.waitUntil(async () => (await metric(metrics, 'sekisho_outbreak_messages_total{way="mail",stage="alert",result="failed"}')) === 2);
    expect(await metric(metrics, 'sekisho_outbreak_submission_up')).toBe(1);
  });

  test.concurrent('the store: loud, no outbreak ends meanwhile, and what comes later counts', async ({ expect, onTestFinished }) => {
    const at = await site(onTestFinished);
    const ledger = await at.mailbox();
    const clock = aClock();
    const store = breakable(await at.shared.open());
    const metrics = new Metrics();
    const { lines, log } = recordingLog();
    await at.start({ settings: watchSettings(ledger.port, { settleMs: 400 }), store, clock, metrics, log });
    await at.record(detections(30));
    await ledger.waitForMessages(1);
    store.isDown = true;
    await vi.waitUntil(async () => (await metric(metrics, 'sekisho_outbreak_store_up')) === 0);
    clock.offset = HOUR_MS;
    await aWhile();
    expect(lines.filter(({ event }) => event === 'watch_blind')).toHaveLength(1);
    store.isDown = false;
    await vi.waitUntil(async () => (await metric(metrics, 'sekisho_outbreak_store_up')) === 1);
    // A relay tells now what it found meanwhile.
    await at.record(detections(3, {}, clock.now() - MINUTE_MS));
    await ledger.waitForMessages(2);
    await sleep(600);
    expect(subjects(ledger).slice(1)).toEqual([expect.stringContaining('goes on: 02:00:5e:10:00:01, 33 detections')]);
  });

  test.concurrent('the store loses everything: what is known is written back, and nobody is told twice', async ({ expect, onTestFinished }) => {
    const at = await site(onTestFinished);
    const ledger = await at.mailbox();
    const settings = watchSettings(ledger.port);
    let inner = await at.shared.open();
    const proxy = new Proxy(inner, { get: (_, name) => { const member: unknown = Reflect.get(inner, name); return typeof member === 'function' ? member.bind(inner) : member; } });
    await at.start({ settings, store: proxy });
    await at.record(detections(30));
    await ledger.waitForMessages(1);
    await aWhile();
    await inner.close();
    for (const suffix of ['', '-wal', '-shm']) rmSync(`${at.shared.path}${suffix}`, { force: true });
    inner = await at.shared.open();
    await vi.waitUntil(async () => (await at.page()).outbreaks.has(NAME));
    await aWhile();
    expect(ledger.messages).toHaveLength(1);
    await at.record(detections(4));
    await vi.waitUntil(async () => (await outbreakStatus(await at.shared.open(), settings, Date.now())).outbreaks.length === 1);
  });
});

describe.concurrent('limits', () => {
  test.concurrent('so many mails an hour; what comes then waits and goes together', async ({ expect, onTestFinished }) => {
    const at = await site(onTestFinished);
    const ledger = await at.mailbox();
    const clock = aClock();
    const metrics = new Metrics();
    const settings = watchSettings(ledger.port, { clearAfterMs: 5 * HOUR_MS });
    await at.start({ settings, clock, metrics });
    await at.record(detections(20));
    await ledger.waitForMessages(1);
    await vi.waitUntil(async () => [...(await at.page()).recipients.values()].every(({ claim }) => claim === null));
    // All but one of the hour's mails are used up.
    const book = new AlarmBook({ store: await at.shared.open() });
    const [name = ''] = (await book.read()).recipients.keys();
    await book.updateRecipient(name, (recipient) => ({ ...recipient, sentAt: Array.from({ length: MAX_PER_HOUR.mail - 1 }, () => clock.now()) }));
    await at.record(detections(20, { mac: macNumber(2) }));
    await ledger.waitForMessages(2);
    for (let device = 101; device <= 104; device += 1) await at.record(detections(20, { mac: macNumber(device) }));
    await aWhile();
    expect(ledger.messages).toHaveLength(2);
    expect(await metric(metrics, 'sekisho_outbreak_untold{way="mail"}')).toBe(1);
    const status = await outbreakStatus(await at.shared.open(), settings, clock.now());
    expect(status.recipients).toMatchObject([{ address: 'admin@example.com', sentThisHour: MAX_PER_HOUR.mail, waiting: 4, isLimited: true }]);
    clock.offset = HOUR_MS;
    await ledger.waitForMessages(3);
    await aWhile();
    expect(subjects(ledger).slice(2)).toEqual(['[Sekisho tokyo-1] Virus outbreak: 4 devices']);
  });
});

test.concurrent('an outbreak that is acknowledged has no digest, but an all-clear', async ({ expect, onTestFinished }) => {
  const at = await site(onTestFinished);
  const ledger = await at.mailbox();
  const clock = aClock();
  await at.start({ settings: watchSettings(ledger.port), clock });
  await at.record(detections(30));
  await ledger.waitForMessages(1);
  const store = await at.shared.open();
  expect(await acknowledge(store, 'device-02:00:5e:10:00:99', { by: 'ann', at: clock.now() })).toBe('unknown');
  expect(await acknowledge(store, NAME, { by: 'ann', at: clock.now() })).toBe('acknowledged');
  clock.offset = HOUR_MS + MINUTE_MS;
  await at.record([aDetection({ at: clock.now() })]);
  await aWhile();
  expect(ledger.messages).toHaveLength(1);
  expect((await at.page()).outbreaks.get(NAME)?.ack?.by).toBe('ann');
  clock.offset += HOUR_MS;
  await ledger.waitForMessages(2);
  expect(subjects(ledger)[1]).toContain('Virus outbreak is over');
  expect(await acknowledge(store, NAME, { by: 'ann', at: clock.now() })).toBe('over');
});

test.concurrent('a damaged alarm is loud once, and in nobody\'s way', async ({ expect, onTestFinished }) => {
  const at = await site(onTestFinished);
  const ledger = await at.mailbox();
  const store = await at.shared.open();
  await store.putAlarm(NAME, { expected: 0, body: '{"level":"device"}' });
  await store.putAlarm('scanner-versions', { expected: 0, body: 'of somebody else' });
  const { lines, log } = recordingLog();
  await at.start({ settings: watchSettings(ledger.port), log });
  await at.record(detections(30));
  await ledger.waitForMessages(1);
  expect(lines.filter(({ event }) => event === 'alarm_unreadable')).toMatchObject([{ alarm: NAME }]);
  expect((await at.page()).outbreaks.get(NAME)?.tally.count).toBe(30);
  expect((await store.alarms()).get('scanner-versions')?.body).toBe('of somebody else');
});

test.concurrent('no line of the log has what a stranger wrote in it as he wrote it', async ({ expect, onTestFinished }) => {
  const at = await site(onTestFinished);
  const ledger = await at.mailbox();
  const { lines, log } = recordingLog();
  await at.start({ settings: watchSettings(ledger.port, { thresholds: { device: 1000, contact: 1000, signature: 20 } }), log });
  await at.record(detections(30, { signature: 'a\r\nb\u001b[31m\u202e' }));
  await ledger.waitForMessages(1);
  expect(lines.some(({ event }) => event === 'outbreak_opened')).toBe(true);
  for (const line of lines) expect(Object.values(line).map(String).join()).not.toMatch(/[\p{Cc}\p{Cf}]/u);
});
