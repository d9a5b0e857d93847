import { writeFileSync } from 'node:fs';
import { chmod, mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createTransport } from 'nodemailer';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { connectSmtpWire, type SmtpWire } from '../../../../test/kit/smtp-wire.ts';
import { MAX_COMMAND_BYTES } from './notice-server.ts';
import { notice, send, type Sending, serverUnderTest, type UnderTest } from './testing/notice-server-under-test.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

let under: UnderTest;
const to = (): Sending => ({ port: under.server.port });

describe('with a gateway that is listed', () => {
  beforeEach(async () => {
    under = await serverUnderTest();
  });
  afterEach(() => under.stop());

  test('notices of three gateways are recorded with what they say, and with when they came', async () => {
    const before = Date.now();
    expect(await send(notice('amavis'), to())).toBe('250 2.6.0 1 recorded');
    expect(await send(notice('email-security-cloud'), to())).toMatch(/^250 /u);
    expect(await send(notice('mailscanner'), to())).toBe('250 2.6.0 3 recorded');
    expect(under.recorded).toHaveLength(5);
    const [first, second] = under.recorded;
    expect(first).toEqual({
      key: expect.stringMatching(/^[\w-]{43}$/u),
      at: expect.any(Number),
      source: 'notice',
      reporter: 'amavis 127.0.0.1',
      mac: null,
      signature: 'Eicar-Test-Signature',
      protocol: null,
      client: '192.0.2.17',
      destination: null,
      contact: 'alice@example.com',
    });
    expect(second).toMatchObject({ reporter: 'email-security-cloud 127.0.0.1', destination: 'heidi@example.net', contact: 'grace@example.com' });
    // Not the Date of the notice, which may say anything.
    for (const { at } of under.recorded) expect(at).toBeGreaterThanOrEqual(before);
    expect(new Set(under.recorded.map(({ key }) => key)).size).toBe(5);
    expect(await under.count('recorded')).toBe(3);
    expect(await under.kept()).toEqual([]);
  });

  test('a notice that comes twice has the same keys, another one has others', async () => {
    const raw = notice('clamav-milter').toString();
    const withoutId = raw.replace(/Message-ID: .*\r\n/u, 'Message-ID: <>\r\n');
    const wire = await ready();
    for (const text of [raw, raw, raw.replace('<5ALB0abc', '<5ALB0abd'), withoutId, withoutId, `${withoutId}.`])
      expect(await bring(wire, text)).toMatch(/^250 /u);
    wire.close();
    const [a, b, c, d, e, f] = under.recorded.map(({ key }) => key);
    expect(a).toBe(b);
    expect(d).toBe(e);
    expect(new Set([a, c, d, f]).size).toBe(4);
  });

  test('no signature becomes more than one line of text, whatever is in it', async () => {
    const wire = await ready();
    const corpus = [
      ['Subject: VIRUS (A\r\n Bcc: victim@example.org) in mail FROM [192.0.2.1] <a@b.c>\r\n\r\n', 'A Bcc: victim@example.org'],
      ['Subject: =?utf-8?q?VIRUS_(A=0D=0ABcc:_v@example.org=0D=0A=0D=0Abody)_in_mail_FROM_[192.0.2.1]_<a@b.c>?=\r\n\r\n', 'A Bcc: v@example.org body'],
      [`Subject: =?utf-8?b?${Buffer.from('VIRUS (A\nX: y) in mail FROM [192.0.2.1] <a@b.c>').toString('base64')}?=\r\n\r\n`, 'A X: y'],
      ['Subject: VIRUS (A\rBcc: x\0\u001b[2J) in mail FROM [192.0.2.1] <a@b.c>\r\n\r\n', 'A Bcc: x [2J'],
      [`Subject: =?utf-8?b?${Buffer.from('VIRUS (A\u2028B\u202e\u0085) in mail FROM [192.0.2.1] <a@b.c>').toString('base64')}?=\r\n\r\n`, 'A B\\u202e'],
      [`Subject: VIRUS (${'A'.repeat(900)}) in mail FROM [192.0.2.1] <a@b.c>\r\n\r\n${'x'.repeat(100_000)}`, 'A'.repeat(128)],
    ] as const;
    for (const [raw] of corpus) expect(await bring(wire, raw)).toMatch(/^250 /u);
    wire.close();
    expect(under.recorded).toMatchObject(corpus.map(([, signature]) => ({ signature, client: '192.0.2.1', contact: 'a@b.c' })));
    const values = under.recorded.flatMap((detection) => Object.values(detection).map(String));
    expect(values.filter((value) => /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(value))).toEqual([]);
  });

  test('the store fails: 451, nothing is counted as recorded, and it works again afterwards', async () => {
    under.beforeRecording = () => {
      throw new Error('the disk is full\u001b[31m');
    };
    expect(await send(notice('amavis'), to())).toBe('451 4.3.0 the notice could not be recorded');
    expect([under.recorded, await under.kept(), await under.count('recorded'), await under.count('failed')]).toEqual([[], [], 0, 1]);
    expect(under.logged.find(({ event }) => event === 'notice_failed')).toMatchObject({ level: 'error', cause: expect.stringContaining('the disk is full\\u001b') });
    under.beforeRecording = () => undefined;
    expect(await send(notice('amavis'), to())).toMatch(/^250 /u);
  });

  test('250 comes after the recording, not before', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    under.beforeRecording = () => promise;
    const reply = send(notice('amavis'), to());
    expect(await Promise.race([reply, new Promise((done) => setTimeout(done, 300, 'none yet'))])).toBe('none yet');
    resolve();
    expect(await reply).toMatch(/^250 /u);
  });

  test('a stop waits for what is being recorded, and its gateway hears so', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    under.beforeRecording = () => promise;
    const reply = send(notice('amavis'), to());
    await expect.poll(() => under.logged.length).toBeGreaterThan(0);
    await new Promise((done) => setTimeout(done, 250));
    const idle = await connectSmtpWire({ host: '127.0.0.1', port: under.server.port });
    await idle.reply();
    const stopped = under.server.close();
    await new Promise((done) => setTimeout(done, 50));
    resolve();
    expect(await reply).toMatch(/^250 /u);
    await stopped;
    await idle.ended;
    idle.close();
  });

  test('a notice that no pattern fits is kept, said so, and there after a restart; the same again is the same', async () => {
    const raw = notice('unknown-gateway');
    expect(await send(raw, to())).toBe('250 2.6.0 kept; no pattern fits it');
    const [name = ''] = await under.kept();
    const file = join(under.directory, name);
    const content = await readFile(file, 'utf8');
    expect(content).toMatch(/^Received: from \[127\.0\.0\.1\] by sekisho \(notices\);\r\n \w{3}, \d\d \w{3} \d{4} [\d:]{8} \+0000\r\nFrom: watchdog@/u);
    expect(content.endsWith(raw.toString())).toBe(true);
    expect(under.logged.find(({ event }) => event === 'notice_unparsed')).toMatchObject({ level: 'warn', file, gateway: '127.0.0.1' });
    expect(await under.count('unparsed')).toBe(1);
    writeFileSync(join(under.directory, '.0123456789abcdef.tmp'), 'unfinished');
    await under.restart();
    expect([await under.kept(), await under.keptGauge()]).toEqual([[name], 1]);
    await send(raw, to());
    expect([await under.kept(), await under.keptGauge(), under.recorded]).toEqual([[name], 1, []]);
  });

  test('a notice that cannot be kept is not accepted', async () => {
    await rm(under.directory, { recursive: true });
    expect(await send(notice('unknown-gateway'), to())).toBe('451 4.3.0 the notice could not be kept');
    expect(await under.count('failed')).toBe(1);
    await mkdir(under.directory);
    await chmod(under.directory, 0o700);
    expect(await send(notice('unknown-gateway'), to())).toMatch(/^250 /u);
  });

  test('one that is too large is refused when it says so, and when it does not', async () => {
    const wire = await ready();
    expect(wire.received).toMatch(/250[- ]SIZE 256000\r\n/u);
    expect(await wire.command('MAIL FROM:<a@example.com> SIZE=256001')).toMatch(/^552 /u);
    await begin(wire);
    const line = Buffer.from(`${'x'.repeat(998)}\r\n`);
    for (let count = 0; count < 300; count += 1) wire.write(line);
    wire.write(Buffer.from('.\r\n'));
    expect(await wire.reply()).toBe('552 5.3.4 a notice has at most 256000 bytes');
    // The conversation goes on.
    expect(await bring(wire, notice('amavis').toString())).toMatch(/^250 /u);
    wire.close();
    expect(under.recorded).toHaveLength(1);
    const other = await ready();
    await other.command('MAIL FROM:<a@example.com> SIZE=256001');
    await other.command('QUIT');
    other.close();
    await expect.poll(() => under.count('refused_size')).toBe(2);
  });

  test('a gibibyte without a newline: it is hung up, and memory stays bounded', async () => {
    const wire = await ready();
    await begin(wire);
    let most = 0;
    const block = Buffer.alloc(4 * 1024 * 1024, 'x');
    // Until the first word, which is the 421.
    const { length } = wire.received;
    while (wire.received.length === length && wire.bytesSent < 1024 ** 3) {
      wire.write(block);
      await wire.flushed();
      await new Promise((done) => setImmediate(done));
      collectGarbage();
      most = Math.max(most, process.memoryUsage().arrayBuffers);
    }
    expect(await wire.reply()).toBe('421 4.3.4 this is no notice');
    expect(wire.bytesSent).toBeLessThan(256 * 1024 * 1024);
    // Of 64 MiB only what is on its way at one moment, our own block included.
    expect(most).toBeLessThan(24 * 1024 * 1024);
    const command = await ready();
    command.write(Buffer.alloc(MAX_COMMAND_BYTES + 1, 'x'));
    expect(await command.reply()).toMatch(/^421 /u);
    wire.close();
    command.close();
  });

  test('bytes behind a bare LF and a dot are content, not another notice', async () => {
    const wire = await ready();
    await begin(wire);
    const raw = notice('amavis').toString('latin1');
    wire.write(Buffer.from(`${raw}\n.\nMAIL FROM:<smuggled@example.com>\n.\r\nRCPT TO:<b@example.com>\r\n.\nDATA\r\n\r\n.\r\n`, 'latin1'));
    expect(await wire.reply()).toMatch(/^250 /u);
    expect(await wire.command('NOOP')).toBe('250 OK');
    expect(under.recorded).toHaveLength(1);
    wire.close();
  });

  test('a gateway that goes away in the middle has brought nothing', async () => {
    const wire = await ready();
    await begin(wire);
    wire.write(notice('amavis'));
    await wire.flushed();
    wire.reset();
    const other = await ready();
    await begin(other);
    other.write(notice('amavis'));
    other.finish();
    await other.ended;
    other.close();
    expect([under.recorded, await under.kept()]).toEqual([[], []]);
    expect(await send(notice('amavis'), to())).toMatch(/^250 /u);
  });

  test('who is too slow is told to come again', async () => {
    const wire = await ready();
    await begin(wire);
    wire.write(Buffer.from('x'));
    under.skewMs = 181_000;
    expect(await wire.reply()).toMatch(/^421 4\.4\.2 /u);
    await wire.ended;
    wire.close();
  });

  test('nothing is relayed, and no command leads anywhere else', async () => {
    const wire = await ready();
    for (const command of ['VRFY root', 'EXPN all', 'WIZ x', 'SHELL', 'KILL', 'XCLIENT ADDR=192.0.2.1', 'XFORWARD ADDR=192.0.2.1', 'TURN', 'HELP'])
      expect(await wire.command(command), command).toMatch(/^50\d /u);
    wire.close();
    const http = await connectSmtpWire({ host: '127.0.0.1', port: under.server.port });
    await http.reply();
    expect(await http.command('GET / HTTP/1.1')).toMatch(/^421 /u);
    http.close();
  });

  test('a flood is recorded in few batches', async () => {
    const transport = createTransport({ host: '127.0.0.1', port: under.server.port, ignoreTLS: true, pool: true, maxConnections: 20, maxMessages: Infinity });
    const raw = notice('clamav-milter').toString();
    under.beforeRecording = () => new Promise((done) => setTimeout(done, 5));
    await Promise.all(
      Array.from({ length: 200 }, (_, index) =>
        transport.sendMail({ envelope: { from: 'g@example.com', to: ['n@example.com'] }, raw: raw.replace('5ALB0abc', `n${index}`) }),
      ),
    );
    transport.close();
    expect(new Set(under.recorded.map(({ key }) => key)).size).toBe(200);
    expect(under.batches.length).toBeLessThan(100);
    expect(await under.count('recorded')).toBe(200);
  });
});

