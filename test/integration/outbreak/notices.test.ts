import { randomBytes, scryptSync } from 'node:crypto';
import { readdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type MailStore, makeMailStore } from '../../kit/mail-store.ts';
import { Mesh } from '../../kit/mesh.ts';
import { type Postfix, startPostfix } from '../../kit/postfix.ts';
import { type Redis, startRedis } from '../../kit/redis.ts';
import { connectSmtpWire } from '../../kit/smtp-wire.ts';
import { inLanes } from '../inspection/scene.ts';
import { addAlarmSite, type AlarmSite, eventually, WATCHES } from './alarm-site.ts';
import { type AlertMail, alertMails, factOf, HEADER, listOf, stages, UNPRINTABLE } from './alert-mail.ts';
import { bring, bringAll, type GatewayInit, notice, openGateway } from './gateway.ts';
import { HookReceiver, hmacByOpenssl } from './hook-receiver.ts';

const FLOODED = { admin: 'admin@flooded.example', customer: 'owner@flooded.example', mac: '02:00:5e:71:00:01' };
const ADMIN = 'admin@troubled.example';
const HOSTILE = '02:00:5e:72:00:01';
const WAITING = '02:00:5e:72:00:02';
/** Nobody is to write to him. */
const THIEF = 'thief@example.net';
const THRESHOLD = 50;
const NOTICES = 10_000;
const CONNECTIONS = 20;
/** Longer than the flood lasts on a machine that has other work, too. */
const COOL_DOWN_MS = 25_000;
const QUICK = { window: '10s', coolDown: `${COOL_DOWN_MS}ms`, clearAfter: `${COOL_DOWN_MS}ms` };
const SECRET = 'a secret of the receiver and the site';
/** In which a second watch would have told it again. */
const LOOKS_MS = 3000;
const GATEWAYS = ['127.0.71.201', '127.0.71.202'];
const STRANGER = '127.0.71.250';
/** So many connections one of them may have. */
const STRANGERS = 5;
const PASSWORD = 'right "horse"';

let mesh: Mesh;
let redis: Redis;
let store: MailStore;
let postfix: Postfix;
let fragile: Postfix;
let hooks: HookReceiver;
let flooded: AlarmSite;
let troubled: AlarmSite;
let floodMs = 0;

beforeAll(async () => {
  store = await makeMailStore([FLOODED.admin, FLOODED.customer, ADMIN, THIEF].map((address) => ({ address, password: '' })));
  [mesh, redis, postfix, fragile, hooks] = await Promise.all([Mesh.create(), startRedis(), startPostfix({ store }), startPostfix({ store }), HookReceiver.start()]);
  [flooded, troubled] = await Promise.all([addSite('flooded', 71, postfix, FLOODED.admin, QUICK), addSite('troubled', 72, fragile, ADMIN, {})]);
  for (const { site } of [flooded, troubled]) {
    await writeFile(join(dirname(site.file), 'secret'), SECRET, { mode: 0o600 });
    await writeFile(join(dirname(site.file), 'users'), userLine('gateway', PASSWORD), { mode: 0o600 });
  }
  await flooded.register(FLOODED.mac, 'Bakery Sato', FLOODED.customer);
  await Promise.all([flooded.startWatches(), troubled.startWatches()]);
});

afterAll(async () => {
  await mesh?.stop();
  await Promise.all([redis, postfix, fragile, hooks].map((server) => server?.stop()));
  await store?.remove();
});

function addSite(name: string, network: number, { port }: Postfix, admin: string, times: object): Promise<AlarmSite> {
  return addAlarmSite(
    { mesh, redis },
    {
      name,
      network,
      settings: {
        outbreak: {
          to: [admin],
          customer: true,
          submission: { host: '127.0.0.1', port, tls: 'none', from: 'sekisho@example.net' },
          thresholds: { device: THRESHOLD, contact: 10_000, signature: 10_000 },
          ...times,
          webhook: { url: hooks.url, secretFile: 'secret' },
        },
      },
      notices: { allow: GATEWAYS, usersFile: 'users', keepDir: 'kept' },
    },
  );
}

/** As docs/notices.md says how to make one. */
function userLine(name: string, password: string): string {
  const salt = randomBytes(16);
  const hash = scryptSync(password, salt, 32, { N: 2 ** 15, r: 8, p: 1, maxmem: 2 ** 26 });
  const [saltText, hashText] = [salt, hash].map((bytes) => bytes.toString('base64').replaceAll('=', ''));
  return `${name}:$scrypt$ln=15,r=8,p=1$${saltText}$${hashText}\n`;
}

/** Each gateway at each watch. */
function gatewaysOf(alarm: AlarmSite, addresses = GATEWAYS): GatewayInit[] {
  return addresses.flatMap((address) => WATCHES.map((name) => ({ address, port: alarm.noticePorts[name] })));
}

