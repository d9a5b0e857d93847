import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

export interface TcpSocket {
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Received by the kernel, not yet read by the process. */
  readonly unreadBytes: number;
  /** 0 while nobody has accepted it. */
  readonly inode: number;
}

const ESTABLISHED = '01';

/** The IPv4 connections of this machine that are established, as the kernel sees them: whatever the processes say. */
export function tcpSockets(): TcpSocket[] {
  const rows = readFileSync('/proc/net/tcp', 'latin1').trimEnd().split('\n').slice(1);
  return rows.flatMap((row) => {
    const [, local = '', remote = '', state, queues = '', , , , , inode] = row.trim().split(/\s+/);
    if (state !== ESTABLISHED) return [];
    const [localAddress, localPort] = endpoint(local);
    const [remoteAddress, remotePort] = endpoint(remote);
    const unreadBytes = Number.parseInt(queues.split(':')[1] ?? '0', 16);
    return [{ localAddress, localPort, remoteAddress, remotePort, unreadBytes, inode: Number(inode) }];
  });
}

/** Which of these processes hold one of these sockets. */
export function holders(pids: readonly number[], sockets: readonly TcpSocket[]): number[] {
  const names = new Set(sockets.map(({ inode }) => `socket:[${inode}]`));
  return pids.filter((pid) => descriptorsOf(pid).some((target) => names.has(target)));
}

function descriptorsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((name) => target(`/proc/${pid}/fd/${name}`));
  } catch {
    // It is gone.
    return [];
  }
}

function target(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

/** `0100007F:1F90`, the address in the byte order of the machine (little-endian here). */
function endpoint(text: string): [string, number] {
  const [address = '', port = ''] = text.split(':');
  const bytes = address.match(/../g)?.reverse() ?? [];
  return [bytes.map((byte) => Number.parseInt(byte, 16)).join('.'), Number.parseInt(port, 16)];
}
