import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EICAR_SIGNATURE } from '../../kit/clamd.ts';
import { type Dovecot, startDovecot } from '../../kit/dovecot.ts';
import { runFetchmail } from '../../kit/mail-clients.ts';
import { type MailStore, makeMailStore } from '../../kit/mail-store.ts';
import { bodyHash, dotStuff, textMail } from '../../kit/mails.ts';
import { type Postfix, startPostfix } from '../../kit/postfix.ts';
import { stopAllProcesses } from '../../kit/process.ts';
import { connectSmtpWire, type SmtpWire } from '../../kit/smtp-wire.ts';
import { eicarInBody } from '../../kit/virus-mails.ts';
import { openConversation } from '../greeting.ts';
import { runNodemailer } from '../nodemailer-client.ts';
import { type LineServer, startLineServer } from './line-server.ts';
import { beginConversation, beginMessage, DEVICE, type Scene, startScene } from './scene.ts';

const from = 'sender@example.com';
const password = 'secret';
const BLIND = 'blind@example.net';
const SEEN = 'seen@example.net';
const GO_AHEAD = { smtp: '220 2.0.0 go ahead\r\n', pop3: '+OK begin TLS\r\n' };

let store: MailStore;
let dovecot: Dovecot;
let postfix: Postfix;
/** What it says to STARTTLS or STLS; undefined: nothing. */
let answerToTls: string | undefined;
let smtpServer: LineServer;
let pop3Server: LineServer;
let scene: Scene;

beforeAll(async () => {
  store = await makeMailStore([BLIND, SEEN].map((address) => ({ address, password })));
  [dovecot, postfix, smtpServer, pop3Server] = await Promise.all([
    startDovecot({ store }),
    startPostfix({ store }),
    startLineServer({
      greeting: '220 scripted.test\r\n',
      script: (line) => (line === 'STARTTLS' ? answerToTls : line.startsWith('EHLO') ? '250-scripted.test\r\n250 STARTTLS\r\n' : '250 2.0.0 yes\r\n'),
    }),
    startLineServer({
      greeting: '+OK scripted.test\r\n',
      script: (line) => (line === 'STLS' ? answerToTls : line === 'CAPA' ? '+OK\r\nSTLS\r\n.\r\n' : '+OK yes\r\n'),
    }),
  ]);
  const smtp = [postfix, smtpServer].map(({ port }) => ({ port, protocol: 'smtp' }));
  const pop3 = [dovecot.pop3Port, pop3Server.port].map((port) => ({ port, protocol: 'pop3' }));
  scene = await startScene({ forward: [...smtp, ...pop3] });
});

afterAll(async () => {
  await scene?.stop();
  await Promise.all([smtpServer, pop3Server, dovecot, postfix].map((server) => server?.stop()));
  await store?.remove();
  await stopAllProcesses();
});

/** Of an answer of several lines, all up to the final dot. */
async function capabilities(wire: SmtpWire): Promise<string[]> {
  const lines: string[] = [await wire.command('CAPA')];
  while (lines.at(-1) !== '.') lines.push(await wire.reply());
  return lines;
}

async function greeted(port: number): Promise<SmtpWire> {
  const wire = await connectSmtpWire(scene.target(port));
  expect(await wire.reply()).toMatch(/^(?:220|\+OK) /);
  return wire;
}

describe.each([
  {
    protocol: 'smtp',
    hello: 'EHLO client.example.com',
    command: 'STARTTLS',
    smuggled: 'MAIL FROM:<smuggled@example.com>\r\n',
    injected: '250 2.0.0 injected\r\n',
    refusal: /^554 5\.7\.0 nothing may follow STARTTLS /,
  },
  {
    protocol: 'pop3',
    hello: 'NOOP',
    command: 'STLS',
    smuggled: 'USER smuggled\r\n',
    injected: '+OK injected\r\n',
    refusal: /^-ERR \[SYS\/PERM\] protocol error /,
  },
] as const)('plaintext behind $command', ({ protocol, hello, command, smuggled, injected, refusal }) => {
  const server = (): LineServer => (protocol === 'smtp' ? smtpServer : pop3Server);

  async function expectViolation(wire: SmtpWire, by: 'client' | 'server'): Promise<void> {
    expect(await wire.ended).toBe('end');
    wire.close();
    expect(await scene.relayLineOf('protocol_violation', wire)).toMatchObject({ device: DEVICE, protocol, code: 'starttls_injection', by });
    expect(await scene.relayLineOf('session', wire)).toMatchObject({ violation: 'starttls_injection', outcome: 'violation' });
  }

  test.each([smuggled, smuggled.slice(0, 1), '\r\n'])('by the client, in the same segment: %j', async (bytes) => {
    answerToTls = undefined;
    const wire = await greeted(server().port);
    await wire.command(hello);
    wire.write(Buffer.from(`${command}\r\n${bytes}`));
    expect(await wire.reply()).toMatch(refusal);
    await expectViolation(wire, 'client');
    expect(server().latest.received).toMatch(new RegExp(`^${hello}\r\n(?:${command}\r\n)?$`));
  });

  test('by the client, in a segment of its own before the go-ahead', async () => {
    answerToTls = undefined;
    const wire = await greeted(server().port);
    await wire.command(hello);
    wire.write(Buffer.from(`${command}\r\n`));
    await expect.poll(() => server().latest.received).toBe(`${hello}\r\n${command}\r\n`);
    wire.write(Buffer.from(smuggled));
    expect(await wire.reply()).toMatch(refusal);
    await expectViolation(wire, 'client');
    expect(server().latest.received).toBe(`${hello}\r\n${command}\r\n`);
  });

  test.each(['the same segment', 'a segment of its own'])('by the server, in %s', async (segment) => {
    const isSame = segment === 'the same segment';
    answerToTls = `${GO_AHEAD[protocol]}${isSame ? injected : ''}`;
    const wire = await greeted(server().port);
    await wire.command(hello);
    const before = wire.received.length;
    expect(`${await wire.command(command)}\r\n`).toBe(GO_AHEAD[protocol]);
    if (!isSame) server().latest.say(injected);
    await expectViolation(wire, 'server');
    expect(wire.received.slice(before)).toBe(GO_AHEAD[protocol]);
  });
});