function noticesAbout(mac: string, count: number, name = mac.replaceAll(':', '')): Buffer[] {
  return Array.from({ length: count }, (_, index) => notice(`${name}-${index}`, { mac }));
}

async function numbers(address: string): Promise<(string | undefined)[]> {
  return (await alertMails(store, address)).map((mail) => factOf(mail, 'Number'));
}

function resultsOf(alarm: AlarmSite, result: string): Promise<number> {
  return alarm.metric(`sekisho_outbreak_notices_total{result="${result}"}`);
}

function hooksOf(site: string): { stage: string; id: string; outbreaks: { name: string; stage: string; tally: { count: number } }[] }[] {
  return hooks.hooks.map(({ body }) => JSON.parse(body) as ReturnType<typeof hooksOf>[number] & { site: string }).filter((hook) => hook.site === site);
}

function expectHarmless(mail: AlertMail): void {
  expect([...mail.names].sort()).toEqual(HEADER);
  expect(mail.subject).not.toMatch(UNPRINTABLE);
  expect(mail.body).not.toMatch(UNPRINTABLE);
}

test('ten thousand notices at once: all are taken, and there is one alert to each', async () => {
  const startedAt = performance.now();
  const answers = await bringAll(gatewaysOf(flooded), CONNECTIONS, noticesAbout(FLOODED.mac, NOTICES));
  floodMs = performance.now() - startedAt;
  expect(answers).toHaveLength(NOTICES);
  expect(answers.filter((answer) => !answer.startsWith('250'))).toEqual([]);
  await eventually(() => resultsOf(flooded, 'recorded'), NOTICES);
  for (const address of [FLOODED.admin, FLOODED.customer]) {
    await eventually(async () => (await stages(store, address)).slice(0, 1), ['alert']);
    const [alert] = await alertMails(store, address);
    expectHarmless(alert!);
    expect(alert?.subject).toMatch(/^\[Sekisho flooded\] Virus outbreak: Bakery Sato 02:00:5e:71:00:01, \d+ detections$/u);
    expect(listOf(alert!, 'Clients').map(([, client]) => client)).toEqual(['10.4.5.6']);
  }
});

test('forged notices change nothing', async () => {
  const answers: string[] = [];
  await inLanes(noticesAbout(HOSTILE, THRESHOLD + 1, 'forged'), STRANGERS, async (content) => {
    const wire = await openGateway({ address: STRANGER, port: troubled.noticePorts.s1 });
    answers.push(await wire.command('MAIL FROM:<gateway@example.com>'));
    // He goes on all the same.
    wire.write(Buffer.concat([Buffer.from('DATA\r\n'), content, Buffer.from('\r\n.\r\n')]));
    wire.finish();
    await wire.ended;
    wire.close();
  });
  expect(answers.filter((answer) => !answer.startsWith('554 5.7.1'))).toEqual([]);
  const guesses: string[] = [];
  for (let guess = 0; guess < 7; guess += 1) {
    const wire = await openGateway({ address: STRANGER, port: troubled.noticePorts.s2 });
    guesses.push((await logIn(wire, `wrong ${guess}`)).slice(0, 3));
    wire.close();
  }
  expect(guesses).toEqual(['535', '535', '535', '535', '535', '421', '421']);
  expect(await resultsOf(troubled, 'refused_source')).toBeGreaterThan(THRESHOLD);
  expect(await resultsOf(troubled, 'refused_auth')).toBe(7);
  expect(await resultsOf(troubled, 'recorded')).toBe(0);
  await expectNothingHappened();

  // Who knows the password may bring them from anywhere.
  const friend = await openGateway({ address: '127.0.71.251', port: troubled.noticePorts.s2 });
  expect(await logIn(friend, PASSWORD)).toMatch(/^235 /u);
  expect(await bring(friend, noticesAbout('02:00:5e:72:00:09', 1))).toEqual([expect.stringMatching(/^250 /u)]);
});

function logIn(wire: Awaited<ReturnType<typeof openGateway>>, password: string): Promise<string> {
  return wire.command(`AUTH PLAIN ${Buffer.from(`\0gateway\0${password}`).toString('base64')}`);
}

