import { createTransport } from 'nodemailer';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { EICAR_SIGNATURE } from '../../kit/clamd.ts';
import { type Dovecot, startDovecot } from '../../kit/dovecot.ts';
import { runMsmtp, runSwaks } from '../../kit/mail-clients.ts';
import { type MailStore, makeMailStore } from '../../kit/mail-store.ts';
import { bodyHash, dotStuff, mailShapes, textMail } from '../../kit/mails.ts';
import { type Postfix, startPostfix } from '../../kit/postfix.ts';
import { stopAllProcesses } from '../../kit/process.ts';
import { connectSmtpWire, type SmtpWire } from '../../kit/smtp-wire.ts';
import { cleanZipMail, eicarInBody, infectedMails } from '../../kit/virus-mails.ts';
import { runNodemailer } from '../nodemailer-client.ts';
import { beginConversation, beginMessage, DEVICE, MAIL_HOST, type Scene, startScene, writeInPieces } from './scene.ts';

const from = 'sender@example.com';
const password = 'secret "word"';
/** Nothing may ever arrive there. */
const INFECTED = 'infected@example.net';
const CLEAN = 'clean@example.net';
const PIECES = 'pieces@example.net';
const BY_HAND = 'by-hand@example.net';
const AUTH = 'auth@example.net';
const MANY = 'many@example.net';
const REFUSED = new RegExp(`^554 5\\.7\\.1 a virus was found: ${EICAR_SIGNATURE} \\(([0-9a-f]{8})\\)$`, 'mu');
const MAX_DELIVERY_MS = 30_000;

let store: MailStore;
let dovecot: Dovecot;
let postfix: Postfix;
let strict: Postfix;
let scene: Scene;

beforeAll(async () => {
  store = await makeMailStore([INFECTED, CLEAN, PIECES, BY_HAND, AUTH, MANY].map((address) => ({ address, password })));
  dovecot = await startDovecot({ store, sasl: true });
  [postfix, strict] = await Promise.all([
    startPostfix({ store }),
    startPostfix({ store, saslSocket: dovecot.saslSocket, requireAuth: true }),
  ]);
  scene = await startScene({ forward: [postfix.port, strict.port].map((port) => ({ port, protocol: 'smtp' })) });
});

afterAll(async () => {
  await scene?.stop();
  await Promise.all([postfix, strict].map((server) => server?.stop()));
  await dovecot?.stop();
  await store?.remove();
  await stopAllProcesses();
});

async function delivered(address: string, count: number): Promise<string[]> {
  await expect.poll(async () => (await store.messages(address)).length, { timeout: MAX_DELIVERY_MS }).toBe(count);
  return (await store.messages(address)).map(bodyHash).sort();
}

async function countInLog(server: Postfix, pattern: RegExp): Promise<number> {
  return (await server.log()).match(pattern)?.length ?? 0;
}

/** Conversations in which Postfix was in the middle of a message when they broke off. */
const lostInData = (server = postfix): Promise<number> => countInLog(server, /lost connection after DATA/g);

const CLIENTS = [
  ['nodemailer', runNodemailer],
  ['swaks', runSwaks],
  ['msmtp', runMsmtp],
] as const;

test('EICAR in every shape of mail is refused with its name, by three clients; Postfix never sees the end', async () => {
  const before = { lines: scene.relayLines('infected').length, lost: await lostInData() };
  const mails = infectedMails();
  await Promise.all(
    CLIENTS.map(async ([name, send]) => {
      for (const mail of name === 'nodemailer' ? mails : mails.slice(1, 4)) {
        const { code, transcript } = await send({ server: scene.through(postfix.port), from, to: [INFECTED], raw: mail.raw });
        expect(code, `${name}, ${mail.name}`).not.toBe(0);
        expect(transcript, `${name}, ${mail.name}`).toContain(`554 5.7.1 a virus was found: ${EICAR_SIGNATURE} (`);
      }
    }),
  );
  const count = mails.length + 2 * 3;
  await expect.poll(() => lostInData()).toBe(before.lost + count);
  const lines = scene.relayLines('infected').slice(before.lines);
  expect(lines).toHaveLength(count);
  for (const line of lines)
    expect(line).toMatchObject({ device: DEVICE, signature: EICAR_SIGNATURE, action: 'rejected', destination: `${MAIL_HOST}:${postfix.port}`, protocol: 'smtp' });
  expect(await store.messages(INFECTED)).toEqual([]);
});

/** Positions from some bytes before the end of data to behind it, one cut each; and all of them at once. */
function cutsAround(content: Buffer): number[][] {
  const positions = Array.from({ length: 14 }, (_, index) => content.length - 13 + index);
  return [...positions.map((position) => [position]), positions];
}

const PAUSE_MS = 15;