test('pass: what is behind STARTTLS and STLS is not inspected, and counted as that', async () => {
  const mail = eicarInBody(1);
  const sent = await runNodemailer({ server: scene.through(postfix.port), from, to: [BLIND], raw: mail.raw, tls: 'starttls' });
  expect(sent.code, sent.transcript).toBe(0);
  await expect.poll(async () => (await store.messages(BLIND)).map(bodyHash)).toEqual([mail.sha256]);
  const fetched = await runFetchmail({ server: scene.through(dovecot.pop3Port), tls: 'starttls', user: BLIND, password });
  expect(fetched.code, fetched.transcript).toBe(0);
  expect(fetched.messages.map(bodyHash)).toEqual([mail.sha256]);

  const blind = () => scene.relayLines('session').filter(({ uninspected, violation }) => uninspected === 'starttls' && violation === undefined);
  await expect.poll(() => blind().map(({ protocol }) => protocol)).toEqual(['smtp', 'pop3']);
  for (const line of blind()) expect(line).not.toHaveProperty('clean');
  expect(scene.relayLines('infected')).toEqual([]);
  // With those into which a server has injected something: two of each protocol.
  await scene.expectMetric('sekisho_relay_uninspected_sessions_total{cause="starttls"}', 2 + 4);
  await scene.expectMetric('sekisho_relay_protocol_violations_total{code="starttls_injection"}', 2 * 6);
  await scene.expectLinesToAgree();
});

describe.each([
  { policy: 'hide', smtp: /^502 5\.5\.1 STARTTLS is not supported /, pop3: /^-ERR \[SYS\/PERM\] unknown command / },
  { policy: 'refuse', smtp: /^554 5\.7\.0 STARTTLS is not allowed here, go on without it /, pop3: /^-ERR \[SYS\/PERM\] TLS is not allowed here/ },
])('$policy', ({ policy, smtp, pop3 }) => {
  const isOffered = policy === 'refuse';

  beforeAll(() => scene.restartRelay({ starttls: policy }));

  test('SMTP: the server never hears STARTTLS, and mail goes on without it, inspected', async () => {
    const wire = await openConversation(scene.target(postfix.port));
    await wire.command('EHLO client.example.com');
    expect(/^250[- ]STARTTLS\r$/mu.test(wire.received)).toBe(isOffered);
    expect(await wire.command('STARTTLS')).toMatch(smtp);
    const mail = textMail(policy.length);
    await beginMessage(wire, from, SEEN);
    wire.write(dotStuff(mail.raw));
    expect(await wire.reply()).toMatch(/^250 /);
    await beginMessage(wire, from, SEEN);
    wire.write(dotStuff(eicarInBody(2).raw));
    expect(await wire.reply()).toContain(`554 5.7.1 a virus was found: ${EICAR_SIGNATURE}`);
    expect(await wire.command('QUIT')).toMatch(/^221 /);
    wire.close();
    await expect.poll(async () => (await store.messages(SEEN)).map(bodyHash)).toContain(mail.sha256);
    const line = await scene.relayLineOf('session', wire);
    expect(line).toMatchObject({ clean: 1, infected: 1, outcome: 'completed' });
    expect(line).not.toHaveProperty('uninspected');

    const scripted = await beginConversation(scene.target(smtpServer.port));
    // Pipelined, which STARTTLS may not be: it is a command like any other that is not there.
    scripted.write(Buffer.from('STARTTLS\r\nNOOP\r\n'));
    expect(await scripted.reply()).toMatch(smtp);
    expect(await scripted.reply()).toMatch(/^250 /);
    scripted.close();
    expect(smtpServer.latest.received).toBe('EHLO client.example.com\r\nNOOP\r\n');

    const { code, transcript } = await runNodemailer({ server: scene.through(postfix.port), from, to: [SEEN], raw: mail.raw, tls: 'starttls' });
    expect(code, transcript).not.toBe(0);
  });

  test('POP3: the server never hears STLS, and mail is fetched without it, inspected', async () => {
    const wire = await greeted(dovecot.pop3Port);
    expect((await capabilities(wire)).includes('STLS')).toBe(isOffered);
    expect(await wire.command('STLS')).toMatch(pop3);
    for (const line of [`USER ${SEEN}`, `PASS ${password}`, 'RETR 1']) expect(await wire.command(line)).toMatch(/^\+OK/);
    while ((await wire.reply()) !== '.');
    expect(await wire.command('QUIT')).toMatch(/^\+OK/);
    wire.close();
    const line = await scene.relayLineOf('session', wire);
    expect(line).toMatchObject({ clean: 1, outcome: 'completed' });
    expect(line).not.toHaveProperty('uninspected');

    const scripted = await greeted(pop3Server.port);
    scripted.write(Buffer.from('STLS\r\nNOOP\r\n'));
    expect(await scripted.reply()).toMatch(pop3);
    expect(await scripted.reply()).toMatch(/^\+OK/);
    scripted.close();
    expect(pop3Server.latest.received).toBe('NOOP\r\n');
  });
});
