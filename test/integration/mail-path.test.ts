import { X509Certificate } from 'node:crypto';
import { copyFile, rm } from 'node:fs/promises';
import { once } from 'node:events';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { Operator } from '@sekisho/auth';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Dovecot } from '../kit/dovecot.ts';
import { closeServer } from '../kit/loopback-listen.ts';
import { runFetchmail, runMsmtp, runSwaks } from '../kit/mail-clients.ts';
import type { MailStore } from '../kit/mail-store.ts';
import { asSent, bodyHash, dotStuff, mailShapes, textMail } from '../kit/mails.ts';
import { MANAGER_NAME, Mesh, type MeshAgent, type MeshSite, Sekisho } from '../kit/mesh.ts';
import { freePort } from '../kit/ports.ts';
import type { Postfix } from '../kit/postfix.ts';
import { stopAllProcesses } from '../kit/process.ts';
import { deliver, type SmtpWire } from '../kit/smtp-wire.ts';
import { destinationTls } from '../kit/tls.ts';
import { greeting, openConversation } from './greeting.ts';
import { type MailDestinations, startMailDestinations } from './mail-destinations.ts';
import { runNodemailer } from './nodemailer-client.ts';
import { expectSessionsToAgree, linesOf, type LogLine } from './session-logs.ts';
import { startTrap, type Trap } from './trap.ts';

const DAY_MS = 86_400_000;
const MAIL_HOST = 'mail.example.com';
const from = 'sender@example.com';
const users = Object.fromEntries(
  ['shapes', 'auth', 'tls', 'proxied', 'bytes', 'rights'].map((name) => [
    name,
    { address: `${name}@example.net`, password: 'secret "word"' },
  ]),
) as Record<'shapes' | 'auth' | 'tls' | 'proxied' | 'bytes' | 'rights', { address: string; password: string }>;
const { cert } = destinationTls();
const FINGERPRINT = new X509Certificate(cert).fingerprint256;

let destinations: MailDestinations;
let store: MailStore;
let dovecot: Dovecot;
let postfix: Postfix;
let strict: Postfix;
let proxied: Postfix;
let mesh: Mesh;
let site: MeshSite;
let agent: MeshAgent;
/** Its port is not in `extraPorts`. */
let unlisted: Trap;
/** Its address is not in `allow`. */
let foreign: Trap;
let nobodyPort: number;
let mailPorts: number[];

beforeAll(async () => {
  [destinations, mesh, unlisted, foreign] = await Promise.all([
    startMailDestinations(Object.values(users)),
    Mesh.create(),
    startTrap('127.0.0.1'),
    startTrap('127.0.66.1'),
  ]);
  ({ store, dovecot, postfix, strict, proxied } = destinations);
  // The operator is some days old, so that a certificate of its can have run out.
  await rm(mesh.operator, { recursive: true });
  await Operator.init(mesh.operator, { name: 'Test', managerName: MANAGER_NAME, clock: () => Date.now() - 3 * DAY_MS });
  nobodyPort = await freePort();
  mesh.dns.set(MAIL_HOST, { a: ['127.0.0.1'] });
  mesh.dns.set('foreign.example.com', { a: ['127.0.66.1'] });
  const { pop3Port, pop3sPort, imapPort, imapsPort } = dovecot;
  mailPorts = [postfix.port, strict.port, strict.smtpsPort, proxied.port, pop3Port, pop3sPort, imapPort, imapsPort];
  site = await mesh.addSite({
    name: 'tokyo-1',
    servers: [
      { name: 's1', address: '127.0.1.1', roles: ['manager', 'auth', 'relay'] },
      { name: 's2', address: '127.0.1.2', roles: ['relay'] },
    ],
    settings: {
      // The shortest: leases and tickets are renewed several times while these tests run.
      'auth.ticketTtl': '10s',
      'auth.revocations.refresh': '1s',
      'relay.destinations.allow': ['127.0.0.1/32'],
      'relay.destinations.extraPorts': [...mailPorts, foreign.port, nobodyPort, mesh.managerPort],
      'relay.proxyProtocol': [`${MAIL_HOST}:${proxied.port}`],
    },
  });
  await site.start();
  mesh.publish([site]);
  agent = await mesh.startAgent({
    mac: '02:00:5e:10:00:01',
    forward: [
      [postfix.port, 'smtp'],
      [strict.port, 'smtp'],
      [strict.smtpsPort, 'smtps'],
      [proxied.port, 'smtp'],
      [pop3Port, 'pop3'],
      [pop3sPort, 'pop3s'],
      [imapPort, 'imap'],
      [imapsPort, 'imaps'],
    ].map(([port, protocol]) => `${MAIL_HOST}:${port}/${protocol}`),
  });
});