test('the end of data in pieces, cut at every byte around it: EICAR is refused, a clean mail is delivered', async () => {
  const lost = await lostInData();
  const mail = eicarInBody(7);
  const cuts = cutsAround(dotStuff(mail.raw));
  await Promise.all(
    cuts.map(async (positions) => {
      const wire = await beginConversation(scene.target(postfix.port));
      await beginMessage(wire, from, INFECTED);
      await writeInPieces(wire, dotStuff(mail.raw), positions, PAUSE_MS);
      const reply = await wire.reply();
      expect(reply, String(positions)).toMatch(REFUSED);
      expect(await wire.command('QUIT')).toMatch(/^221 2\.0\.0 /);
      expect(await wire.ended).toBe('end');
      wire.close();
      const infected = await scene.relayLineOf('infected', wire);
      expect(infected).toMatchObject({ device: DEVICE, signature: EICAR_SIGNATURE, action: 'rejected', bytes: mail.raw.length });
      expect(String(infected['session']).slice(0, 8)).toBe(REFUSED.exec(reply)?.[1]);
      expect(await scene.relayLineOf('session', wire)).toMatchObject({ infected: 1, clean: 0, signatures: [EICAR_SIGNATURE], outcome: 'completed' });
    }),
  );
  await expect.poll(() => lostInData()).toBe(lost + cuts.length);

  const clean = textMail(8);
  await Promise.all(
    cutsAround(dotStuff(clean.raw)).map(async (positions) => {
      const wire = await beginConversation(scene.target(postfix.port));
      await beginMessage(wire, from, PIECES);
      await writeInPieces(wire, dotStuff(clean.raw), positions, PAUSE_MS);
      expect(await wire.reply(), String(positions)).toMatch(/^250 2\.0\.0 Ok: queued/);
      expect(await wire.command('QUIT')).toMatch(/^221 /);
      wire.close();
    }),
  );
  expect(await delivered(PIECES, cuts.length)).toEqual(cuts.map(() => clean.sha256));
  expect(await store.messages(INFECTED)).toEqual([]);
});

test('a clean mail of every shape passes byte for byte, by three clients; the biggest is past maxScanBytes and counted', async () => {
  const hashes: string[] = [];
  await Promise.all(
    CLIENTS.map(async ([name, send], index) => {
      for (const shape of [...mailShapes(index + 1), cleanZipMail(index)]) {
        const { code, transcript } = await send({ server: scene.through(postfix.port), from, to: [CLEAN], raw: shape.raw });
        expect(code, `${name}, ${shape.name}: ${transcript}`).toBe(0);
        hashes.push(shape.sha256);
      }
    }),
  );
  expect(await delivered(CLEAN, hashes.length)).toEqual(hashes.sort());
  expect(scene.relayLines('unscannable')).toHaveLength(CLIENTS.length);
  for (const line of scene.relayLines('unscannable')) expect(line).toMatchObject({ device: DEVICE, cause: 'too_big', action: 'delivered' });
  await scene.expectMetric('sekisho_relay_unscannable_messages_total{cause="too_big"}', CLIENTS.length);
});

/** All lines of the answer to EHLO but the name, without their codes. */
async function offered(wire: SmtpWire): Promise<string[]> {
  await wire.reply();
  const from = wire.received.length;
  await wire.command('EHLO client.example.com');
  return wire.received.slice(from).trimEnd().split('\r\n').slice(1).map((line) => line.slice(4));
}

test('what the destination offers is offered, but for CHUNKING; BDAT is refused', async () => {
  const direct = await connectSmtpWire({ host: '127.0.0.1', port: strict.port });
  const inspected = await connectSmtpWire(scene.target(strict.port));
  const all = await offered(direct);
  expect(all).toContain('CHUNKING');
  expect(all).toEqual(expect.arrayContaining(['8BITMIME', 'DSN', 'PIPELINING', expect.stringMatching(/^SIZE \d+$/), expect.stringMatching(/^AUTH .*PLAIN/)]));
  expect(await offered(inspected)).toEqual(all.filter((line) => line !== 'CHUNKING'));
  expect(await inspected.command('BDAT 10 LAST')).toMatch(/^502 5\.5\.1 /);
  expect(await inspected.ended).toBe('end');
  for (const wire of [direct, inspected]) wire.close();
  expect(await scene.relayLineOf('session', inspected)).toMatchObject({ violation: 'unoffered_command' });
});

