import { once } from 'node:events';
import type { TLSSocket } from 'node:tls';
import { ChannelError, connectEndpoint, ControlConnection, secureContext, SessionStore } from '@sekisho/channel';
import { CONTROL_ALPN, macBytes, type Message, PROTOCOL_VERSIONS } from '@sekisho/wire';

/** Devices that ask one manager for leases, in a process of their own: what they cost is nobody else's. */

export interface DeviceKeys {
  readonly mac: string;
  readonly certPem: string;
  readonly keyPem: string;
}

export interface AgentsOrder {
  readonly port: number;
  readonly barePort: number;
  readonly caPem: string;
  readonly managerName: string;
  readonly devices: readonly DeviceKeys[];
}

/** `new`: connect, hello, lease, close; `resumed`: with a TLS session; `renewal`: hello and lease on a connection that stays. */
export interface LoadOrder {
  readonly kind: 'new' | 'resumed' | 'renewal';
  readonly seconds: number;
  /** Asks begun a second, answered or not; 0: as many as `atOnce` loops can. */
  readonly rate: number;
  readonly atOnce: number;
  /** At the server that has TLS and nothing else: a byte each way instead of hello and lease. */
  readonly isBare?: boolean;
}

/** To be carried out before what it costs is of interest: connections that stay, sessions to be resumed. */
export interface PrepareOrder {
  readonly prepare: LoadOrder;
}

export interface LoadResult {
  readonly done: number;
  readonly failed: number;
  readonly resumed: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

type Connection = ControlConnection<'lease' | 'refuse' | 'ping' | 'pong'>;
interface Device {
  readonly mac: Buffer;
  readonly context: ReturnType<typeof secureContext>;
  readonly sessions: SessionStore;
  connection: Connection | undefined;
  isBusy: boolean;
}

const ANSWER_MS = 10_000;
const MAX_BUFFERED_BYTES = 65_536;
/** A rate that cannot be had is given up after so many times the time it should take. */
const MAX_OVERRUN = 3;
/** Between two turns of a loop; each asks for all that is due by then. */
const TICK_MS = 1;

let order: AgentsOrder;
let devices: Device[] = [];
let turn = 0;

process.on('disconnect', () => process.exit());
process.on('message', (message: AgentsOrder | PrepareOrder | LoadOrder) => void obey(message));

async function obey(message: AgentsOrder | PrepareOrder | LoadOrder): Promise<void> {
  if ('kind' in message) process.send?.(await load(message));
  else {
    await ('prepare' in message ? prepare(message.prepare) : begin(message));
    process.send?.({ ready: true });
  }
}

function begin(message: AgentsOrder): void {
  order = message;
  const { caPem } = message;
  devices = message.devices.map(({ mac, certPem, keyPem }) => ({
    mac: macBytes(mac),
    context: secureContext({ caPem, certPem, keyPem }),
    sessions: new SessionStore(),
    connection: undefined,
    isBusy: false,
  }));
}

async function prepare(wanted: LoadOrder): Promise<void> {
  if (wanted.kind === 'renewal') return connectAll();
  for (const device of devices) {
    device.connection?.close();
    device.connection = undefined;
    if (wanted.kind === 'resumed') await meet(device, wanted);
  }
}

async function load(wanted: LoadOrder): Promise<LoadResult> {
  const latenciesMs: number[] = [];
  let failed = 0;
  let resumed = 0;
  const one = async (device: Device, dueMs: number): Promise<void> => {
    device.isBusy = true;
    try {
      if (wanted.kind === 'renewal') await ask(device.connection, device);
      else if (await meet(device, wanted)) resumed += 1;
      latenciesMs.push(performance.now() - dueMs);
    } catch (error) {
      if (!(error instanceof ChannelError)) throw error;
      failed += 1;
    } finally {
      device.isBusy = false;
    }
  };
  const beganMs = performance.now();
  await (wanted.rate === 0 ? closedLoop(wanted, one) : openLoop(wanted, one));
  const seconds = (performance.now() - beganMs) / 1000;
  latenciesMs.sort((a, b) => a - b);
  const at = (share: number): number => latenciesMs[Math.floor(latenciesMs.length * share)] ?? Number.NaN;
  return { done: latenciesMs.length, failed, resumed, seconds, p50Ms: at(0.5), p99Ms: at(0.99) };
}

async function closedLoop({ atOnce, seconds }: LoadOrder, one: (device: Device, dueMs: number) => Promise<void>): Promise<void> {
  const untilMs = performance.now() + seconds * 1000;
  const loop = async (): Promise<void> => {
    while (performance.now() < untilMs) {
      const device = next();
      if (device === undefined) await nextTurn();
      else await one(device, performance.now());
    }
  };
  await Promise.all(Array.from({ length: atOnce }, loop));
}

/** Begins at the rate whatever the answers do, for as long as a device is free: the wait is measured from when it was due. */
async function openLoop({ rate, seconds }: LoadOrder, one: (device: Device, dueMs: number) => Promise<void>): Promise<void> {
  const beganMs = performance.now();
  const total = Math.floor(rate * seconds);
  const waiting = new Set<Promise<void>>();
  let begun = 0;
  while (begun < total && performance.now() < beganMs + seconds * 1000 * MAX_OVERRUN) {
    const due = Math.min(total, Math.floor(((performance.now() - beganMs) / 1000) * rate));
    for (let device = begun < due ? next() : undefined; device !== undefined; device = begun < due ? next() : undefined) {
      const asked = one(device, beganMs + (begun / rate) * 1000);
      begun += 1;
      waiting.add(asked);
      void asked.finally(() => waiting.delete(asked));
    }
    await nextTurn();
  }
  await Promise.all(waiting);
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, TICK_MS));

