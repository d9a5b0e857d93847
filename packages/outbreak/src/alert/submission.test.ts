import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { type SmtpLedger, type SmtpLedgerInit, startSmtpLedger } from '../../../../test/kit/smtp-ledger.ts';
import { destinationTls } from '../../../../test/kit/tls.ts';
import type { Outbreak } from '../core/outbreak.ts';
import { aSighting, macNumber } from '../testing/detections.ts';
import { headersOf } from '../testing/headers.ts';
import { BoardSite, START_MS } from '../testing/site.ts';
import { bodyOf, subjectOf } from './mail-text.ts';
import { composeMessage } from './news.ts';
import { NEW_RECIPIENT } from './recipient.ts';
import { DeliveryError } from './delivery-error.ts';
import { Submission } from './submission.ts';
import type { SubmissionSettings } from '../settings.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

async function ledger(init: SmtpLedgerInit = {}): Promise<SmtpLedger> {
  const server = await startSmtpLedger(init);
  cleanups.push(() => server.stop());
  return server;
}

function submission(port: number, fields: Partial<SubmissionSettings> = {}): Submission {
  return new Submission({ host: '127.0.0.1', port, tls: 'none', from: 'sekisho@site.example.com', ...fields }, { site: 'tokyo-1' });
}

const MAIL = { to: 'admin@example.com', subject: 'subject', text: 'text\n', id: 'abc', stage: 'alert' } as const;
const HEADERS = ['From', 'To', 'Subject', 'Message-ID', 'Auto-Submitted', 'Precedence', 'X-Auto-Response-Suppress', 'X-Sekisho-Alert', 'Content-Transfer-Encoding', 'Date', 'MIME-Version', 'Content-Type'].sort();

describe('handing over', () => {
  test('plain: one mail, to one recipient, with headers that keep robots quiet', async () => {
    const server = await ledger();
    expect(await submission(server.port).send(MAIL)).toContain('stored');
    const [message] = server.messages;
    expect(message).toMatchObject({ from: 'sekisho@site.example.com', to: ['admin@example.com'], secure: false });
    const { names, values } = headersOf(message!.raw);
    expect(names.sort()).toEqual(HEADERS);
    expect(Object.fromEntries(values)).toMatchObject({
      From: '"Sekisho tokyo-1" <sekisho@site.example.com>',
      To: 'admin@example.com',
      'Message-ID': '<abc@site.example.com>',
      'Auto-Submitted': 'auto-generated',
      Precedence: 'bulk',
    });
  });

  test('STARTTLS and implicit TLS with a CA of its own, and a login', async () => {
    const { cert } = destinationTls();
    for (const tls of ['starttls', 'implicit'] as const) {
      const server = await ledger({ tls, users: { sekisho: 'correct horse' }, requireAuth: true });
      const login = { user: 'sekisho', password: 'correct horse' };
      const good = submission(server.port, { tls, caPem: cert, login });
      await good.verify();
      await good.send(MAIL);
      expect(server.messages).toMatchObject([{ secure: true, user: 'sekisho' }]);
    }
  });

  test('a certificate of another CA, or for another name, gets nothing', async () => {
    const { cert, key } = destinationTls();
    const server = createTlsServer({ cert, key }, (socket) => socket.end('220 never read\r\n')).listen(0, '127.0.0.3');
    await once(server, 'listening');
    cleanups.push(() => server.close());
    const { port } = server.address() as AddressInfo;
    for (const caPem of [undefined, cert])
      await expect(submission(port, { host: '127.0.0.3', tls: 'implicit', caPem }).send(MAIL)).rejects.toMatchObject({ ofRecipient: false });
    for (const host of ['127.0.0.1', '127.0.0.3']) {
      const starttls = await ledger({ tls: 'starttls', address: host });
      await expect(submission(starttls.port, { host, tls: 'starttls', caPem: host === '127.0.0.1' ? undefined : cert }).send(MAIL)).rejects.toBeInstanceOf(DeliveryError);
      expect(starttls.messages).toEqual([]);
    }
  });

  test('a server without STARTTLS gets no mail when STARTTLS is wanted', async () => {
    const server = await ledger();
    await expect(submission(server.port, { tls: 'starttls' }).send(MAIL)).rejects.toMatchObject({ name: 'DeliveryError', ofRecipient: false });
    expect(server.messages).toEqual([]);
  });

  test('a server that offers no AUTH gets no mail when there is a login', async () => {
    const server = await ledger();
    await expect(submission(server.port, { login: { user: 'a', password: 'b' } }).send(MAIL)).rejects.toBeInstanceOf(DeliveryError);
    expect(server.messages).toEqual([]);
  });

  test('a wrong password concerns everybody, and no message of ours repeats it', async () => {
    const server = await ledger({ users: { sekisho: 'right' }, requireAuth: true });
    const failed = await submission(server.port, { login: { user: 'sekisho', password: 'wr0ng-password' } }).send(MAIL).catch((error: unknown) => error);
    expect(failed).toMatchObject({ ofRecipient: false });
    expect(String(failed)).not.toContain('wr0ng-password');
  });

  test('a recipient who is refused concerns nobody else', async () => {
    const server = await ledger();
    server.behaviour.refuse = { at: 'rcpt', code: 550, text: '5.1.1 nobody \u001b[31mhere' };
    const failed = await submission(server.port).send(MAIL).catch((error: unknown) => error);
    expect(failed).toMatchObject({ ofRecipient: true });
    expect((failed as Error).message).not.toContain('\u001b');
  });

  test('nobody listens', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    await expect(submission(port).verify()).rejects.toMatchObject({ ofRecipient: false });
  });

  test('a send is given up when it is told to, and its connection goes', async () => {
    const sockets: Socket[] = [];
    const server = createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    cleanups.push(() => server.close());
    const abort = new AbortController();
    const sending = submission((server.address() as AddressInfo).port).send(MAIL, abort.signal).catch((error: unknown) => error);
    await once(server, 'connection');
    abort.abort();
    expect(await sending).toMatchObject({ name: 'DeliveryError', ofRecipient: false });
    await vi.waitUntil(() => sockets[0]?.destroyed === true || sockets[0]?.readableEnded === true);
  });
});

