import { mkdirSync } from 'node:fs';
import { Command, InvalidArgumentError } from 'commander';
import { expect, test } from 'vitest';
import { workplace } from '../testing/command.ts';
import { duration, forward, positive, relay, share, size, watched } from './load-arguments.ts';
import { progressText } from './load-progress.ts';
import { addLoadCommand } from './load.ts';

const place = workplace();

/** Runs the command in this process; everything here is refused before a process is started. */
async function refusal(...args: string[]): Promise<string> {
  const program = new Command().exitOverride().configureOutput({ writeErr: () => {} });
  addLoadCommand(program);
  program.commands[0]?.exitOverride().configureOutput({ writeErr: () => {} });
  const problem: unknown = await program.parseAsync(['load', ...args], { from: 'user' }).then(() => undefined, (error: unknown) => error);
  return problem instanceof Error ? problem.message : `not refused: ${args.join(' ')}`;
}

const SMTP = '127.0.0.1:2525=127.0.0.1:2526/smtp';

test.each([
  [[], 'Give one way in'],
  [['--direct', '--agent', SMTP], 'Give one way in'],
  [['--direct', '--relay', 's1=127.0.0.1:7026'], '--relay and --offices go with --devices'],
  [['--direct', '--offices', '5'], '--relay and --offices go with --devices'],
  [['--direct', '--bulk', '--rate', '5'], '--bulk and --rate'],
  [['--direct', '--think', '1s', '--rate', '5'], '--rate and --think'],
  [['--agent', SMTP], 'no --agent leads to pop3'],
  [['--agent', '127.0.0.1:1110=127.0.0.1:1111/pop3', '--size', '4KiB'], 'no --agent leads to smtp'],
  [['--agent', SMTP, '--size', '4KiB', '--tls'], 'the protocol is smtps or pop3s'],
  [['--agent', '127.0.0.1:2525=127.0.0.1:465', '--size', '4KiB'], 'need --tls'],
  [['--agent', '127.0.0.1:143=127.0.0.1:143', '--size', '4KiB'], 'IMAP is not simulated'],
  [['--agent', '127.0.0.1:2525=mail.example.com:25', '--size', '4KiB'], 'an address of this machine is needed, and not a name'],
  [['--direct', '--watch', 'relay=999999999'], 'there is no such process'],
  [['--direct', '--html', '/nowhere/at/all.html'], '/nowhere/at'],
  [['--direct', '--clients', '900000'], 'need 1,800,128 descriptors in each'],
  [['--direct', '--clients', '2', '--processes', '3'], 'at most --processes 2'],
  [['--agent', '192.0.2.7:2525=127.0.0.1:2526/smtp', '--size', '4KiB'], 'The agent at 192.0.2.7 is not on this machine. If you own it, and may fill it with load: --i-own-this-target 192.0.2.7'],
  [['--direct', '--clients', '0'], 'A whole number from 1'],
  [['--direct', '--clients', '1e3'], 'A whole number from 1'],
  [['--direct', '--mix', 'hotel'], 'Allowed choices are office, notices, attachments'],
])('refuses %j: %s', async (args, because) => {
  expect(await refusal(...args)).toContain(because);
});

test('a directory of devices must have enough of them', async () => {
  mkdirSync(place.path('empty'));
  expect(await refusal('--devices', place.path('empty'))).toContain('has no agent.yaml files');
  mkdirSync(place.path('one'));
  place.write('one/a.yaml', 'mac: nonsense\n');
  expect(await refusal('--devices', place.path('one'), '--offices', '2')).toContain('has 1 devices');
  expect(await refusal('--devices', place.path('one'), '--processes', '2')).toContain('need at least as many offices');
});

test('the options take what the manual says', () => {
  expect(relay('s9=192.0.2.19:7026', [])).toEqual([{ name: 's9', host: '192.0.2.19', port: 7026 }]);
  expect(relay('s9=[2001:db8::19]:7026', [])).toEqual([{ name: 's9', host: '2001:db8::19', port: 7026 }]);
  expect(forward(SMTP, [])).toMatchObject([{ listen: { port: 2525 }, destination: { port: 2526 }, protocol: 'smtp' }]);
  expect(watched('relay=1', [])).toEqual([{ name: 'relay', pid: 1 }]);
  expect(size('100KiB')).toBe(102_400);
  expect(duration('0ms', '1h')('90s')).toBe(90_000);
  expect(share('0')).toBe(0);
  expect(positive('0.5')).toBe(0.5);
});

test.each<[string, () => unknown]>([
  ['a relay without a port', () => relay('s9=192.0.2.19', [])],
  ['a relay at port 0', () => relay('s9=192.0.2.19:0', [])],
  ['a relay without a name', () => relay('192.0.2.19:7026', [])],
  ['a pid that is none', () => watched('relay=me', [])],
  ['the name of the load itself', () => watched('load=1', [])],
  ['a name twice', () => watched('a=1', [{ name: 'a', pid: 2 }])],
  ['a size without a unit', () => size('100')],
  ['a duration that is too long', () => duration('0ms', '1h')('2h')],
  ['a share above 1', () => share('1.1')],
  ['a share that is nothing', () => share(' ')],
  ['a rate of 0', () => positive('0')],
  ['a rate without an end', () => positive('Infinity')],
  ['a rate that no process can keep up with', () => positive('100001')],
])('%s is refused', (_, parse) => {
  expect(parse).toThrow(InvalidArgumentError);
});

test('the line of progress says how it goes', () => {
  expect(progressText({ phase: 'setting up', elapsedSeconds: 0, last: undefined })).toBe('setting up ...');
  const last = { second: 2, sessions: 120, failed: 1, bytesUp: 1_000_000, bytesDown: 250_000, active: 10, timeToRelayMs: { p50: 1.25, p99: 4, max: 9 }, cpu: {} };
  expect(progressText({ phase: 'measuring', elapsedSeconds: 3.02, last })).toBe(
    'measuring 3 s  120 sessions/s  10 running  time to relay 1.3 ms, p99 4.0 ms  up 8.0 down 2.0 Mbit/s  1 failed',
  );
});
