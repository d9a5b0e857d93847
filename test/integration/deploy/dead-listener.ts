import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { runProcess } from '../../kit/process.ts';

/** pidfd_open(2), pidfd_getfd(2) and shutdown(2): the same numbers on every architecture but alpha. */
const SHUT_LISTENER = `
my ($pid, $target) = @ARGV;
my $process = syscall(434, $pid + 0, 0);
my $fd = syscall(438, $process, $target + 0, 0);
die "pidfd_getfd: $!" if $fd < 0;
open(my $socket, '+<&=', $fd) or die $!;
shutdown($socket, 2) or die $!;
`;

/** Ends the listening of a process at a port, in the kernel and behind its back: it still has the descriptor and no error. */
export async function killListener(pid: number, port: number): Promise<void> {
  const listening = listeningSockets(port);
  const fd = readdirSync(`/proc/${pid}/fd`).find((name) => listening.has(targetOf(pid, name)));
  if (fd === undefined) throw new Error(`process ${pid} does not listen at ${port}`);
  const { code, output } = await runProcess({ command: 'perl', args: ['-e', SHUT_LISTENER, String(pid), fd] });
  if (code !== 0) throw new Error(output);
}

/** As the descriptors of processes are called. */
function listeningSockets(port: number): ReadonlySet<string> {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  const rows = readFileSync('/proc/net/tcp', 'utf8').split('\n').map((row) => row.trim().split(/\s+/u));
  return new Set(rows.filter((row) => row[1]?.endsWith(`:${hex}`) === true && row[3] === '0A').map((row) => `socket:[${row[9]}]`));
}

function targetOf(pid: number, fd: string): string {
  try {
    return readlinkSync(`/proc/${pid}/fd/${fd}`);
  } catch {
    return ''; // closed meanwhile
  }
}
