import { Refusal } from '@sekisho/wire';

export interface CapsInit {
  readonly maxSessions: number;
  readonly maxDevices: number;
  readonly maxSessionsPerDevice: number;
}

/** A device that comes back before its dead connection was noticed has two; more than a few are not one device. */
export const MAX_CONNECTIONS_PER_DEVICE = 8;

interface Use {
  connections: number;
  sessions: number;
}

/** Who uses how much of a worker: connections and sessions, in all and by device. */
export class Caps {
  readonly #init: CapsInit;
  readonly #devices = new Map<string, Use>();
  #connections = 0;
  #sessions = 0;

  constructor(init: CapsInit) {
    this.#init = init;
  }

  /** Admitted connections. */
  get connections(): number {
    return this.#connections;
  }

  /** Sessions from their preamble to their end, refused ones not counted. */
  get sessions(): number {
    return this.#sessions;
  }

  /** @throws Refusal FULL or DEVICE_FULL, and then nothing is counted */
  beginConnection(mac: string): void {
    const use = this.#devices.get(mac) ?? { connections: 0, sessions: 0 };
    if (this.#connections >= this.#init.maxDevices) throw new Refusal('FULL', 'this relay has all the devices it can serve');
    if (use.connections >= MAX_CONNECTIONS_PER_DEVICE)
      throw new Refusal('DEVICE_FULL', `the device already has ${use.connections} connections`);
    use.connections += 1;
    this.#connections += 1;
    this.#devices.set(mac, use);
  }

  /** A session may outlive its connection: both its sides have ended, and the destination has not read all of it yet. */
  endConnection(mac: string): void {
    const use = this.#devices.get(mac);
    if (use === undefined) return;
    use.connections -= 1;
    this.#connections -= 1;
    this.#forget(mac, use);
  }

  /** @throws Refusal FULL or DEVICE_FULL, and then nothing is counted */
  beginSession(mac: string): void {
    const use = this.#devices.get(mac);
    if (use === undefined || use.connections === 0)
      throw new Refusal('TICKET_REQUIRED', 'the device has no connection that was admitted');
    if (use.sessions >= this.#init.maxSessionsPerDevice)
      throw new Refusal('DEVICE_FULL', `the device already has ${use.sessions} sessions`);
    if (this.#sessions >= this.#init.maxSessions)
      throw new Refusal('FULL', 'this relay has all the sessions it can serve');
    use.sessions += 1;
    this.#sessions += 1;
  }

  endSession(mac: string): void {
    const use = this.#devices.get(mac);
    if (use === undefined) return;
    use.sessions -= 1;
    this.#sessions -= 1;
    this.#forget(mac, use);
  }

  #forget(mac: string, { connections, sessions }: Use): void {
    if (connections === 0 && sessions === 0) this.#devices.delete(mac);
  }
}
