import { scryptSync } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterEach, describe, expect, test } from 'vitest';
import { connectSmtpWire, type SmtpWire } from '../../../../test/kit/smtp-wire.ts';
import { destinationTls } from '../../../../test/kit/tls.ts';
import type { NoticeSettings } from './settings.ts';
import { notice, send, serverUnderTest, type UnderTest } from './testing/notice-server-under-test.ts';
import { parseUsers } from './users.ts';

const { cert, key } = destinationTls();
const tls = { certPem: cert, keyPem: key };
const PASSWORD = 'correct horse: päss';
const unpadded = (bytes: Buffer): string => bytes.toString('base64').replaceAll('=', '');
const salt = Buffer.from('0123456789abcdef');
const users = parseUsers(`gw:$scrypt$ln=12,r=8,p=1$${unpadded(salt)}$${unpadded(scryptSync(PASSWORD, salt, 32, { cost: 4096 }))}`);

let under: UnderTest;
const start = async (init: Partial<NoticeSettings>): Promise<void> => {
  under = await serverUnderTest({ allow: [], ...init });
};
const connected = async (localAddress = '127.0.0.1'): Promise<SmtpWire> => connectSmtpWire({ host: '127.0.0.1', port: under.server.port, localAddress });
const greeted = async (localAddress?: string): Promise<SmtpWire> => {
  const wire = await connected(localAddress);
  expect(await wire.reply()).toMatch(/^220 /u);
  await wire.command('EHLO x');
  return wire;
};
const plain = (name: string, password: string): string => Buffer.from(`\0${name}\0${password}`).toString('base64');
afterEach(() => under.stop());

test('an address that is not listed is turned away before it can say anything', async () => {
  await start({ allow: ['127.0.0.9/32', '2001:db8::/32'] });
  const wire = await connected();
  expect(await wire.reply()).toBe('554 5.7.1 sekisho takes no mail from you');
  expect(await wire.ended).toBe('end');
  wire.close();
  expect(await send(notice('amavis'), { port: under.server.port })).toMatch(/^554 /u);
  expect(await send(notice('amavis'), { port: under.server.port, localAddress: '127.0.0.9' })).toMatch(/^250 /u);
  expect([under.recorded.length, await under.count('refused_source')]).toEqual([1, 2]);
  // One line for the flood, not one for each.
  expect(under.logged.filter(({ event }) => event === 'notice_refused_source')).toHaveLength(1);
});

