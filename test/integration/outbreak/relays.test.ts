import { setTimeout as sleep } from 'node:timers/promises';
import type { ManagerStatus } from '@sekisho/manager';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Clamd, EICAR_SIGNATURE, startClamd } from '../../kit/clamd.ts';
import { type LocalAgent, startLocalAgent } from '../../kit/local-agent.ts';
import { type MailStore, makeMailStore } from '../../kit/mail-store.ts';
import { dotStuff } from '../../kit/mails.ts';
import { Mesh } from '../../kit/mesh.ts';
import { type Postfix, startPostfix } from '../../kit/postfix.ts';
import { type Redis, startRedis } from '../../kit/redis.ts';
import { deliver } from '../../kit/smtp-wire.ts';
import { eicarInBody } from '../../kit/virus-mails.ts';
import { linesOf } from '../session-logs.ts';
import { addAlarmSite, type AlarmSite, eventually } from './alarm-site.ts';
import { type AlertMail, alertMails, factOf, HEADER, listOf, stages, UNPRINTABLE } from './alert-mail.ts';

const ADMIN = 'admin@example.net';
const CUSTOMER = 'owner@customer.example';
const OTHER_CUSTOMER = 'owner@other.example';
/** Whom LocalAgent.send() writes to, and everybody else here. */
const FRIEND = 'friend@mail.example';
const OFFICE = '02:00:5e:70:00:01';
const OTHER_OFFICE = '02:00:5e:70:00:02';
const RELAYS = ['s1', 's2'];
const THRESHOLD = 50;
const HALF = THRESHOLD / 2;
const LANES = 5;
/** In which a second watch would have told it again. */
const LOOKS_MS = 3000;

let mesh: Mesh;
let redis: Redis;
let scanner: Clamd;
let store: MailStore;
let postfix: Postfix;
let alarm: AlarmSite;
const agents: LocalAgent[] = [];

beforeAll(async () => {
  store = await makeMailStore([ADMIN, CUSTOMER, OTHER_CUSTOMER, FRIEND].map((address) => ({ address, password: '' })));
  [mesh, redis, scanner, postfix] = await Promise.all([Mesh.create(), startRedis(), startClamd(), startPostfix({ store })]);
  alarm = await addAlarmSite(
    { mesh, redis },
    {
      name: 'tokyo-1',
      network: 70,
      settings: {
        'relay.destinations.allow': ['127.0.0.1/32'],
        'relay.destinations.extraPorts': [postfix.port],
        'relay.inspect': { clamd: [scanner.address] },
        outbreak: {
          to: [ADMIN],
          customer: true,
          submission: { host: '127.0.0.1', port: postfix.port, tls: 'none', from: 'sekisho@example.net' },
          thresholds: { device: THRESHOLD, contact: 1000, signature: 1000 },
        },
      },
    },
  );
  await alarm.site.start();
  mesh.publish([alarm.site]);
  await alarm.register(OFFICE, 'Bakery Sato', CUSTOMER);
  await alarm.register(OTHER_OFFICE, 'Dentist Ito', OTHER_CUSTOMER);
  await alarm.startWatches();
});

afterAll(async () => {
  for (const agent of agents) agent.close();
  await mesh?.stop();
  await Promise.all([redis, scanner, postfix].map((server) => server?.stop()));
  await store?.remove();
});

/** The router of an office is started, and carries mail through a relay. */
async function startOffice(mac: string): Promise<{ agent: LocalAgent; relay: string }> {
  const agent = await startLocalAgent(mesh, { mac, destination: { host: '127.0.0.1', port: postfix.port }, failMode: 'closed' });
  agents.push(agent);
  const send = async () => (await agent.send('clean').catch(() => undefined))?.session['route'];
  await eventually(send, 'relayed');
  return { agent, relay: String(agent.events('session').at(-1)?.['relay']) };
}

