import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Clamd, EICAR_SIGNATURE, startClamd } from '../../kit/clamd.ts';
import { type Dovecot, startDovecot } from '../../kit/dovecot.ts';
import { runFetchmail } from '../../kit/mail-clients.ts';
import { type MailStore, makeMailStore } from '../../kit/mail-store.ts';
import { asSent, bodyHash, mailShapes, stuffDots, textMail } from '../../kit/mails.ts';
import { Mesh, type MeshAgent, type MeshSite } from '../../kit/mesh.ts';
import { connectPop3, fetchAllPop3 } from '../../kit/pop3-client.ts';
import { stopAllProcesses } from '../../kit/process.ts';
import { cleanZipMail, eicarInBody, infectedMails } from '../../kit/virus-mails.ts';
import { linesOf } from '../session-logs.ts';
import { type LateVerdicts, startLateVerdicts } from './late-verdicts.ts';
import { dropIntoMaildir } from './maildir-drop.ts';
import { Pop3Listener } from './pop3-listener.ts';

const MEBIBYTE = 1024 * 1024;
const LARGE_BYTES = 24_900_000;
/** What the scanners take over a message of that size. */
const SLOW_VERDICT_MS = 33_000;
/** The relay lets something be heard every 5 s; a busy machine may be late. */
const MAX_SILENCE_MS = 12_000;
const CLIENT_TIMEOUT_MS = 30_000;

const password = 'secret';
const users = Object.fromEntries(
  ['shapes', 'pipelined', 'infected', 'mixed', 'slow'].map((name) => [name, { address: `${name}@example.net`, password }]),
) as Record<'shapes' | 'pipelined' | 'infected' | 'mixed' | 'slow', { address: string; password: string }>;

let scanners: Clamd[];
let slowScanners: LateVerdicts[];
let store: MailStore;
let dovecot: Dovecot;
let mesh: Mesh;
let site: MeshSite;
let agent: MeshAgent;

beforeAll(async () => {
  [scanners, store, mesh] = await Promise.all([
    Promise.all([startClamd({ address: '127.0.0.1' }), startClamd({ address: '127.0.0.1' })]),
    makeMailStore(Object.values(users)),
    Mesh.create(),
  ]);
  dovecot = await startDovecot({ store });
  slowScanners = await Promise.all(
    scanners.map(({ tcpAddress }) =>
      startLateVerdicts({
        upstream: { host: '127.0.0.1', port: Number(tcpAddress.split(':').at(-1)) },
        fromBytes: LARGE_BYTES / 2,
        delayMs: SLOW_VERDICT_MS,
      }),
    ),
  );
  site = await mesh.addSite({
    name: 'tokyo-1',
    servers: [{ name: 's1', address: '127.0.40.1', roles: ['manager', 'auth', 'relay'] }],
    settings: {
      'relay.destinations.extraPorts': [dovecot.pop3Port],
      'relay.inspect': { clamd: slowScanners.map((scanner) => scanner.address), scanTimeout: '60s' },
    },
  });
  await site.start();
  mesh.publish([site]);
  agent = await mesh.startAgent({ mac: '02:00:5e:40:00:01', forward: [`127.0.0.1:${dovecot.pop3Port}/pop3`] });
});

afterAll(async () => {
  await mesh?.stop();
  await dovecot?.stop();
  await Promise.all((slowScanners ?? []).map((scanner) => scanner.stop()));
  await Promise.all((scanners ?? []).map((clamd) => clamd.stop()));
  await stopAllProcesses();
  await store?.remove();
});

interface InspectionStatus {
  readonly clean: number;
  readonly infected: number;
  readonly unscannable: number;
}

async function status(): Promise<InspectionStatus> {
  const { managers } = (await site.status()) as { managers: { table: { relays: { inspection: InspectionStatus }[] } }[] };
  return managers[0]!.table.relays[0]!.inspection;
}

const through = () => ({ host: '127.0.0.1', port: agent.ports[0]! });
const directly = () => ({ host: dovecot.address, port: dovecot.pop3Port });

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** The answer to RETR of a message that nobody touched. */
function retrAnswer(raw: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`+OK ${raw.length} octets\r\n`), stuffDots(raw), Buffer.from('.\r\n')]);
}