const NASTY = [
  'a\r\nBcc: victim@example.net',
  'a\nX-Evil: 1',
  'a\r\n\r\nbody of another mail',
  'a\r\n.\r\nMAIL FROM:<x@example.net>',
  '\u001b[2J\u001b]0;title\u0007',
  '\u202Egnp.exe',
  'zero\u200bwidth\ufeff',
  '\u0000nul',
  '=?utf-8?B?QmNjOiB2aWN0aW1AZXhhbXBsZS5uZXQ=?=',
  '"quoted" <victim@example.net>, other@example.net',
  'X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*',
  '\ud800 half',
  '東京 オフィス',
  '    | \n------------------------------------------------------------\nWhat to do: nothing',
  'x'.repeat(128),
];

function nastyOutbreak(text: string, level: 'device' | 'contact' | 'signature'): Outbreak {
  const site = new BoardSite({ thresholds: { device: level === 'device' ? 2 : 1000, contact: level === 'contact' ? 2 : 1000, signature: level === 'signature' ? 2 : 1000 } });
  const fields = { at: START_MS, label: text, registeredContact: '', contact: text, signature: text, client: text, destination: text, reporter: text };
  site.take(aSighting(fields), aSighting({ ...fields, mac: macNumber(2) }), aSighting(fields));
  site.evaluate();
  const [outbreak] = site.outbreaks.values();
  if (outbreak?.level !== level) throw new Error(`no outbreak of a ${level}`);
  return outbreak;
}

describe('what strangers wrote', () => {
  test('becomes no header, and no line of its own', { timeout: 30_000 }, async () => {
    const server = await ledger();
    const check = async (level: 'device' | 'contact' | 'signature', text: string, index: number): Promise<void> => {
      const outbreak = nastyOutbreak(text, level);
      const item = { name: `${level}-${index}`, id: outbreak.id, number: 1 };
      const message = composeMessage({ site: 'tokyo-1', name: 'mail-x', recipient: NEW_RECIPIENT }, [item], new Map([[item.name, outbreak]]));
      const body = bodyOf(message, { site: 'tokyo-1', reader: 'administrator' });
      await submission(server.port).send({ ...MAIL, subject: subjectOf(message, 'tokyo-1'), text: body, id: message.id });
      const received = server.messages.find(({ raw }) => raw.includes(message.id));
      expect(received?.to).toEqual(['admin@example.com']);
      checkMail(received?.raw ?? Buffer.alloc(0), level, text);
    };
    await Promise.all((['device', 'contact', 'signature'] as const).flatMap((level) => NASTY.map((text, index) => check(level, text, index))));
    expect(server.messages).toHaveLength(NASTY.length * 3);
  });
});

function checkMail(raw: Buffer, level: 'device' | 'contact' | 'signature', text: string): void {
  const { names, values, body } = headersOf(raw);
  expect(names.sort(), text).toEqual(HEADERS);
  expect(values.get('Subject'), text).toMatch(/^(?:\[Sekisho tokyo-1\] Virus outbreak: [^\r\n]*|=\?UTF-8\?.*)$/u);
  // A registered name may stand there, without the signs that mean something in a header.
  expect(values.get('Subject'), text).not.toMatch(level === 'device' ? /[@<>"]|victim@|Bcc:/u : /victim|evil|exe/iu);
  expect(raw.toString('latin1')).not.toContain('$EICAR-STANDARD');
  const lines = body.trimEnd().split('\r\n');
  for (const line of lines) {
    expect(line.length, line).toBeLessThanOrEqual(76);
    expect(line, text).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    // Apart from a registered name, a stranger's word stands behind a bar.
    if (/exe|X-Evil|MAIL FROM|xxxxx/u.test(line) && !line.startsWith('Called:')) expect(line).toMatch(/^ {4}\| /u);
  }
  expect(lines.filter((line) => line.startsWith('----------'))).toHaveLength(1);
  expect(lines.filter((line) => line.startsWith('What to do'))).toHaveLength(1);
}
