import { isIP } from 'node:net';
import { printable } from '@sekisho/telemetry';
import type { Level } from './level.ts';
import { keyOf, type Sighting } from './sighting.ts';
import { TopList, type TopNames } from './top-list.ts';

/** What is known of the detections of one outbreak. Times are milliseconds since 1970. */
export interface TallySummary {
  readonly count: number;
  readonly lastAt: number;
  readonly signatures: TopNames;
  /** MAC addresses; of the outbreak of a contact only those that the registry gives to it. */
  readonly devices: TopNames;
  /** Addresses in offices. */
  readonly clients: TopNames;
  readonly destinations: TopNames;
  /** Relays and gateways. */
  readonly reporters: TopNames;
}

/** Characters of a stranger's name that are counted by. */
const MAX_NAME_CHARS = 100;

/** Counts the detections of one outbreak. */
export class Tally {
  readonly #level: Level;
  #count = 0;
  #lastAt: number;
  #signatures = new TopList();
  #devices = new TopList();
  #clients = new TopList();
  #destinations = new TopList();
  #reporters = new TopList();

  constructor(level: Level, lastAt: number) {
    this.#level = level;
    this.#lastAt = lastAt;
  }

  /** Goes on from what was kept, when the log no longer has all of it. */
  static from(level: Level, summary: TallySummary): Tally {
    const tally = new Tally(level, summary.lastAt);
    tally.#count = summary.count;
    tally.#signatures = TopList.from(summary.signatures);
    tally.#devices = TopList.from(summary.devices);
    tally.#clients = TopList.from(summary.clients);
    tally.#destinations = TopList.from(summary.destinations);
    tally.#reporters = TopList.from(summary.reporters);
    return tally;
  }

  get count(): number {
    return this.#count;
  }

  get lastAt(): number {
    return this.#lastAt;
  }

  /** @param at when it was found; not later than now */
  add(sighting: Sighting, at: number): void {
    const { mac, signature, client, destination, reporter } = sighting.detection;
    this.#count += 1;
    this.#lastAt = Math.max(this.#lastAt, at);
    this.#signatures.add(cut(signature));
    if (mac !== null && this.#owns(sighting)) this.#devices.add(mac);
    if (client !== null) this.#clients.add(cut(withoutPort(client)));
    if (destination !== null) this.#destinations.add(cut(destination));
    this.#reporters.add(cut(reporter));
  }

  /** A machine whose clock was ahead must not keep an outbreak alive. */
  notAfter(nowMs: number): void {
    this.#lastAt = Math.min(this.#lastAt, nowMs);
  }

  summary(): TallySummary {
    return {
      count: this.#count,
      lastAt: this.#lastAt,
      signatures: this.#signatures.names(),
      devices: this.#devices.names(),
      clients: this.#clients.names(),
      destinations: this.#destinations.names(),
      reporters: this.#reporters.names(),
    };
  }

  /** A notice may claim any contact; a customer is told of none but his own devices. */
  #owns(sighting: Sighting): boolean {
    return this.#level !== 'contact' || keyOf('contact', sighting) === sighting.registeredContact.trim().toLowerCase();
  }
}

function cut(name: string): string {
  return printable(name).slice(0, MAX_NAME_CHARS).toWellFormed();
}

/** Each connection of a machine has another port. */
function withoutPort(client: string): string {
  const [, v6, v4] = /^(?:\[([0-9a-f:.]+)\]|([\d.]+)):\d{1,5}$/iu.exec(client) ?? [];
  const address = v6 ?? v4 ?? '';
  return isIP(address) === 0 ? client : address;
}
