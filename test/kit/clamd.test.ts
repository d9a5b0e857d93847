import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { EICAR, EICAR_SIGNATURE, startClamd } from './clamd.ts';
import type { Clamd, ClamdInit } from './clamd.ts';
import { textMail } from './mails.ts';
import { cleanZipMail, encryptedZipMail, infectedMails } from './virus-mails.ts';

const running: Clamd[] = [];
afterEach(async () => {
  for (const clamd of running.splice(0)) await clamd.stop();
});

async function start(init: ClamdInit = {}): Promise<Clamd> {
  const clamd = await startClamd(init);
  running.push(clamd);
  return clamd;
}

/** In one chunk, and with no care for anything that goes wrong. */
function scan(target: { path: string } | { host: string; port: number }, content: Buffer | string): Promise<string> {
  return new Promise((resolve, reject) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(content.length);
    const socket = connect(target);
    let answer = '';
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')));
    socket.once('end', () => resolve(answer));
    socket.once('error', reject);
    socket.write(Buffer.concat([Buffer.from('zINSTREAM\0'), length, Buffer.from(content), Buffer.alloc(4)]));
  });
}

test('EICAR is what eicar.org says it is', () => {
  expect(createHash('md5').update(EICAR).digest('hex')).toBe('44d88612fea8a8f36de82e1278abb02f');
});

test('EICAR is found in every shape of mail, and nothing where there is none', async () => {
  const clamd = await start();
  const target = { path: clamd.socketPath };
  for (const { name, raw } of infectedMails()) expect([name, await scan(target, raw)]).toEqual([name, `stream: ${EICAR_SIGNATURE} FOUND\0`]);
  for (const { name, raw } of [textMail(1), cleanZipMail(), encryptedZipMail()]) {
    expect([name, await scan(target, raw)]).toEqual([name, 'stream: OK\0']);
  }
});

test('settings are taken; a port beside the socket', async () => {
  const clamd = await start({ settings: { AlertEncrypted: 'yes' }, address: '127.0.7.1' });
  const port = Number(clamd.tcpAddress.split(':')[2]);
  const answer = await scan({ host: '127.0.7.1', port }, encryptedZipMail().raw);
  expect(answer).toBe('stream: Heuristics.Encrypted.Zip FOUND\0');
});

test('a setting that clamd does not know is said at once', async () => {
  await expect(startClamd({ settings: { NoSuchThing: 'yes' } })).rejects.toThrow(/NoSuchThing/);
});

test('another database after a reload', async () => {
  const clamd = await start();
  const target = { path: clamd.socketPath };
  await clamd.reload({ 'eicar.ndb': `Other-Name:0:*:${Buffer.from(EICAR).toString('hex')}\n` });
  expect(await scan(target, EICAR)).toBe('stream: Other-Name.UNOFFICIAL FOUND\0');
});

test('paused it answers nothing, killed it is gone, restarted it is back', async () => {
  const clamd = await start();
  const target = { path: clamd.socketPath };
  clamd.pause();
  const answer = scan(target, EICAR);
  const silence = new Promise((resolve) => setTimeout(() => resolve('silence'), 150));
  expect(await Promise.race([answer, silence])).toBe('silence');
  clamd.resume();
  expect(await answer).toMatch(/FOUND/);
  await clamd.kill();
  await expect(scan(target, EICAR)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  await clamd.restart();
  expect(await scan(target, EICAR)).toMatch(/FOUND/);
  await clamd.stop();
  expect(existsSync(clamd.socketPath)).toBe(false);
});