describe('with users', () => {
  test('a gateway logs in over TLS, with either mechanism, and brings notices', async () => {
    await start({ users, tls });
    const auth = { user: 'gw', pass: PASSWORD };
    expect(await send(notice('amavis'), { port: under.server.port, auth, ca: cert })).toMatch(/^250 /u);
    const wire = await greeted();
    expect(wire.received).toMatch(/250[- ]STARTTLS\r\n/u);
    expect(wire.received).toMatch(/AUTH PLAIN LOGIN\r\n/u);
    expect(await wire.command('AUTH LOGIN')).toBe('334 VXNlcm5hbWU6');
    await wire.command(Buffer.from('gw').toString('base64'));
    expect(await wire.command(Buffer.from(PASSWORD).toString('base64'))).toMatch(/^235 /u);
    expect(await wire.command('MAIL FROM:<>')).toMatch(/^250 /u);
    wire.close();
    expect(under.recorded).toHaveLength(1);
    expect(JSON.stringify(under.logged)).not.toContain('correct horse');
  });

  test('who has not logged in, or not with the right password, brings nothing', async () => {
    await start({ users, tls });
    const wire = await greeted();
    expect(await wire.command('MAIL FROM:<>')).toBe('554 5.7.1 log in first');
    for (const [name, password] of [['gw', 'wrong'], ['gw', ''], ['nobody', PASSWORD], ['', ''], ['gw', `${PASSWORD}${'x'.repeat(300)}`]] as const)
      expect(await wire.command(`AUTH PLAIN ${plain(name, password)}`)).toBe('535 5.7.8 wrong name or password');
    expect(await wire.command('MAIL FROM:<>')).toMatch(/^554 /u);
    expect([under.recorded, await under.count('refused_auth'), await under.count('refused_source')]).toEqual([[], 5, 2]);
    wire.close();
  });

  test('after five wrong passwords in a minute no password is looked at, not the right one either', async () => {
    await start({ users });
    const wire = await greeted();
    for (let count = 0; count < 5; count += 1) await wire.command(`AUTH PLAIN ${plain('gw', 'wrong')}`);
    expect(await wire.command(`AUTH PLAIN ${plain('gw', PASSWORD)}`)).toMatch(/^421 4\.7\.0 /u);
    await wire.ended;
    wire.close();
    const other = await greeted('127.0.0.2');
    expect(await other.command(`AUTH PLAIN ${plain('gw', PASSWORD)}`)).toMatch(/^235 /u);
    other.close();
    under.skewMs = 20_000;
    const again = await greeted();
    expect(await again.command(`AUTH PLAIN ${plain('gw', PASSWORD)}`)).toMatch(/^235 /u);
    again.close();
  });

  test('a listed address need not log in', async () => {
    await start({ users, allow: ['127.0.0.1/32'] });
    expect(await send(notice('amavis'), { port: under.server.port })).toMatch(/^250 /u);
  });

  test('strangers have few connections, and leave room for listed ones', async () => {
    await start({ users, allow: ['127.0.0.9/32'] });
    const wires = await Promise.all(Array.from({ length: 7 }, () => connected()));
    const replies = await Promise.all(wires.map((wire) => wire.reply()));
    expect(replies.map((reply) => reply.slice(0, 3)).sort()).toEqual(['220', '220', '220', '220', '220', '421', '421']);
    (await connected('127.0.0.9')).close();
    for (const wire of wires) wire.close();
    expect(await under.count('refused_rate')).toBe(2);
    await expect.poll(async () => {
      const wire = await connected();
      const reply = await wire.reply();
      wire.close();
      return reply;
    }).toMatch(/^220 /u);
  });

  test('who does not log in, or stalls the handshake of TLS, is hung up', async () => {
    await start({ users, tls });
    const silent = await greeted();
    const stalled = await greeted();
    expect(await stalled.command('STARTTLS')).toMatch(/^220 /u);
    under.skewMs = 31_000;
    expect(await silent.reply()).toMatch(/^421 4\.4\.2 /u);
    await stalled.ended;
    silent.close();
    stalled.close();
    under.skewMs = 0;
    (await greeted()).close();
  });

  test('a login in clear text ends with STARTTLS', async () => {
    await start({ users, tls });
    const socket = connect(under.server.port, '127.0.0.1');
    const say = async (channel: Socket, line: string): Promise<string> => {
      channel.write(line);
      const [reply] = (await once(channel, 'data')) as [Buffer];
      return reply.toString();
    };
    await once(socket, 'data');
    await say(socket, 'EHLO x\r\n');
    expect(await say(socket, `AUTH PLAIN ${plain('gw', PASSWORD)}\r\n`)).toMatch(/^235 /u);
    expect(await say(socket, 'STARTTLS\r\n')).toMatch(/^220 /u);
    const secure = connectTls({ socket, ca: cert, servername: 'localhost' });
    await once(secure, 'secureConnect');
    await say(secure, 'EHLO x\r\n');
    expect(await say(secure, 'MAIL FROM:<>\r\n')).toBe('554 5.7.1 log in first\r\n');
    secure.destroy();
  });

  test('what came in clear text behind STARTTLS is not obeyed after it', async () => {
    await start({ users, tls, allow: ['127.0.0.1/32'] });
    const wire = await greeted();
    wire.write(Buffer.from(`STARTTLS\r\nMAIL FROM:<injected@example.com>\r\n`));
    expect(await wire.reply()).toMatch(/^220 /u);
    await new Promise((done) => setTimeout(done, 50));
    expect(wire.received).not.toMatch(/Accepted/u);
    wire.close();
  });
});
