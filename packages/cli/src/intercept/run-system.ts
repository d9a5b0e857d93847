import { spawnSync } from 'node:child_process';
import { printable } from '@sekisho/telemetry';
import { CommandError, EXIT } from '../exit-codes.ts';
import type { SystemCommand } from './commands.ts';

/** Both take milliseconds; one that hangs must not hold the stop of a unit. */
const SYSTEM_TIMEOUT_MS = 10_000;
const PACKAGE_OF = { nft: 'nftables', ip: 'iproute2 (on OpenWrt ip-full)' } as const;
/** Where they are when PATH has no sbin, as that of a user often has not. */
const SBIN = '/usr/sbin:/sbin';

/**
 * Runs a program of the system to its end and returns what it wrote.
 * @throws CommandError when it is not there, or failed: with its own words and what to do
 */
export function runSystem({ command, args, stdin = '' }: SystemCommand): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    input: stdin,
    encoding: 'utf8',
    timeout: SYSTEM_TIMEOUT_MS,
    env: { ...process.env, LC_ALL: 'C', PATH: `${process.env['PATH'] ?? ''}:${SBIN}` },
  });
  if (error !== undefined && 'code' in error && error.code === 'ENOENT')
    throw new CommandError(`${command} is not on this machine: install ${PACKAGE_OF[command]}.`, EXIT.unavailable);
  if (error !== undefined) throw new CommandError(`${command}: ${error.message}`, EXIT.unavailable);
  if (status !== 0) throw new CommandError(`${[command, ...args].join(' ')} failed: ${lines(stderr)}${hint(stderr)}`);
  return stdout;
}

function lines(text: string): string {
  return text.trim().split('\n').map((line) => printable(line)).join('\n');
}

function hint(words: string): string {
  if (/not permitted|permission denied|must be root/iu.test(words)) return '\nRun this as root.';
  if (/tproxy|socket transparent|fib daddr/u.test(words))
    return '\nThe kernel lacks a module that the marked rule needs: nft_tproxy, nft_socket or nft_fib_inet (on OpenWrt kmod-nft-tproxy, kmod-nft-socket, kmod-nft-fib).';
  return '';
}
