import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { startDovecot } from './dovecot.ts';
import type { Dovecot } from './dovecot.ts';
import { FETCHMAIL_NO_MAIL, runFetchmail, runMsmtp, runSwaks } from './mail-clients.ts';
import { makeMailStore } from './mail-store.ts';
import type { MailStore } from './mail-store.ts';
import { asSent, bodyHash, dotStuff, longLineMail, mailShapes, textMail, unterminatedMail } from './mails.ts';
import type { TestMail } from './mails.ts';
import { connectPop3, fetchAllPop3 } from './pop3-client.ts';
import { startPostfix } from './postfix.ts';
import type { Postfix } from './postfix.ts';
import { stopAllProcesses } from './process.ts';

const anna = { address: 'anna@example.net', password: 'secret "word"' };
const bert = { address: 'bert@example.net', password: 'another' };
const from = 'sender@example.com';
let store: MailStore;
let dovecot: Dovecot;
let postfix: Postfix;

beforeAll(async () => {
  store = await makeMailStore([anna, bert]);
  dovecot = await startDovecot({ store, sasl: true });
  postfix = await startPostfix({ store, saslSocket: dovecot.saslSocket });
});

afterEach(async () => {
  // Each test begins with empty mailboxes.
  for (const user of [anna, bert]) {
    await fetchAllPop3({ ...pop3(dovecot), user: user.address, password: user.password, remove: true });
  }
});

afterAll(async () => {
  await postfix.stop();
  await dovecot.stop();
  // Whatever a failed test left behind.
  await stopAllProcesses();
  await store.remove();
});

function pop3(server: Dovecot): { host: string; port: number } {
  return { host: server.address, port: server.pop3Port };
}

async function deliveredTo(address: string, count: number): Promise<Buffer[]> {
  const deadline = performance.now() + 20_000;
  for (;;) {
    const mails = await store.messages(address);
    if (mails.length >= count) return mails;
    if (performance.now() > deadline) throw new Error(`${mails.length} of ${count} delivered:\n${await postfix.log()}`);
    await sleep(10);
  }
}

/** Sends one mail by hand, so that every byte of its content is ours; returns the reply to the end of data. */
async function sendRaw(server: Postfix, content: Buffer): Promise<string> {
  const socket = connect(server.port, server.address);
  const commands = ['EHLO client.example.com', `MAIL FROM:<${from}>`, `RCPT TO:<${anna.address}>`, 'DATA'];
  const reply = async (): Promise<string> => {
    let text = '';
    while (!/^\d{3} .*\r\n$/m.test(text)) text += String((await once(socket, 'data'))[0]);
    return text;
  };
  await reply();
  for (const command of commands) {
    socket.write(`${command}\r\n`);
    await reply();
  }
  socket.write(content);
  const last = await reply();
  socket.destroy();
  return last;
}

test.each([
  ['swaks', runSwaks],
  ['msmtp', runMsmtp],
] as const)('%s -> Postfix -> Maildir -> Dovecot -> fetchmail, every shape byte for byte', async (_name, send) => {
  const shapes = mailShapes();
  for (const shape of shapes) {
    const result = await send({ server: postfix, from, to: [anna.address], raw: shape.raw });
    expect(result.code, result.transcript).toBe(0);
  }
  const hashes = shapes.map((shape) => shape.sha256).sort();
  expect((await deliveredTo(anna.address, shapes.length)).map(bodyHash).sort()).toEqual(hashes);
  const init = { server: { address: dovecot.address, port: dovecot.pop3Port }, user: anna.address, password: anna.password };
  const fetched = await runFetchmail(init);
  expect(fetched.code, fetched.transcript).toBe(0);
  expect(fetched.messages.map(bodyHash).sort()).toEqual(hashes);
  expect((await runFetchmail(init)).code).toBe(FETCHMAIL_NO_MAIL);
});

test('AUTH PLAIN and LOGIN over STARTTLS, implicit TLS and neither; a wrong password', async () => {
  const auth = { user: anna.address, password: anna.password };
  const smtps = { address: postfix.address, port: postfix.smtpsPort };
  const attempts = [
    { send: runSwaks, server: postfix, tls: 'starttls', mechanism: 'PLAIN' },
    { send: runSwaks, server: smtps, tls: 'implicit', mechanism: 'LOGIN' },
    { send: runMsmtp, server: postfix, tls: 'starttls', mechanism: 'LOGIN' },
    { send: runMsmtp, server: smtps, tls: 'implicit', mechanism: 'PLAIN' },
    { send: runSwaks, server: postfix, tls: 'none', mechanism: 'PLAIN' },
  ] as const;
  const mails: TestMail[] = [];
  for (const [index, { send, server, tls, mechanism }] of attempts.entries()) {
    const mail = textMail(index);
    mails.push(mail);
    const result = await send({ server, from, to: [bert.address], raw: mail.raw, tls, auth: { ...auth, mechanism } });
    expect(result.code, result.transcript).toBe(0);
  }
  expect((await deliveredTo(bert.address, mails.length)).map(bodyHash).sort()).toEqual(mails.map((mail) => mail.sha256).sort());
  const log = await postfix.log();
  expect(log.match(/sasl_method=(?:PLAIN|LOGIN), sasl_username=anna@example.net/g)?.length).toBe(attempts.length);
  expect(log.match(/TLS connection established/g)?.length).toBe(4);
  const refused = await runSwaks({ server: postfix, from, to: [bert.address], raw: textMail(9).raw, auth: { ...auth, password: 'x' } });
  expect(refused.code).not.toBe(0);
  expect(refused.transcript).toContain('535 5.7.8');
});