test('several transactions over one connection, pipelined, with RSET between and ESMTP parameters', async () => {
  const wire = await beginConversation(scene.target(postfix.port));
  const mails = Array.from({ length: 4 }, (_, index) => textMail(20 + index, 3000));
  for (const mail of mails) {
    // One that is begun and given up, and one that is sent; all commands in one segment.
    const lines = [`MAIL FROM:<${from}>`, `RCPT TO:<${INFECTED}>`, 'RSET', `MAIL FROM:<${from}> BODY=8BITMIME SIZE=${mail.raw.length} RET=HDRS`, `RCPT TO:<${BY_HAND}> NOTIFY=NEVER`, 'DATA'];
    wire.write(Buffer.from(lines.map((line) => `${line}\r\n`).join('')));
    for (const line of lines) expect(await wire.reply(), line).toMatch(line === 'DATA' ? /^354 / : /^250 /);
    // The client's next command may stand behind its final dot (RFC 2920 3.1).
    wire.write(Buffer.concat([dotStuff(mail.raw), Buffer.from('NOOP\r\n')]));
    expect(await wire.reply()).toMatch(/^250 2\.0\.0 Ok: queued/);
    expect(await wire.reply()).toMatch(/^250 /);
  }
  await beginMessage(wire, from, BY_HAND);
  wire.write(Buffer.concat([dotStuff(eicarInBody(30).raw), Buffer.from(`MAIL FROM:<${from}>\r\n`)]));
  expect(await wire.reply()).toMatch(REFUSED);
  expect(await wire.reply()).toMatch(/^421 4\.3\.0 /);
  expect(await wire.ended).toBe('end');
  wire.close();
  expect(await delivered(BY_HAND, mails.length)).toEqual(mails.map(({ sha256 }) => sha256).sort());
  expect(await scene.relayLineOf('session', wire)).toMatchObject({ clean: mails.length, infected: 1, unscannable: 0 });
});

test('after AUTH, by three clients: clean mail passes, EICAR does not, and no log has the password', async () => {
  const lost = await lostInData(strict);
  const hashes = [];
  for (const [index, [name, send]] of CLIENTS.entries()) {
    const mail = textMail(40 + index);
    const common = { server: scene.through(strict.port), from, to: [AUTH] };
    const auth = { user: AUTH, password, mechanism: index === 0 ? 'LOGIN' : 'PLAIN' } as const;
    const sent = await send({ ...common, auth, raw: mail.raw });
    expect(sent.code, `${name}: ${sent.transcript}`).toBe(0);
    hashes.push(mail.sha256);
    const refused = await send({ ...common, auth, raw: eicarInBody(50 + index).raw });
    expect(refused.code, name).not.toBe(0);
    expect(refused.transcript).toContain(`554 5.7.1 a virus was found: ${EICAR_SIGNATURE}`);
    const unknown = await send({ ...common, auth: { ...auth, password: 'wrong' }, raw: mail.raw });
    expect(unknown.transcript).toContain('535');
  }
  expect(await delivered(AUTH, hashes.length)).toEqual(hashes.sort());
  await expect.poll(() => lostInData(strict)).toBe(lost + CLIENTS.length);
  for (const secret of [password, Buffer.from(password).toString('base64'), Buffer.from(`\0${AUTH}\0${password}`).toString('base64')])
    for (const output of [scene.relayOutput, scene.agent.process.output]) expect(output).not.toContain(secret);
});

test('a hundred mails over one connection', async () => {
  const transport = createTransport({ ...scene.target(postfix.port), pool: true, maxConnections: 1, maxMessages: Infinity, ignoreTLS: true });
  const mails = Array.from({ length: 100 }, (_, index) => textMail(1000 + index, 2000));
  for (const { raw } of mails) await transport.sendMail({ envelope: { from, to: [MANY] }, raw });
  transport.close();
  expect(await delivered(MANY, mails.length)).toEqual(mails.map(({ sha256 }) => sha256).sort());
  await expect.poll(() => scene.relayLines('session').some(({ clean }) => clean === mails.length), { timeout: 10_000 }).toBe(true);
});

test('all sessions: the lines of agent and relay agree, what was refused was never delivered, and the counts are right', async () => {
  await scene.expectLinesToAgree();
  expect(await store.messages(INFECTED)).toEqual([]);
  const lines = scene.relayLines('session');
  const sum = (key: string): number => lines.reduce((total, line) => total + Number(line[key] ?? 0), 0);
  expect(scene.relayLines('infected')).toHaveLength(sum('infected'));
  for (const verdict of ['clean', 'infected', 'unscannable'])
    await scene.expectMetric(`sekisho_relay_messages_total{protocol="smtp",verdict="${verdict}"}`, sum(verdict));
  // Every message that was accepted, and no other one, is in a mailbox.
  const boxes = await Promise.all(store.users.map(async ({ address }) => (await store.messages(address)).length));
  expect(boxes.reduce((total, box) => total + box, 0)).toBe(sum('clean') + sum('unscannable'));
  expect(await lostInData() + (await lostInData(strict))).toBe(sum('infected'));
});