afterAll(async () => {
  await mesh?.stop();
  await destinations?.stop();
  await Promise.all([unlisted, foreign].map((trap) => trap && closeServer(trap.server)));
  await stopAllProcesses();
});

/** The agent's listener for a destination of its. */
function through(port: number): { address: string; port: number } {
  return { address: '127.0.0.1', port: agent.ports[mailPorts.indexOf(port)]! };
}

async function delivered(address: string, count: number): Promise<Buffer[]> {
  await expect.poll(async () => (await store.messages(address)).length, { timeout: 20_000 }).toBe(count);
  return store.messages(address);
}

/** The summary line of a conversation. */
async function sessionOf(client: MeshAgent, { localPort }: SmtpWire): Promise<LogLine> {
  const find = (): LogLine | undefined => client.events('session').find((line) => line['client'] === `127.0.0.1:${localPort}`);
  await expect.poll(find).toBeDefined();
  return find()!;
}

const CLIENTS = [
  ['swaks', runSwaks],
  ['msmtp', runMsmtp],
  ['nodemailer', runNodemailer],
] as const;

test('every shape of mail, sent by three clients, fetched over POP3 and IMAP, byte for byte', async () => {
  const { address, password } = users.shapes;
  const hashes: string[] = [];
  for (const [index, [name, send]] of CLIENTS.entries())
    for (const shape of mailShapes(index + 1)) {
      const result = await send({ server: through(postfix.port), from, to: [address], raw: shape.raw });
      expect(result.code, `${name}, ${shape.name}: ${result.transcript}`).toBe(0);
      hashes.push(shape.sha256);
    }
  hashes.sort();
  expect((await delivered(address, hashes.length)).map(bodyHash).sort()).toEqual(hashes);
  for (const [protocol, port] of [['POP3', dovecot.pop3Port], ['IMAP', dovecot.imapPort]] as const) {
    const fetched = await runFetchmail({ server: through(port), protocol, user: address, password, keep: true });
    expect(fetched.code, fetched.transcript.slice(-2000)).toBe(0);
    expect(fetched.messages.map(bodyHash).sort()).toEqual(hashes);
  }
});

test('a message of no bytes at all, and the exact count of every byte', async () => {
  const server = through(postfix.port);
  const target = { host: server.address, port: server.port };
  let wire: SmtpWire | undefined;
  const note = { at: 'connected' as const, act: (it: SmtpWire) => void (wire = it) };
  const { reply } = await deliver(target, { from, to: users.bytes.address, content: dotStuff(Buffer.alloc(0)) }, note);
  expect(reply).toMatch(/^250 2\.0\.0/);
  expect(asSent((await delivered(users.bytes.address, 1))[0]!).toString()).toBe('');
  const { bytesSent, received } = wire!;
  const expected = { bytesUp: bytesSent, bytesDown: received.length, outcome: 'completed', protocol: 'smtp', route: 'relayed' };
  expect(await sessionOf(agent, wire!)).toMatchObject(expected);
  await expectSessionsToAgree(agent, site);
});

test('AUTH PLAIN: the right password and the wrong one, with and without TLS', async () => {
  const { address, password } = users.auth;
  const mails = [];
  for (const [index, [name, send]] of CLIENTS.entries())
    for (const tls of ['none', 'starttls', 'implicit'] as const) {
      const mail = textMail(100 + 10 * index + tls.length);
      const server = through(tls === 'implicit' ? strict.smtpsPort : strict.port);
      const message = { server, from, to: [address], raw: mail.raw, tls };
      const result = await send({ ...message, auth: { user: address, password, mechanism: 'PLAIN' } });
      expect(result.code, `${name}, ${tls}: ${result.transcript}`).toBe(0);
      mails.push(mail.sha256);
      if (tls === 'starttls') continue;
      const refused = await send({ ...message, auth: { user: address, password: 'wrong', mechanism: 'PLAIN' } });
      expect(refused.code).not.toBe(0);
      expect(refused.transcript).toContain('535');
    }
  expect((await delivered(address, mails.length)).map(bodyHash).sort()).toEqual(mails.sort());
  expect((await strict.log()).match(/sasl_method=PLAIN, sasl_username=auth@example.net/g)?.length).toBe(mails.length);
});