/** A login with the name and password in one line, as Thunderbird does it: AUTH PLAIN, a challenge, the answer. */
async function logIn(client: Pop3Listener, address: string): Promise<void> {
  await client.until(/^\+OK [^\n]*\n/u);
  client.write('CAPA\r\n');
  await client.until(/\r\n\.\r\n$/u);
  client.write('AUTH PLAIN\r\n');
  await client.until(/\r\n\+ ?\r\n$/u);
  client.write(`${Buffer.from(`\0${address}\0${password}`).toString('base64')}\r\n`);
  await client.until(/\r\n\+OK Logged in\.\r\n$/u);
}

// All at once: the slow one takes longer than all the others.
describe.concurrent('POP3 through agent and relay, from a real Dovecot', () => {
  test('scanners that take 33 s over 25 MB: the client hears something in time, and gets the message whole and once', async () => {
    const mail = textMail(1, LARGE_BYTES);
    await dropIntoMaildir(store, users.slow.address, [mail.raw]);
    const client = await Pop3Listener.open(through().port, CLIENT_TIMEOUT_MS);
    await logIn(client, users.slow.address);
    const before = client.bytes;
    const startMs = performance.now();
    client.write('RETR 1\r\n');
    await client.until(/\r\n\.\r\n$/u);
    const tookMs = Math.round(performance.now() - startMs);
    client.write('DELE 1\r\nQUIT\r\n');
    await client.over();
    const expected = Buffer.concat([retrAnswer(mail.raw), Buffer.from('+OK Marked to be deleted.\r\n+OK Logging out, messages deleted.\r\n')]);
    const received = client.received.subarray(before);
    expect(received.length).toBe(expected.length);
    expect(sha256(received)).toBe(sha256(expected));
    console.log(`pop3: 25 MB after ${tookMs} ms, longest silence ${Math.round(client.longestSilenceMs)} ms`);
    expect(tookMs).toBeGreaterThan(CLIENT_TIMEOUT_MS);
    expect(client.longestSilenceMs).toBeLessThan(MAX_SILENCE_MS);
    expect(await store.messages(users.slow.address)).toEqual([]);
  }, 120_000);

  test('clean mails of every shape, byte for byte, with fetchmail and with a client of one command at a time', async () => {
    const { address } = users.shapes;
    const mails = [...mailShapes(2, 3 * MEBIBYTE), cleanZipMail(2)];
    await dropIntoMaildir(store, address, mails.map(({ raw }) => raw));
    const fetched = await runFetchmail({ server: { address: '127.0.0.1', port: through().port }, user: address, password, keep: true });
    expect(fetched.code, fetched.transcript.slice(-2000)).toBe(0);
    expect(fetched.messages.map(bodyHash)).toEqual(mails.map(({ sha256: hash }) => hash));
    const client = await connectPop3({ ...through(), user: address, password });
    for (const [index, { name, raw }] of mails.entries()) {
      expect((await client.multiline(`RETR ${index + 1}`)).equals(raw), name).toBe(true);
      const head = await client.multiline(`TOP ${index + 1} 2`);
      expect(raw.subarray(0, head.length).equals(head), `TOP of ${name}`).toBe(true);
    }
    await client.quit();
    const removed = await fetchAllPop3({ ...through(), user: address, password, remove: true });
    expect(removed.map(sha256)).toEqual(mails.map(({ sha256: hash }) => hash));
    expect(await store.messages(address)).toEqual([]);
  });

  test('a client that pipelines everything, as Thunderbird does, hears what Dovecot itself says', async () => {
    const { address } = users.pipelined;
    const mails = mailShapes(3, MEBIBYTE);
    await dropIntoMaildir(store, address, mails.map(({ raw }) => raw));
    const numbers = mails.map((_, index) => index + 1);
    const listings = 'STAT\r\nLIST\r\nUIDL\r\n';
    const all = (verb: string): string => numbers.map((number) => `${verb} ${number}\r\n`).join('');
    const talk = async (port: number, end: string): Promise<Buffer> => {
      const client = await Pop3Listener.open(port);
      await logIn(client, address);
      const before = client.bytes;
      client.write(listings);
      client.write(`${all('RETR')}${all('DELE')}${end}`);
      await client.over();
      return client.received.subarray(before);
    };
    // Both times without an end to it, so that nothing is deleted; then in earnest.
    const fromDovecot = await talk(directly().port, 'RSET\r\nQUIT\r\n');
    const undone = await talk(through().port, 'RSET\r\nQUIT\r\n');
    expect(undone.length).toBe(fromDovecot.length);
    expect(sha256(undone)).toBe(sha256(fromDovecot));
    expect(await store.messages(address)).toHaveLength(mails.length);
    const done = await talk(through().port, 'QUIT\r\n');
    expect(done.toString('latin1').endsWith('+OK Logging out, messages deleted.\r\n')).toBe(true);
    expect(await store.messages(address)).toEqual([]);
  });

  test('infected mails: a notice in their place, and the originals stay where they are, byte for byte', async () => {
    const { address } = users.infected;
    const mails = infectedMails(4, MEBIBYTE);
    const raws = mails.map(({ raw }) => raw);
    await dropIntoMaildir(store, address, raws);
    const client = await connectPop3({ ...through(), user: address, password });
    const server = await connectPop3({ ...directly(), user: address, password });
    for (const [index, { name }] of mails.entries()) {
      const notice = await client.multiline(`RETR ${index + 1}`);
      expect(notice.toString('latin1'), name).toContain(EICAR_SIGNATURE);
      expect(notice.includes('STANDARD-ANTIVIRUS'), name).toBe(false);
      await expect(client.command(`DELE ${index + 1}`)).rejects.toThrow('-ERR');
    }
    for (const listing of ['LIST', 'UIDL']) expect(await client.multiline(listing)).toEqual(await server.multiline(listing));
    for (const command of ['STAT', 'NOOP']) expect(await client.command(command)).toBe(await server.command(command));
    await Promise.all([client.quit(), server.quit()]);
    expect((await store.messages(address)).map(asSent)).toEqual(raws);
    const again = await fetchAllPop3({ ...directly(), user: address, password });
    expect(again.map(sha256)).toEqual(raws.map(sha256));
  });

  test('fetchmail, which deletes what it fetches: the infected mail stays, and what it would have fetched behind it, too', async () => {
    const { address } = users.mixed;
    const [first, infected, second, third] = [textMail(50), eicarInBody(5), textMail(51, 200_000), textMail(52)];
    await dropIntoMaildir(store, address, [first, infected, second, third].map(({ raw }) => raw));
    const fetch = (keep: boolean) => runFetchmail({ server: { address: '127.0.0.1', port: through().port }, user: address, password, keep });
    const { messages, transcript } = await fetch(false);
    expect(transcript).toMatch(/POP3< -ERR [^\n]*withheld/u);
    expect(messages).toHaveLength(2);
    expect(bodyHash(messages[0]!)).toBe(first.sha256);
    expect(messages[1]!.toString('latin1')).toContain(EICAR_SIGNATURE);
    // It gives up at the first refusal of any DELE; what was in front of it is deleted, and nothing is lost.
    expect((await store.messages(address)).map(asSent)).toEqual([infected, second, third].map(({ raw }) => raw));
    const kept = await fetch(true);
    expect(kept.code, kept.transcript.slice(-2000)).toBe(0);
    expect(kept.messages.slice(1).map(bodyHash)).toEqual([second.sha256, third.sha256]);
    expect(kept.messages[0]!.includes('STANDARD-ANTIVIRUS')).toBe(false);
    expect((await store.messages(address)).map(asSent)).toEqual([infected, second, third].map(({ raw }) => raw));
  });
});

test('the numbers agree: every message was judged, and every virus has its line', async () => {
  const infected = linesOf(site.process('s1', 'relay'), 'infected');
  expect(new Set(infected.map(({ action, signature }) => `${String(action)} ${String(signature)}`))).toEqual(new Set([`replaced ${EICAR_SIGNATURE}`]));
  await expect.poll(() => status(), { timeout: 10_000 }).toMatchObject({ infected: infected.length, unscannable: 0, uninspected: 0 });
  expect(agent.events('direct')).toEqual([]);
});
