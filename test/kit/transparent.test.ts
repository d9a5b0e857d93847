import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runProcess } from './process.ts';
import { transparentCommand } from './transparent.ts';

/** Says what it has inherited, and listens at each of the sockets. */
const PROGRAM = `
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES } = process.env;
  const { createServer } = require('node:net');
  const servers = Array.from({ length: Number(LISTEN_FDS) }, (_, index) => createServer());
  Promise.all(servers.map((server, index) => new Promise((resolve) => server.listen({ fd: 3 + index }, () => resolve(server.address()))))).then((addresses) => {
    console.log(JSON.stringify({ isOurs: LISTEN_PID === String(process.pid), LISTEN_FDNAMES, addresses, args: process.argv.slice(1) }));
    process.exit(7);
  });
`;

test('the command inherits one listening socket an address, and its arguments and exit code are its own', async ({ skip }) => {
  skip(process.getuid?.() !== 0, 'transparent sockets take CAP_NET_ADMIN: run as root');
  const { command, args } = transparentCommand({ addresses: ['127.9.8.7', '::1'], port: 0, command: process.execPath, args: ['-e', PROGRAM, 'a b', '--', '*'] });
  const { code, stdout, output } = await runProcess({ command, args });
  expect(code, output).toBe(7);
  expect(JSON.parse(stdout.toString())).toEqual({
    isOurs: true,
    LISTEN_FDNAMES: 'intercept:intercept',
    addresses: [
      { address: '127.9.8.7', family: 'IPv4', port: expect.any(Number) },
      { address: '::1', family: 'IPv6', port: expect.any(Number) },
    ],
    args: ['a b', '--', '*'],
  });
});

test('the command can be that of a user without rights', async ({ skip }) => {
  skip(process.getuid?.() !== 0, 'another user takes root');
  const launcher = join(import.meta.dirname, '../../deploy/intercept/sekisho-transparent');
  const run = (user: string) =>
    runProcess({ command: 'perl', args: [launcher, '--user', user, '--port', '0', '127.0.0.1', '--', 'sh', '-c', 'id -u; id -G; grep ^CapEff /proc/self/status'] });
  const { stdout } = await run('nobody');
  expect(stdout.toString()).toMatch(/^65534\n65534\nCapEff:\s+0+\n$/u);
  expect(await run('nobody-here')).toMatchObject({ code: 2, stderr: expect.stringContaining('no user nobody-here') });
});

test('what cannot be listened at is named', async () => {
  const { command, args } = transparentCommand({ addresses: ['mail.example.com'], port: 25, command: 'true', args: [] });
  expect(await runProcess({ command, args })).toMatchObject({ code: 2, stderr: expect.stringContaining('mail.example.com') });
});