test('malformed notices change nothing; those that no pattern fits are kept', async () => {
  const recorded = await resultsOf(troubled, 'recorded');
  const [gateway] = gatewaysOf(troubled);
  const other = (index: number): Buffer => Buffer.from(`From: watchdog@other.example\r\nMessage-ID: <other-${index}@other.example>\r\n\r\nMalware "X" on ${HOSTILE}, number ${index}\r\n`);
  const noise = (): Buffer => Buffer.from(randomBytes(4000).toString('latin1').replaceAll(/[\r\n]/gu, ' '), 'latin1');
  const malformed = Array.from({ length: THRESHOLD + 10 }, (_, index) => (index % 2 === 0 ? other(index) : noise()));
  const answers = await bringAll([gateway!], 4, malformed);
  expect(answers.filter((answer) => !answer.startsWith('250 2.6.0 kept'))).toEqual([]);
  expect(await resultsOf(troubled, 'unparsed')).toBe(malformed.length);
  const kept = await readdir(join(dirname(troubled.site.file), 'kept'));
  expect(kept).toHaveLength(malformed.length);

  const large = Buffer.concat([notice('large', { mac: HOSTILE }), Buffer.alloc(300_000, 'x')]);
  expect(await bring(await openGateway(gateway!), [large])).toEqual([expect.stringMatching(/^552 /u)]);
  expect(await resultsOf(troubled, 'refused_size')).toBe(1);
  // A gateway that dies in the middle of its notices.
  await inLanes(noticesAbout(HOSTILE, THRESHOLD + 1, 'broken'), 10, async (content) => {
    const wire = await connectSmtpWire({ host: '127.0.0.1', port: gateway!.port, localAddress: gateway!.address });
    await wire.reply();
    for (const line of ['EHLO g.example', 'MAIL FROM:<>', 'RCPT TO:<n@example.net>', 'DATA']) await wire.command(line);
    wire.write(content);
    await wire.flushed();
    wire.reset();
  });
  expect(await resultsOf(troubled, 'recorded')).toBe(recorded);
  await expectNothingHappened();
});

async function expectNothingHappened(): Promise<void> {
  await sleep(LOOKS_MS / 2);
  const { outbreaks, counting } = await troubled.status();
  expect(outbreaks).toEqual([]);
  expect(JSON.stringify(counting)).not.toContain(HOSTILE);
  expect(await stages(store, ADMIN)).toEqual([]);
  expect(hooksOf('troubled')).toEqual([]);
}

const EVIL = `Evil\r\nBcc: ${THIEF}\r\n\r\nX5O!P%@AP[4\u001b[31m\u001b]0;owned\u0007\u202egpj\u2066.exe\u0085\u2028`;

