import { readFileSync } from 'node:fs';

/** What this machine lets a process have. */
export interface Room {
  /** Descriptors of one process. */
  readonly descriptors: number;
  /** Local ports of connections to one address and port. */
  readonly ports: number;
}

/** What proc(5) says; Node has raised its soft limit to the hard one when it started. */
export function roomOfThisMachine(): Room {
  const [, soft = '', hard = ''] = /^Max open files\s+(\S+)\s+(\S+)/mu.exec(readFileSync('/proc/self/limits', 'latin1')) ?? [];
  const [first = 32_768, last = 60_999] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'latin1').trim().split(/\s+/u).map(Number);
  const count = hard === 'unlimited' || Number(hard) > Number(soft) ? hard : soft;
  return { descriptors: count === 'unlimited' ? Number.POSITIVE_INFINITY : Number(count), ports: last - first + 1 };
}

export interface Wish {
  readonly clients: number;
  readonly processes: number;
  /** Agents that run within the load processes. */
  readonly offices: number;
  /** Addresses with ports that clients connect to, in all. */
  readonly targets: number;
  /** Simulated servers, in all. */
  readonly servers: number;
}

/** Of the process itself: event loop, IPC, libraries, servers. */
const OWN_DESCRIPTORS = 128;
/** The client's end and the server's. */
const DESCRIPTORS_PER_CLIENT = 2;
/** With an agent in the process its two ends as well: it may go directly. */
const DESCRIPTORS_PER_AGENT_CLIENT = 4;
/** Two listeners, the manager, two relays, and one that is being left. */
const DESCRIPTORS_PER_OFFICE = 6;

/** Why so much cannot be had at once and what would be needed; undefined when it can. */
export function roomProblem(wish: Wish, room: Room): string | undefined {
  const { clients, processes, offices, targets, servers } = wish;
  if (processes > clients) return `${processes} processes have nothing to do for ${clients} clients: give at most --processes ${clients}.`;
  const needed = descriptorsPerProcess(wish, processes);
  if (needed > room.descriptors) {
    let enough = processes;
    while (enough < clients && descriptorsPerProcess(wish, enough) > room.descriptors) enough += 1;
    const advice =
      descriptorsPerProcess(wish, enough) > room.descriptors ? 'Raise the limit of descriptors (ulimit -n).' : `--processes ${enough} would do, or raise the limit (ulimit -n).`;
    return `${text(clients)} clients${offices > 0 ? ` at ${text(offices)} offices` : ''} in ${processes} process(es) need ${text(needed)} descriptors in each, and a process may have ${text(room.descriptors)}. ${advice}`;
  }
  const endpoints = Math.min(targets, servers);
  if (clients > room.ports * endpoints) {
    const wanted = Math.ceil(clients / room.ports);
    return `${text(clients)} clients at once need ${text(clients)} local ports, and there are ${text(room.ports)} to each of the ${endpoints} address(es) that they or the relays connect to. At least ${wanted} are needed (--processes, more agents), or a wider net.ipv4.ip_local_port_range.`;
  }
  return undefined;
}

function descriptorsPerProcess({ clients, offices }: Wish, processes: number): number {
  const perClient = offices > 0 ? DESCRIPTORS_PER_AGENT_CLIENT : DESCRIPTORS_PER_CLIENT;
  return OWN_DESCRIPTORS + Math.ceil(clients / processes) * perClient + Math.ceil(offices / processes) * DESCRIPTORS_PER_OFFICE;
}

function text(count: number): string {
  return count.toLocaleString('en');
}
