import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { noticesAreElsewhere } from './outbreak-access.ts';
import type { Server, Site } from './site.ts';

/** Something that does not fit the configuration. A grave one means that it cannot work. */
export interface Finding {
  readonly server: string;
  /** Keys and certificates, which go with the file and are mended as it is; or what this machine can carry. */
  readonly cause: 'configuration' | 'machine';
  readonly grave: boolean;
  readonly message: string;
}

/** Descriptors that a process needs besides its connections: libraries, logs, the store, sockets that are closing. */
const SPARE_DESCRIPTORS = 64;
/** What one connection of a device and one session cost in memory besides their windows; measured, rounded up. */
const BYTES_PER_CONNECTION = 64 * 1024;
const BYTES_PER_PROCESS = 80 * 1024 * 1024;
const LOWEST_UNPRIVILEGED_PORT = 1024;
const LISTEN_BACKLOG = 1024;
/** RFC 6335 6. */
const IANA_DYNAMIC_PORTS = [49_152, 65_535] as const;

/** Compares the caps of a server's roles with this machine's descriptors, memory, ports and kernel settings. */
export function machineFindings(site: Site, server: Server): Finding[] {
  const found: Finding[] = [];
  const grave = (message: string): void => void found.push({ server: server.name, cause: 'machine', grave: true, message });
  const warn = (message: string): void => void found.push({ server: server.name, cause: 'machine', grave: false, message });
  const { relay, manager, ports } = site.config;
  const descriptors = descriptorLimit();

  if (server.roles.includes('relay')) {
    const workers = relay.workers === 'auto' ? availableParallelism() : relay.workers;
    // An inspected session may have a message in a file.
    const perSession = relay.inspect === undefined ? 1 : 2;
    const needed = Math.ceil((relay.maxDevices + perSession * relay.maxSessions) / workers) + SPARE_DESCRIPTORS;
    if (needed > descriptors)
      grave(`relay.maxDevices + relay.maxSessions need ${needed} descriptors in each of ${workers} workers${perSession > 1 ? ', a file for each inspected message included' : ''}; the limit is ${descriptors}. Raise it (ulimit -n, LimitNOFILE=) or lower the caps.`);
    const bytes = relay.maxSessions * (2 * relay.window + BYTES_PER_CONNECTION) + relay.maxDevices * BYTES_PER_CONNECTION + (workers + 1) * BYTES_PER_PROCESS;
    if (bytes > memoryBytes())
      warn(`with every session stalled and its windows full the relay would hold ${gigabytes(bytes)}; this machine has ${gigabytes(memoryBytes())}. Lower relay.maxSessions or relay.window.`);
    if (relay.inspect?.clamd.length === 1)
      warn('relay.inspect.clamd has one scanner only: nothing stands in for it when it dies or reloads. Give it a second one.');
    const [first, last] = outgoingPorts();
    if (relay.maxSessions > last - first + 1)
      warn(`relay.maxSessions is ${relay.maxSessions}, but only ${last - first + 1} connections can go from here to one mail server. Widen net.ipv4.ip_local_port_range or lower the cap.`);
  }
  if (server.roles.includes('manager') && manager.maxAgents + SPARE_DESCRIPTORS > descriptors)
    grave(`manager.maxAgents needs ${manager.maxAgents + SPARE_DESCRIPTORS} descriptors; the limit is ${descriptors}. Raise it (ulimit -n, LimitNOFILE=) or lower the cap.`);

  if (server.roles.includes('outbreak') && noticesAreElsewhere(site))
    warn('outbreak.notices.listen is no address of this machine, so notices are taken in by another server only. Give the gateways both if both shall take them.');

  const low = Object.entries(ports).filter(([, port]) => port < lowestFreePort());
  if (low.length > 0 && process.getuid?.() !== 0)
    grave(`ports.${low[0]?.[0]} is ${low[0]?.[1]}: below ${lowestFreePort()} a process needs root or CAP_NET_BIND_SERVICE. Give it that, or choose a higher port.`);
  const backlog = kernelNumber('/proc/sys/net/core/somaxconn');
  if (backlog !== undefined && backlog < LISTEN_BACKLOG)
    warn(`net.core.somaxconn is ${backlog}: a burst of agents is refused. Set it to ${LISTEN_BACKLOG} or more.`);
  return found;
}

function descriptorLimit(): number {
  try {
    const line = /^Max open files\s+(\S+)/mu.exec(readFileSync('/proc/self/limits', 'utf8'));
    return line?.[1] === 'unlimited' ? Number.POSITIVE_INFINITY : Number(line?.[1]);
  } catch {
    return Number(execFileSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }).trim());
  }
}

function lowestFreePort(): number {
  return kernelNumber('/proc/sys/net/ipv4/ip_unprivileged_port_start') ?? LOWEST_UNPRIVILEGED_PORT;
}

/** A container has less than its machine. */
function memoryBytes(): number {
  const constrained = process.constrainedMemory();
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
}

/** First and last of the ports that outgoing connections get. */
function outgoingPorts(): readonly [first: number, last: number] {
  try {
    const [first, last] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').trim().split(/\s+/u).map(Number);
    return [first ?? 0, last ?? 0];
  } catch {
    return IANA_DYNAMIC_PORTS; // not Linux
  }
}

function kernelNumber(path: string): number | undefined {
  try {
    return Number(readFileSync(path, 'utf8'));
  } catch {
    return undefined; // not Linux
  }
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}