/** Everything that a stranger may write into a notice, in the ways in which mail hides it. */
function hostileNotice(index: number): Buffer {
  const inSubject = [
    `From: =?utf-8?B?${Buffer.from(EVIL).toString('base64')}?= <amavis@gateway.example.com>`,
    `Subject: VIRUS (=?utf-8?B?${Buffer.from(EVIL).toString('base64')}?=) in mail FROM [192.0.2.66]:1 <${THIEF}>`,
    `Message-ID: <evil-${index}@x>`,
    '',
    'First upstream SMTP client IP address: [192.0.2.66]:1',
  ];
  const inText = [
    'From: avira@office.example.com',
    `Bcc: ${THIEF}`,
    `Message-ID: <evil-${index}@x>`,
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: quoted-printable',
    '',
    'Avira has stopped a virus.',
    `Virus: ${index % 3 === 1 ? quotedPrintable(EVIL) : `\u001b[31m${quotedPrintable('\u202eNasty\u001b]0;x\u0007\u0085')}`}`,
    'Computer: 10.4.5.6=1B[2J',
    `MAC address: ${HOSTILE.replaceAll(':', '-')}`,
  ];
  return Buffer.from(`${(index % 3 === 0 ? inSubject : inText).join('\r\n')}\r\n`);
}

function quotedPrintable(text: string): string {
  return [...Buffer.from(text)].map((byte) => `=${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('');
}

test('what strangers write becomes no header and no command of a terminal; the webhook is signed and comes once', async () => {
  const [gateway] = gatewaysOf(troubled);
  await troubled.register(HOSTILE, `Front\r\nBcc: ${THIEF}\r\n\u001b[31m\u202eoffice`, `${THIEF}\r\nBcc: ${THIEF}`);
  const answers = await bring(await openGateway({ ...gateway!, helo: 'evil\u202egpj.example' }), Array.from({ length: 2 * THRESHOLD }, (_, index) => hostileNotice(index)));
  expect(answers.filter((answer) => !answer.startsWith('250'))).toEqual([]);
  await eventually(async () => (await stages(store, ADMIN)).length > 0, true);
  await sleep(LOOKS_MS);
  expect(await stages(store, ADMIN)).toEqual(['alert']);
  expect(await stages(store, THIEF)).toEqual([]);
  const [mail] = await alertMails(store, ADMIN);
  expectHarmless(mail!);
  expect(mail?.values['To']).toBe(ADMIN);
  for (const name of ['Evil', 'Nasty']) expect(listOf(mail!, 'Viruses').filter(([, signature]) => signature.includes(name))).toHaveLength(1);
  for (const raw of await store.messages(ADMIN)) expect(raw.toString('latin1')).not.toMatch(/[^\t\n\x20-\x7e]/u);
  const shown = await troubled.outbreak('status');
  expect(shown).not.toMatch(UNPRINTABLE);

  const received = hooks.hooks.filter(({ body }) => body.includes('"site":"troubled"'));
  expect(hooksOf('troubled').map(({ stage, outbreaks }) => [stage, outbreaks.map(({ name }) => name)])).toEqual([['alert', [`device-${HOSTILE}`]]]);
  for (const { method, headers, body } of received) {
    const timestamp = String(headers['sekisho-timestamp']);
    expect([method, headers['content-type']]).toEqual(['POST', 'application/json']);
    expect(Math.abs(Number(timestamp) - Date.now() / 1000)).toBeLessThan(30);
    expect(headers['sekisho-signature']).toBe(`v1=${await hmacByOpenssl(SECRET, `${timestamp}.${body}`)}`);
    expect(headers['sekisho-id']).toBe((JSON.parse(body) as { id: string }).id);
  }
});

test('the submission server is down: log, metric and status say so, and the alert comes when it is back', async () => {
  const before = (await stages(store, ADMIN)).length;
  const { port } = fragile;
  await fragile.stop();
  await bringAll(gatewaysOf(troubled), 2, noticesAbout(WAITING, THRESHOLD));
  await eventually(() => troubled.lines('submission_down').length > 0, true);
  expect(troubled.lines('alert_failed')).toContainEqual(expect.objectContaining({ level: 'error', to: ADMIN, reason: expect.stringContaining('ECONNREFUSED') }));
  await eventually(() => troubled.metric('sekisho_outbreak_submission_up'), 0);
  expect(await troubled.metric('sekisho_outbreak_untold{way="mail"}')).toBeGreaterThan(0);
  const recipient = (await troubled.status()).recipients.find(({ address }) => address === ADMIN);
  expect(recipient).toMatchObject({ waiting: expect.any(Number), failure: { reason: expect.stringContaining('ECONNREFUSED') } });
  expect(await troubled.outbreak('status')).toContain('ECONNREFUSED');

  fragile = await startPostfix({ store, port });
  await eventually(async () => (await alertMails(store, ADMIN)).slice(before).map(({ body }) => body.includes(WAITING)), [true]);
  expect(troubled.lines('submission_up').length).toBeGreaterThan(0);
  await eventually(async () => (await troubled.status()).recipients.find(({ address }) => address === ADMIN)?.failure, null);
  await sleep(LOOKS_MS);
  const about = (await alertMails(store, ADMIN)).filter(({ values, body }) => values['X-Sekisho-Alert'] === 'alert' && body.includes(WAITING));
  expect(about).toHaveLength(1);
});

test('after the cool-down a digest has the whole number, and then it is over', async () => {
  const last = async (): Promise<string | undefined> => (await stages(store, FLOODED.admin)).at(-1);
  await eventually(last, 'clear', 4 * COOL_DOWN_MS);
  for (const address of [FLOODED.admin, FLOODED.customer]) {
    await eventually(async () => (await stages(store, address)).at(-1), 'clear');
    const mails = await alertMails(store, address);
    for (const mail of mails) expectHarmless(mail);
    const digests = mails.slice(1, -1);
    expect(digests.map(({ values }) => values['X-Sekisho-Alert'])).toEqual(digests.map(() => 'digest'));
    // One for each cool-down that the flood lasted.
    expect(digests.length).toBeGreaterThanOrEqual(1);
    expect(digests.length).toBeLessThanOrEqual(Math.ceil(floodMs / COOL_DOWN_MS));
    const told = Number.parseInt((await numbers(address))[0] ?? '', 10);
    expect(told).toBeGreaterThanOrEqual(THRESHOLD);
    expect(told).toBeLessThan(NOTICES);
    if (digests.length === 1) expect(factOf(digests[0]!, 'Number')).toBe(`${NOTICES} detections, ${NOTICES - told} of them new`);
    expect(factOf(mails.at(-1)!, 'Number')).toBe(`${NOTICES} detections, 0 of them new`);
    expect(factOf(mails.at(-1)!, 'Over')).toMatch(/UTC$/u);
  }
  const events = hooksOf('flooded');
  expect(events.map(({ stage }) => stage)).toEqual(await stages(store, FLOODED.admin));
  expect(new Set(events.map(({ id }) => id)).size).toBe(events.length);
  expect((await flooded.status()).outbreaks[0]).toMatchObject({ subject: FLOODED.mac, endedAt: expect.any(Number), tally: { count: NOTICES } });
});