test('TLS is between client and destination: its own certificate, implicit and after STARTTLS, and mail through both', async () => {
  const implicit = [strict.smtpsPort, dovecot.pop3sPort, dovecot.imapsPort];
  for (const port of implicit) expect(await certificateSeen(port, [])).toBe(FINGERPRINT);
  expect(await certificateSeen(strict.port, ['EHLO client.example.com', 'STARTTLS'])).toBe(FINGERPRINT);
  expect(await certificateSeen(dovecot.pop3Port, ['STLS'])).toBe(FINGERPRINT);
  expect(await certificateSeen(dovecot.imapPort, ['a STARTTLS'])).toBe(FINGERPRINT);

  const { address, password } = users.tls;
  const mail = textMail(200, 300_000);
  const sent = await runSwaks({
    server: through(strict.smtpsPort),
    from,
    to: [address],
    raw: mail.raw,
    tls: 'implicit',
    auth: { user: address, password },
  });
  expect(sent.code, sent.transcript).toBe(0);
  await delivered(address, 1);
  for (const [protocol, plain, secure] of [
    ['POP3', dovecot.pop3Port, dovecot.pop3sPort],
    ['IMAP', dovecot.imapPort, dovecot.imapsPort],
  ] as const)
    for (const [tls, port] of [['starttls', plain], ['implicit', secure]] as const) {
      const fetched = await runFetchmail({ server: through(port), protocol, tls, user: address, password, keep: true });
      expect(fetched.code, fetched.transcript).toBe(0);
      expect(fetched.messages.map(bodyHash)).toEqual([mail.sha256]);
    }
});

/** Says these lines in clear text, then begins TLS and verifies; the certificate that was shown. */
async function certificateSeen(port: number, lines: readonly string[]): Promise<string> {
  const server = through(port);
  const plain = connect(server.port, server.address);
  if (lines.length > 0) await once(plain, 'data');
  for (const line of lines) {
    plain.write(`${line}\r\n`);
    await once(plain, 'data');
  }
  const secure: TLSSocket = connectTls({ socket: plain, servername: MAIL_HOST, ca: cert });
  await once(secure, 'secureConnect');
  const { fingerprint256 } = secure.getPeerCertificate();
  secure.destroy();
  return fingerprint256;
}

test("PROXY version 2 tells a destination that is listed the client's address, and no other one", async () => {
  const { address } = users.proxied;
  const { port } = through(proxied.port);
  const target = { host: '127.0.0.1', port, localAddress: '127.0.7.7' };
  const mail = textMail(300);
  const { reply } = await deliver(target, { from, to: address, content: dotStuff(mail.raw) });
  expect(reply).toMatch(/^250 2\.0\.0/);
  const [message] = await delivered(address, 1);
  expect(bodyHash(message!)).toBe(mail.sha256);
  expect(await proxied.log()).toContain('connect from unknown[127.0.7.7]');
  expect(message!.toString('latin1')).toMatch(/^Received: from client\.example\.com \(unknown \[127\.0\.7\.7\]\)/m);
  expect(await postfix.log()).not.toContain('127.0.7.7');
});