test('when there is no room for more, 452 and loud; room again when the operator has made some', async () => {
  under = await serverUnderTest({ kept: { directory: '', maxFiles: 2, maxBytes: 1_000_000 } });
  try {
    const raw = notice('unknown-gateway').toString();
    const wire = await ready();
    const reply = (id: number): Promise<string> => bring(wire, raw.replace('<w1@', `<w${id}@`));
    expect([await reply(1), await reply(2), await reply(3)].map((text) => text.slice(0, 3))).toEqual(['250', '250', '452']);
    // One that is there already is not one more.
    expect(await reply(1)).toMatch(/^250 /u);
    expect(under.logged.find(({ event }) => event === 'notice_failed')).toMatchObject({ level: 'error', cause: expect.stringContaining('no room') });
    expect([await under.count('failed'), await under.keptGauge()]).toEqual([1, 2]);
    await rm(join(under.directory, (await under.kept())[0] ?? ''));
    under.skewMs = 1000;
    expect(await reply(3)).toMatch(/^250 /u);
    wire.close();
  } finally {
    await under.stop();
  }
});

test('more than maxPerMinute of one address are told to come again later, others are not', async () => {
  under = await serverUnderTest({ allow: ['127.0.0.0/8'], maxPerMinute: 3 });
  try {
    const wire = await ready();
    for (const reply of [/^250 /u, /^250 /u, /^250 /u, /^450 4\.7\.1 /u, /^450 /u]) {
      expect(await wire.command('MAIL FROM:<>')).toMatch(reply);
      await wire.command('RSET');
    }
    expect(await send(notice('amavis'), { ...to(), localAddress: '127.0.0.2' })).toMatch(/^250 /u);
    // The same notice, brought by somebody else: nobody takes away what another one reports.
    expect(new Set(under.recorded.map(({ key }) => key)).size).toBe(1);
    under.skewMs = 20_000;
    expect(await bring(wire, notice('amavis').toString())).toMatch(/^250 /u);
    wire.close();
    expect(new Set(under.recorded.map(({ key }) => key)).size).toBe(2);
    expect(await under.count('refused_rate')).toBe(2);
  } finally {
    await under.stop();
  }
});

async function ready(): Promise<SmtpWire> {
  const wire = await connectSmtpWire({ host: '127.0.0.1', port: under.server.port });
  expect(await wire.reply()).toBe('220 sekisho ESMTP virus notices');
  await wire.command('EHLO gateway.example.com');
  return wire;
}

/** The reply to a notice. */
async function bring(wire: SmtpWire, raw: string): Promise<string> {
  await begin(wire);
  wire.write(Buffer.from(`${raw}\r\n.\r\n`));
  return wire.reply();
}

async function begin(wire: SmtpWire): Promise<void> {
  for (const command of ['MAIL FROM:<>', 'RCPT TO:<anybody@example.com>', 'DATA']) expect(await wire.command(command)).toMatch(/^[23]5[04] /u);
}
