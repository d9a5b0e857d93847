import { connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { Mailbox } from './mailbox.ts';
import { mailShapes, sha256, textMail, unterminatedMail } from './mails.ts';
import { connectPop3, fetchAllPop3 } from './pop3-client.ts';
import { startPop3Server } from './pop3-server.ts';
import type { Pop3Server } from './pop3-server.ts';
import { startSilentServer } from './silent-server.ts';

const login = { user: 'anna', password: 'secret word' };
const running: { stop(): Promise<void> }[] = [];

async function start(mailbox: Mailbox): Promise<Pop3Server> {
  const server = await startPop3Server({ mailbox, users: { anna: 'secret word' } });
  running.push(server);
  return server;
}

function at(server: { address: string; port: number }): { host: string; port: number; user: string; password: string } {
  return { host: server.address, port: server.port, ...login };
}

/** Sends everything at once and reads until the server closes. */
function converse(server: Pop3Server, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(server.port, server.address, () => socket.write(text));
    let transcript = '';
    socket.on('data', (chunk: Buffer) => {
      transcript += chunk.toString('latin1');
    });
    socket.on('close', () => resolve(transcript));
    socket.on('error', reject);
  });
}

afterEach(async () => {
  for (const server of running.splice(0)) await server.stop();
});

test('every shape of message is fetched byte for byte, and deleted when asked', async () => {
  const mailbox = new Mailbox();
  const shapes = mailShapes();
  for (const shape of shapes) mailbox.deliver(shape.raw);
  const server = await start(mailbox);
  const hashes = shapes.map((shape) => shape.sha256);
  expect((await fetchAllPop3(at(server))).map(sha256)).toEqual(hashes);
  expect(mailbox.size).toBe(shapes.length);
  expect((await fetchAllPop3({ ...at(server), remove: true })).map(sha256)).toEqual(hashes);
  expect(mailbox.size).toBe(0);
  expect(await fetchAllPop3(at(server))).toEqual([]);
});

test('a message of no bytes, and one without an end of its last line', async () => {
  const mailbox = new Mailbox();
  mailbox.deliver(Buffer.alloc(0));
  mailbox.deliver(unterminatedMail().raw);
  const fetched = await fetchAllPop3(at(await start(mailbox)));
  expect(fetched[0]!.length).toBe(0);
  expect(fetched[1]).toEqual(Buffer.concat([unterminatedMail().raw, Buffer.from('\r\n')]));
});

test('the commands of RFC 1939, pipelined', async () => {
  const mailbox = new Mailbox();
  mailbox.deliver(Buffer.from('A: 1\r\n\r\n.one\r\ntwo\r\n'));
  mailbox.deliver(Buffer.from('B: 2\r\n\r\n'));
  const server = await start(mailbox);
  const commands = ['CAPA', 'STAT', 'USER anna', 'PASS secret word', 'STAT', 'LIST', 'UIDL', 'LIST 2', 'UIDL 2', 'TOP 1 1', 'TOP 1 x', 'RETR 2', 'RETR 3'];
  const deletions = ['DELE 1', 'STAT', 'RETR 1', 'RSET', 'DELE 2', 'LIST', 'NOOP', 'WHAT', 'QUIT'];
  const transcript = await converse(server, [...commands, ...deletions].map((line) => `${line}\r\n`).join(''));
  const expected = [
    '+OK Sekisho test POP3 server', '+OK capabilities', 'USER', 'UIDL', 'TOP', 'PIPELINING', 'RESP-CODES',
    'IMPLEMENTATION Sekisho-test-kit', '.', '-ERR not logged in', '+OK password?', '+OK 2 messages', '+OK 2 27', '+OK', '1 19', '2 8',
    '.', '+OK', '1 mail-1', '2 mail-2', '.', '+OK 2 8', '+OK 2 mail-2', '+OK 14 octets', 'A: 1', '', '..one', '.',
    '-ERR TOP needs a number of lines', '+OK 8 octets', 'B: 2', '', '.', '-ERR no such message', '+OK deleted', '+OK 1 8',
    '-ERR no such message', '+OK nothing deleted', '+OK deleted', '+OK', '1 19', '.', '+OK', '-ERR unknown command', '+OK bye', '',
  ];
  expect(transcript.split('\r\n')).toEqual(expected);
  expect(mailbox.list().map((mail) => mail.uid)).toEqual(['mail-1']);
});

test('a session that breaks off deletes nothing; a wrong password and an endless line are refused', async () => {
  const mailbox = new Mailbox();
  mailbox.deliver(textMail(1).raw);
  const server = await start(mailbox);
  const client = await connectPop3(at(server));
  await client.command('DELE 1');
  client.close();
  await expect(connectPop3({ ...at(server), password: 'x' })).rejects.toMatchObject({ reply: '-ERR [AUTH] wrong name or password' });
  expect(await converse(server, 'x'.repeat(300))).toContain('-ERR line too long');
  expect(mailbox.size).toBe(1);
});

test('the client gives up on a silent server', async () => {
  const silent = await startSilentServer();
  running.push(silent);
  await expect(connectPop3({ ...at(silent), timeoutMs: 100 })).rejects.toThrow('nothing from the server in 100 ms');
});