describe('refused destinations', () => {
  const PERMANENT = 'the service does not allow this connection';
  const TEMPORARY = 'the service cannot take this connection now, try again later';

  test('the client hears it in its own protocol; nobody is ever connected, through the relay or directly', async () => {
    // The manager's and relays' own addresses are refused, too, although their port is listed here.
    const destinations = [
      { host: MAIL_HOST, port: unlisted.port, code: 'DESTINATION_PORT', status: '5.7.1' },
      { host: '127.0.66.1', port: foreign.port, code: 'DESTINATION_ADDRESS', status: '5.7.1' },
      { host: 'foreign.example.com', port: foreign.port, code: 'DESTINATION_ADDRESS', status: '5.7.1' },
      { host: '127.0.1.1', port: mesh.managerPort, code: 'DESTINATION_ADDRESS', status: '5.7.1' },
      { host: 'nowhere.example.com', port: postfix.port, code: 'DNS_NOT_FOUND', status: '4.4.3' },
      { host: MAIL_HOST, port: nobodyPort, code: 'CONNECT_REFUSED', status: '4.4.1' },
    ];
    const forward = destinations.flatMap(({ host, port }) => ['smtp', 'pop3', 'imap'].map((name) => `${host}:${port}/${name}`));
    const client = await mesh.startAgent({ mac: '02:00:5e:10:00:02', forward });
    for (const [index, { code, status }] of destinations.entries()) {
      const permanent = status.startsWith('5');
      const text = `${permanent ? PERMANENT : TEMPORARY} \\(${code}, session [0-9a-f]{32}\\)$`;
      expect(await greeting(client, 3 * index)).toMatch(new RegExp(`^${permanent ? 554 : 421} ${status} ${text}`));
      expect(await greeting(client, 3 * index + 1)).toMatch(new RegExp(`^-ERR \\[SYS/${permanent ? 'PERM' : 'TEMP'}\\] ${text}`));
      expect(await greeting(client, 3 * index + 2)).toMatch(new RegExp(`^\\* BYE \\[${permanent ? 'NOPERM' : 'UNAVAILABLE'}\\] ${text}`));
    }
    expect([unlisted.connections, foreign.connections]).toEqual([0, 0]);
    expect(client.events('direct')).toEqual([]);
    const refusals = client.events('session');
    expect(new Set(refusals.map(({ route, outcome }) => `${String(route)} ${String(outcome)}`))).toEqual(new Set(['none refused']));
    // The relay says it once for each, under the same id.
    const relays = ['s1', 's2'].flatMap((name) => linesOf(site.process(name, 'relay'), 'session'));
    for (const { session, code } of refusals)
      expect(relays.filter((line) => line['session'] === session)).toMatchObject([{ outcome: 'refused', code }]);
  });

  test('a mail right that the certificate lacks', async () => {
    const file = await mesh.enroll('02:00:5e:10:00:03', '--rights', 'smtp');
    const forward = [`${MAIL_HOST}:${postfix.port}/smtp`, `${MAIL_HOST}:${dovecot.pop3Port}/pop3`, `${MAIL_HOST}:${dovecot.imapPort}/imap`];
    const client = await mesh.runAgent(file, { forward });
    expect(await greeting(client, 1)).toMatch(/^-ERR \[SYS\/PERM\] .*\(RIGHTS,/);
    expect(await greeting(client, 2)).toMatch(/^\* BYE \[NOPERM\] .*\(RIGHTS,/);
    const target = { host: '127.0.0.1', port: client.ports[0]! };
    const mail = textMail(400);
    expect(await deliver(target, { from, to: users.rights.address, content: dotStuff(mail.raw) })).toMatchObject({ accepted: true });
    expect((await delivered(users.rights.address, 1)).map(bodyHash)).toEqual([mail.sha256]);
    expect(client.events('direct')).toEqual([]);
  });
});

describe('refused devices: permanent at the client, and never directly', () => {
  const forwardToPostfix = () => [`${MAIL_HOST}:${postfix.port}/smtp`];

  /** An agent whose certificate and key are others than those it was enrolled with. */
  async function agentWith(mac: string, issued: { certPem: string; keyPem: string }): Promise<MeshAgent> {
    const file = await mesh.enroll(mac);
    return mesh.runAgent(file, { forward: forwardToPostfix(), settings: { certificate: issued.certPem, key: issued.keyPem } });
  }

  async function expectRefused(client: MeshAgent, code: string, status: string): Promise<void> {
    await expect
      .poll(() => greeting(client), { timeout: 20_000, interval: 200 })
      .toMatch(new RegExp(`^554 ${status} .*\\(${code}, session [0-9a-f]{32}\\)$`));
    // It stays so, and nothing goes past the mesh meanwhile.
    expect(await greeting(client)).toContain(code);
    expect(client.events('direct')).toEqual([]);
    expect(client.events('manager_refused').at(-1)).toMatchObject({ code });
  }

  test('one whose certificate has run out', async () => {
    const past = await Operator.open(mesh.operator, { clock: () => Date.now() - 2.5 * DAY_MS });
    const mac = '02:00:5e:10:00:11';
    const issued = await past.enrollDevice({ mac, rights: ['smtp'], days: 1, proof: 'certificate' });
    const client = await agentWith(mac, issued);
    await expectRefused(client, 'DEVICE_EXPIRED', '5.7.8');
    expect(client.events('lease')).toEqual([]);
  });

  test('one of another operator', async () => {
    const other = await Operator.init(join(mesh.directory, 'other'), { name: 'Other', managerName: MANAGER_NAME });
    const mac = '02:00:5e:10:00:12';
    const issued = await other.enrollDevice({ mac, rights: ['smtp'], days: 100, proof: 'certificate' });
    const client = await agentWith(mac, issued);
    await expectRefused(client, 'DEVICE_REFUSED', '5.7.8');
    expect(client.events('lease')).toEqual([]);
  });

  test('one that is disabled, and one that is revoked, while they run', async () => {
    const [disabled, revoked] = [
      await mesh.startAgent({ mac: '02:00:5e:10:00:13', forward: forwardToPostfix() }),
      await mesh.startAgent({ mac: '02:00:5e:10:00:14', forward: forwardToPostfix() }),
    ];
    expect(await greeting(disabled)).toMatch(/^220 /);
    expect(await greeting(revoked)).toMatch(/^220 /);
    const command = new Sekisho();
    await command.mustRun('device', 'disable', '02:00:5e:10:00:13', '--config', site.file);
    await command.mustRun('device', 'revoke', '02:00:5e:10:00:14', '--operator', mesh.operator);
    const LIST = 'revocations.crl.pem';
    await copyFile(join(mesh.operator, LIST), join(dirname(site.file), LIST));
    await Promise.all([expectRefused(disabled, 'DEVICE_DISABLED', '5.7.1'), expectRefused(revoked, 'DEVICE_REVOKED', '5.7.1')]);
  });
});

test('a full relay: the second takes over, and when both are full it is a temporary refusal; no mail is lost', async () => {
  const small = await mesh.addSite({
    name: 'small',
    servers: [
      { name: 'f1', address: '127.0.2.1', roles: ['manager', 'auth', 'relay'] },
      { name: 'f2', address: '127.0.2.2', roles: ['relay'] },
    ],
    settings: { 'relay.maxSessions': 1, 'relay.destinations.extraPorts': [postfix.port] },
  });
  await small.start();
  mesh.publish([small]);
  const client = await mesh.startAgent({ mac: '02:00:5e:10:00:21', forward: [`${MAIL_HOST}:${postfix.port}/smtp`] });
  const target = { host: '127.0.0.1', port: client.ports[0]! };
  const open = [await openConversation(target), await openConversation(target)];
  expect(await greeting(client)).toMatch(/^421 4\.3\.2 .*\((?:FULL|NO_RELAY), session/);
  // Both conversations go on, and each has a relay to itself.
  for (const wire of open) expect(await wire.command('QUIT')).toMatch(/^221 /);
  for (const wire of open) wire.close();
  const used = await Promise.all(open.map((wire) => sessionOf(client, wire)));
  expect(new Set(used.map(({ relay }) => relay))).toEqual(new Set(['f1', 'f2']));
  await expectSessionsToAgree(client, small);
  await expect.poll(() => greeting(client), { timeout: 10_000, interval: 200 }).toMatch(/^220 /);
  expect(client.events('direct')).toEqual([]);
});

test('the cap of a device: the others have nothing to suffer', async () => {
  const capped = await mesh.addSite({
    name: 'capped',
    servers: [{ name: 'c1', address: '127.0.3.1', roles: ['manager', 'auth', 'relay'] }],
    settings: { 'relay.maxSessionsPerDevice': 1, 'relay.destinations.extraPorts': [postfix.port] },
  });
  await capped.start();
  mesh.publish([capped]);
  const forward = [`${MAIL_HOST}:${postfix.port}/smtp`];
  const greedy = await mesh.startAgent({ mac: '02:00:5e:10:00:22', forward });
  const modest = await mesh.startAgent({ mac: '02:00:5e:10:00:23', forward });
  const wire = await openConversation({ host: '127.0.0.1', port: greedy.ports[0]! });
  // The relay told the agent its cap, so the agent says it itself: FULL, since another relay might have had room.
  expect(await greeting(greedy)).toMatch(/^421 4\.3\.2 .*\(FULL, session/);
  (await openConversation({ host: '127.0.0.1', port: modest.ports[0]! })).close();
  expect(await greeting(greedy)).toContain('(FULL, session');
  expect(await wire.command('QUIT')).toMatch(/^221 /);
  wire.close();
  await expect.poll(() => greeting(greedy), { timeout: 10_000, interval: 200 }).toMatch(/^220 /);
  expect([...greedy.events('direct'), ...modest.events('direct')]).toEqual([]);
});

test('all sessions of the office: one line at the agent, one at a relay, and they agree', async () => {
  const sessions = await expectSessionsToAgree(agent, site);
  expect(sessions.length).toBeGreaterThan(60);
  expect(agent.events('direct')).toEqual([]);
  for (const { durationMs, connectMs } of sessions) expect(Number(durationMs)).toBeGreaterThanOrEqual(Number(connectMs));
  // The manager was told of them as well.
  const told = new Map(linesOf(site.process('s1', 'manager'), 'session').map((line) => [line['session'], line]));
  for (const { session, relay, bytesUp, bytesDown, outcome } of sessions)
    expect(told.get(session)).toMatchObject({ relay, bytesUp, bytesDown, outcome });
});