/** Whose turn it is, passing over who still waits for an answer; undefined when all do. */
function next(): Device | undefined {
  for (let tried = 0; tried < devices.length; tried += 1) {
    turn = (turn + 1) % devices.length;
    const device = devices[turn];
    if (device !== undefined && !device.isBusy) return device;
  }
  return undefined;
}

/** One life of a device that was not there before; true when its TLS session was an old one. */
async function meet(device: Device, { kind, isBare = false }: LoadOrder): Promise<boolean> {
  const sessions = kind === 'resumed' ? device.sessions : undefined;
  const socket = await open(device, isBare ? order.barePort : order.port, sessions);
  if (isBare) await exchangeByte(socket);
  else {
    const connection = controlOf(socket);
    try {
      await ask(connection, device);
    } finally {
      connection.close();
    }
  }
  return socket.isSessionReused();
}

async function exchangeByte(socket: TLSSocket): Promise<void> {
  const ended = once(socket.resume(), 'end');
  socket.write('.');
  await ended;
  socket.end();
}

function open({ context }: Device, port: number, sessions?: SessionStore): Promise<TLSSocket> {
  return connectEndpoint({
    host: '127.0.0.1',
    port,
    context,
    alpn: CONTROL_ALPN,
    expect: { role: 'manager', serverName: order.managerName },
    timeoutMs: ANSWER_MS,
    sessions,
  });
}

function controlOf(socket: TLSSocket): Connection {
  return new ControlConnection<'lease' | 'refuse' | 'ping' | 'pong'>(
    socket,
    { accepts: ['lease', 'refuse', 'ping', 'pong'], maxPending: 4, maxBufferedBytes: MAX_BUFFERED_BYTES },
    { onMessage: () => {}, onClose: () => {} },
  );
}

async function ask(connection: Connection | undefined, { mac }: Device): Promise<void> {
  const hello: Omit<Message<'hello'>, 'id'> = {
    type: 'hello',
    versions: Buffer.from(PROTOCOL_VERSIONS),
    software: 'bench',
    mac,
    relay: 's1',
    avoid: [],
    direct: 0,
  };
  const answer = await connection?.ask<'hello'>(hello, ANSWER_MS);
  if (answer?.type !== 'lease') throw new Error(`no lease but ${JSON.stringify(answer)}`);
}

async function connectAll(): Promise<void> {
  for (const device of devices) device.connection ??= controlOf(await open(device, order.port));
}