test('fetchmail over POP3 and IMAP, with and without TLS', async () => {
  const mail = textMail(5);
  await runSwaks({ server: postfix, from, to: [anna.address], raw: mail.raw });
  await deliveredTo(anna.address, 1);
  for (const protocol of ['POP3', 'IMAP'] as const) {
    const ports = protocol === 'POP3' ? [dovecot.pop3Port, dovecot.pop3sPort] : [dovecot.imapPort, dovecot.imapsPort];
    for (const [tls, port] of [['none', ports[0]!], ['starttls', ports[0]!], ['implicit', ports[1]!]] as const) {
      const server = { address: dovecot.address, port };
      const result = await runFetchmail({ server, protocol, tls, user: anna.address, password: anna.password, keep: true });
      expect(result.code, result.transcript).toBe(0);
      expect(result.messages.map(bodyHash)).toEqual([mail.sha256]);
    }
  }
  expect((await dovecot.log()).match(/Login: user=<anna@example.net>.*TLS/g)?.length).toBe(4);
});

test('a message of no bytes, one without an end of its last line, and a line of 100,000 bytes', async () => {
  expect(await sendRaw(postfix, dotStuff(Buffer.alloc(0)))).toContain('250 2.0.0');
  expect(asSent((await deliveredTo(anna.address, 1))[0]!).toString()).toBe('');
  const { raw } = unterminatedMail();
  await runSwaks({ server: postfix, from, to: [anna.address], raw });
  expect(asSent((await deliveredTo(anna.address, 2))[1]!)).toEqual(Buffer.concat([raw, Buffer.from('\r\n')]));
  const long = longLineMail(100_000);
  await runSwaks({ server: postfix, from, to: [anna.address], raw: long.raw });
  expect(bodyHash((await deliveredTo(anna.address, 3))[2]!)).toBe(long.sha256);
});

test('nothing but the users of the store is accepted, and nothing leaves', async () => {
  for (const to of ['nobody@example.net', 'anybody@example.org']) {
    const result = await runSwaks({ server: postfix, from, to: [to], raw: textMail(1).raw });
    expect(result.code).not.toBe(0);
    expect(result.transcript).toMatch(/<\*\* 5\d\d /);
  }
});

test('a Postfix that requires AUTH, and one that wants a PROXY header', async () => {
  const strict = await startPostfix({ store, saslSocket: dovecot.saslSocket, requireAuth: true, address: '127.0.9.25' });
  const refused = await runSwaks({ server: strict, from, to: [anna.address], raw: textMail(1).raw });
  expect(refused.transcript).toContain('554 5.7.1');
  await strict.stop();
  const proxied = await startPostfix({ store, proxyProtocol: true });
  const socket = connect(proxied.port, proxied.address);
  socket.write('PROXY TCP4 192.0.2.7 127.0.0.1 4711 25\r\n');
  expect(String((await once(socket, 'data'))[0])).toContain('220 ');
  socket.destroy();
  await expect.poll(() => proxied.log()).toContain('connect from unknown[192.0.2.7]');
  await proxied.stop();
});

test('a bare newline ends the data, or is refused, as the test wants it', async () => {
  const smuggling = Buffer.from('Subject: x\r\n\r\none\n.\ntwo\r\n.\r\n');
  const lenient = await startPostfix({ store, forbidBareNewline: 'no' });
  expect(await sendRaw(lenient, smuggling)).toContain('250 2.0.0');
  expect(asSent((await deliveredTo(anna.address, 1))[0]!).toString()).toBe('Subject: x\r\n\r\none\r\n');
  await lenient.stop();
  const normalizing = await startPostfix({ store, forbidBareNewline: 'normalize' });
  expect(await sendRaw(normalizing, smuggling)).toContain('250 2.0.0');
  expect(asSent((await deliveredTo(anna.address, 2))[1]!).toString()).toContain('two\r\n');
  await normalizing.stop();
  const rejecting = await startPostfix({ store, forbidBareNewline: 'reject' });
  expect(await sendRaw(rejecting, smuggling)).toContain('550 5.5.2');
  await rejecting.stop();
});

test('starts and stops fast, and leaves nothing behind', async () => {
  const startedAt = performance.now();
  const ownStore = await makeMailStore([anna]);
  const ownDovecot = await startDovecot({ store: ownStore, sasl: true });
  const ownPostfix = await startPostfix({ store: ownStore });
  const client = await connectPop3({ ...pop3(ownDovecot), user: anna.address, password: anna.password });
  await ownPostfix.stop();
  await ownDovecot.stop();
  await expect(client.command('NOOP')).rejects.toThrow(/closed|refused|ECONNRESET/);
  await ownStore.remove();
  expect(performance.now() - startedAt).toBeLessThan(12_000);
  expect([ownStore.path, ownDovecot.saslSocket].filter((path) => existsSync(path))).toEqual([]);
  const ports = [ownPostfix.port, ownPostfix.smtpsPort, ownDovecot.pop3Port, ownDovecot.imapsPort];
  // On a busy machine a login process may outlive its master by a moment, and the port with it.
  for (const port of ports) await expect.poll(() => connectionEnd(port), { timeout: 5000 }).toBe('ECONNREFUSED');
});

/** How a connection ends that says nothing. */
async function connectionEnd(port: number): Promise<string> {
  const socket = connect(port, '127.0.0.1').resume();
  let end = 'closed';
  socket.on('error', (error: NodeJS.ErrnoException) => (end = error.code ?? error.message));
  socket.setTimeout(500, () => socket.destroy());
  await new Promise<void>((resolve) => socket.once('close', () => resolve()));
  return end;
}
