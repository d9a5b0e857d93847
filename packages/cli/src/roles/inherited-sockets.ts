import { CommandError, EXIT } from '../exit-codes.ts';

/** A listening socket that the service manager has made and that this process has from its start. */
export interface InheritedSocket {
  readonly fd: number;
  /** FileDescriptorName= of its unit; `unknown` when it was given none. */
  readonly name: string;
}

/** SD_LISTEN_FDS_START. */
const FIRST_FD = 3;
/** Far more than a unit of ours lists; beyond, the number is somebody's mistake. */
const MAX_INHERITED_SOCKETS = 64;

/**
 * The sockets passed by socket activation, as sd_listen_fds(3) finds them. Those for another process are not ours. The
 * variables are removed, so that no child takes them for its own.
 * @throws CommandError when there are variables for this process that make no sense
 */
export function inheritedSockets(env: NodeJS.ProcessEnv, pid: number): readonly InheritedSocket[] {
  const { LISTEN_PID: forPid, LISTEN_FDS: count, LISTEN_FDNAMES: names } = env;
  for (const name of ['LISTEN_PID', 'LISTEN_PIDFDID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) delete env[name];
  if (forPid !== String(pid) || count === undefined) return [];
  if (!/^\d{1,5}$/u.test(count) || Number(count) > MAX_INHERITED_SOCKETS)
    throw new CommandError(`LISTEN_FDS must be from 0 to ${MAX_INHERITED_SOCKETS}: correct what starts this process.`, EXIT.usage);
  const nameOf = names?.split(':') ?? [];
  return Array.from({ length: Number(count) }, (_, index) => ({ fd: FIRST_FD + index, name: nameOf[index] || 'unknown' }));
}
