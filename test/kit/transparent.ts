import { join } from 'node:path';

const LAUNCHER = join(import.meta.dirname, '../../deploy/intercept/sekisho-transparent');

export interface TransparentInit {
  /** Such as `0.0.0.0` and `::`; one socket each, from descriptor 3 up. */
  readonly addresses: readonly string[];
  readonly port: number;
  readonly command: string;
  readonly args: readonly string[];
}

/**
 * A command line that makes listening sockets with IP_TRANSPARENT or IPV6_TRANSPARENT and becomes `command`, which inherits
 * them by LISTEN_FDS: what systemd does with `Transparent=yes` and systemd-socket-activate cannot. Needs CAP_NET_ADMIN.
 */
export function transparentCommand({ addresses, port, command, args }: TransparentInit): { command: string; args: string[] } {
  return { command: 'perl', args: [LAUNCHER, '--port', String(port), ...addresses, '--', command, ...args] };
}