/** Takes a relay out of the table; resolves when both managers know. */
async function drain(relay: string): Promise<void> {
  await mesh.sekisho.mustRun('table', 'drain', relay, '--config', alarm.site.file);
  const states = async (): Promise<string[]> => {
    const { managers } = (await alarm.site.status()) as unknown as { managers: ManagerStatus[] };
    return managers.flatMap(({ table }) => table.relays.filter(({ name }) => name === relay).map(({ state }) => state));
  };
  await eventually(states, ['draining', 'draining']);
}

/** Mails with the EICAR test from one machine of an office; each is refused at its end. Resolves when the first was. */
async function sendInfected({ agent }: { agent: LocalAgent }, count: number, machine: string): Promise<number> {
  const content = dotStuff(eicarInBody().raw);
  let firstMs = Number.POSITIVE_INFINITY;
  const lane = async (): Promise<void> => {
    for (let sent = 0; sent < count / LANES; sent += 1) {
      const { reply } = await deliver({ host: '127.0.0.1', port: agent.port, localAddress: machine }, { from: 'sick@office.example', to: FRIEND, content });
      expect(reply).toMatch(/^554 5\.7\.1 .*Eicar-Test-Signature/u);
      firstMs = Math.min(firstMs, Date.now());
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return firstMs;
}

/** The only mail in a mailbox, once it is there. */
async function theOnlyMail(address: string): Promise<AlertMail> {
  await eventually(async () => (await stages(store, address)).length > 0, true);
  const mails = await alertMails(store, address);
  expect(mails).toHaveLength(1);
  return mails[0]!;
}

function secondsOf(mail: AlertMail, fact: string): number {
  return Date.parse(factOf(mail, fact)!.replace(' UTC', 'Z').replace(' ', 'T')) / 1000;
}

function infectedOn(relay: string): number {
  return linesOf(alarm.site.process(relay, 'relay'), 'infected').length;
}

test('fifty viruses of one device through both relays: one mail to the administrator and one to the customer, with the facts', async () => {
  const startedMs = Date.now();
  const before = await startOffice(OFFICE);
  const firstMs = await sendInfected(before, HALF, '127.0.70.107');
  // The office comes by the other relay after its router has restarted.
  await drain(before.relay);
  before.agent.close();
  const after = await startOffice(OFFICE);
  expect([before.relay, after.relay].sort()).toEqual(RELAYS);
  await eventually(() => alarm.counting(OFFICE), HALF);
  expect(await stages(store, ADMIN)).toEqual([]);
  await sendInfected(after, HALF, '127.0.70.108');
  const endedMs = Date.now();
  await eventually(() => RELAYS.map(infectedOn), [HALF, HALF]);

  for (const address of [ADMIN, CUSTOMER]) {
    const mail = await theOnlyMail(address);
    expect([...mail.names].sort()).toEqual(HEADER);
    expect(mail.values['To']).toBe(address);
    expect(mail.values['X-Sekisho-Alert']).toBe('alert');
    expect(mail.subject).toBe(`[Sekisho tokyo-1] Virus outbreak: Bakery Sato ${OFFICE}, 50 detections`);
    expect(mail.body).not.toMatch(UNPRINTABLE);
    expect(factOf(mail, 'Device')).toContain(OFFICE);
    expect(mail.body).toContain('Bakery Sato');
    expect(factOf(mail, 'Number')).toBe('50 detections');
    expect(listOf(mail, 'Viruses')).toEqual([[THRESHOLD, EICAR_SIGNATURE]]);
    expect(listOf(mail, 'Clients')).toEqual([[HALF, '127.0.70.107'], [HALF, '127.0.70.108']]);
    expect(listOf(mail, 'Destinations')).toEqual([[THRESHOLD, `127.0.0.1:${postfix.port}`]]);
    expect(secondsOf(mail, 'Since')).toBeGreaterThanOrEqual(Math.floor(startedMs / 1000));
    expect(secondsOf(mail, 'Since')).toBeLessThanOrEqual(firstMs / 1000);
    expect(secondsOf(mail, 'Last')).toBeGreaterThanOrEqual(secondsOf(mail, 'Since'));
    expect(secondsOf(mail, 'Last')).toBeLessThanOrEqual(endedMs / 1000);
    expect(mail.body).toContain('What to do: ');
  }
  const forAdmin = await theOnlyMail(ADMIN);
  expect(listOf(forAdmin, 'Found by')).toEqual([[HALF, 's1'], [HALF, 's2']]);
  expect(forAdmin.body).toContain(`sekisho outbreak ack device-${OFFICE}`);
  expect(forAdmin.body).toContain('sekisho device disable');
  // A customer has no business with the insides of a site.
  expect((await theOnlyMail(CUSTOMER)).body).not.toMatch(/Found by|sekisho /u);
  await sleep(LOOKS_MS);
  expect(await Promise.all([ADMIN, CUSTOMER].map((address) => stages(store, address)))).toEqual([['alert'], ['alert']]);
  expect(alarm.lines('alert_sent')).toHaveLength(2);
  expect(await alarm.metric('sekisho_outbreak_opened_total{level="device"}')).toBe(1);
});

test('status shows it, ack says that somebody takes care, test says of itself that it is one', async () => {
  const [outbreak, ...others] = (await alarm.status()).outbreaks;
  expect(others).toEqual([]);
  expect(outbreak).toMatchObject({ name: `device-${OFFICE}`, subject: OFFICE, label: 'Bakery Sato', endedAt: null, ack: null, tally: { count: THRESHOLD } });
  expect(await alarm.outbreak('status')).toContain(OFFICE);

  await alarm.outbreak('ack', `device-${OFFICE}`);
  expect((await alarm.status()).outbreaks[0]?.ack?.by).toMatch(/./u);
  expect((await mesh.sekisho.run('outbreak', 'ack', 'device-02:00:5e:70:00:99', '--config', alarm.site.file)).code).not.toBe(0);

  const tested = await mesh.sekisho.run('outbreak', 'test', '--config', alarm.site.file);
  expect(tested).toMatchObject({ code: 0 });
  expect(tested.output).toContain(ADMIN);
  await eventually(() => stages(store, ADMIN), ['alert', 'test']);
  const mail = (await alertMails(store, ADMIN)).at(-1)!;
  expect([...mail.names].sort()).toEqual(HEADER);
  expect(mail.subject).toBe('[Sekisho tokyo-1] Test: this would be an alert');
  expect(mail.body).toMatch(/^This is a test\. There is no outbreak/u);
  // Of a test no customer hears.
  expect(await stages(store, CUSTOMER)).toEqual(['alert']);
});

test('managers and watches are killed in the middle: relays keep what they find, and one alert tells the whole number', async () => {
  const office = await startOffice(OTHER_OFFICE);
  await sendInfected(office, HALF, '127.0.70.109');
  await eventually(() => alarm.counting(OTHER_OFFICE), HALF);
  // Redis stays: that of this kit keeps nothing on the disk.
  await Promise.all([alarm.killBoth('outbreak'), alarm.killBoth('manager')]);
  await sendInfected(office, HALF, '127.0.70.109');
  expect(await alarm.counting(OTHER_OFFICE)).toBe(HALF);

  await alarm.startWatches();
  await sleep(LOOKS_MS / 2);
  expect(await stages(store, OTHER_CUSTOMER)).toEqual([]);
  await Promise.all(RELAYS.map((name) => alarm.site.startRole(name, 'manager')));
  const mail = await theOnlyMail(OTHER_CUSTOMER);
  // With one less the threshold would not have been passed.
  expect(factOf(mail, 'Number')).toBe(`${THRESHOLD} detections`);
  expect(listOf(mail, 'Clients')).toEqual([[THRESHOLD, '127.0.70.109']]);
  await eventually(() => stages(store, ADMIN), ['alert', 'test', 'alert']);
  await sleep(LOOKS_MS);
  expect(await Promise.all([ADMIN, CUSTOMER, OTHER_CUSTOMER].map((address) => stages(store, address)))).toEqual([['alert', 'test', 'alert'], ['alert'], ['alert']]);
  expect((await alarm.status()).outbreaks.map(({ label, tally }) => `${label} ${tally.count}`).sort()).toEqual([`Bakery Sato ${THRESHOLD}`, `Dentist Ito ${THRESHOLD}`]);
});
