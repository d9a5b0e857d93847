import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createTransport } from 'nodemailer';
import { afterEach, expect, test } from 'vitest';
import { Mailbox } from './mailbox.ts';
import { mailShapes, sha256, textMail, unterminatedMail } from './mails.ts';
import { startSmtpLedger } from './smtp-ledger.ts';
import type { SmtpLedger, SmtpLedgerInit } from './smtp-ledger.ts';
import { destinationTls } from './tls.ts';

const running: SmtpLedger[] = [];

async function start(init?: SmtpLedgerInit): Promise<SmtpLedger> {
  const ledger = await startSmtpLedger(init);
  running.push(ledger);
  return ledger;
}

interface SendOptions {
  secure?: boolean;
  requireTLS?: boolean;
  auth?: { user: string; pass: string };
}

async function send(ledger: SmtpLedger, raw: Buffer, options: SendOptions = {}): Promise<void> {
  const tls = { ca: destinationTls().cert, servername: 'mail.example.com' };
  const transport = createTransport({ host: ledger.address, port: ledger.port, tls, ...options });
  await transport.sendMail({ envelope: { from: 'a@example.com', to: ['b@example.net'] }, raw });
  transport.close();
}

afterEach(async () => {
  for (const ledger of running.splice(0)) await ledger.stop();
});

test('stores every shape of message byte for byte, and hands it to the mailbox', async () => {
  const mailbox = new Mailbox();
  const ledger = await start({ mailbox });
  const shapes = mailShapes();
  for (const shape of shapes) await send(ledger, shape.raw);
  expect(ledger.hashes).toEqual(shapes.map((shape) => shape.sha256));
  expect(ledger.messages[0]).toMatchObject({ from: 'a@example.com', to: ['b@example.net'], secure: false, user: undefined });
  expect(mailbox.list().map((mail) => sha256(mail.raw))).toEqual(ledger.hashes);
  expect(mailbox.list().at(-1)!.raw.length).toBeGreaterThan(25 * 1024 * 1024);
});

test('a message without an end of its last line gets one', async () => {
  const ledger = await start();
  const { raw } = unterminatedMail();
  await send(ledger, raw);
  expect(ledger.messages[0]!.raw).toEqual(Buffer.concat([raw, Buffer.from('\r\n')]));
});

test('STARTTLS and AUTH; implicit TLS; a wrong password', async () => {
  const users = { anna: 'secret word' };
  const auth = { user: 'anna', pass: 'secret word' };
  const starttls = await start({ tls: 'starttls', users, requireAuth: true });
  await send(starttls, textMail(1).raw, { requireTLS: true, auth });
  expect(starttls.messages[0]).toMatchObject({ secure: true, user: 'anna', sha256: textMail(1).sha256 });
  await expect(send(starttls, textMail(2).raw, { auth: { user: 'anna', pass: 'x' } })).rejects.toMatchObject({ responseCode: 535 });
  await expect(send(starttls, textMail(2).raw)).rejects.toMatchObject({ responseCode: 530 });
  const implicit = await start({ tls: 'implicit', users });
  await send(implicit, textMail(3).raw, { secure: true, auth });
  expect(implicit.messages[0]).toMatchObject({ secure: true, user: 'anna', sha256: textMail(3).sha256 });
  expect(starttls.messages.length).toBe(1);
});

test('refuses where it is told to, and stores nothing then', async () => {
  const ledger = await start();
  for (const at of ['greeting', 'mail', 'rcpt', 'final-reply'] as const) {
    ledger.behaviour.refuse = { at, code: 451, text: `4.3.0 refused at ${at}` };
    await expect(send(ledger, textMail(1).raw)).rejects.toThrow(`4.3.0 refused at ${at}`);
  }
  ledger.behaviour.refuse = undefined;
  await send(ledger, textMail(1).raw);
  expect(ledger.messages.length).toBe(1);
  expect(ledger.connections).toBe(5);
});

test('delays the greeting and the final reply; the message is stored before its 250', async () => {
  const ledger = await start();
  ledger.behaviour.greetingDelayMs = 150;
  ledger.behaviour.finalReplyDelayMs = 400;
  const startedAt = performance.now();
  const sent = send(ledger, textMail(1).raw).then(() => performance.now() - startedAt);
  await ledger.waitForMessages(1);
  const storedAfterMs = performance.now() - startedAt;
  const sentAfterMs = await sent;
  expect(storedAfterMs).toBeGreaterThanOrEqual(149);
  expect(sentAfterMs).toBeGreaterThanOrEqual(storedAfterMs + 200);
});

test('a client that vanishes in the middle of DATA leaves nothing; pipelined commands are answered', async () => {
  const ledger = await start();
  const socket = connect(ledger.port, ledger.address);
  let transcript = '';
  socket.on('data', (chunk: Buffer) => {
    transcript += chunk.toString();
  });
  await expect.poll(() => transcript).toContain('220 ');
  socket.write('EHLO x\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n');
  await expect.poll(() => transcript).toContain('354 ');
  expect(transcript).toContain('250-PIPELINING\r\n');
  socket.write('Subject: half\r\n\r\nhalf a mess');
  await sleep(50);
  socket.resetAndDestroy();
  await expect.poll(() => ledger.openConnections).toBe(0);
  await expect(ledger.waitForMessages(1, 50)).rejects.toThrow('0 of 1 messages');
});
