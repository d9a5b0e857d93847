import type { Random } from '../load/random.ts';
import type { LoadCurve } from './load-curve.ts';
import type { SiteScenario } from './scenario.ts';
import type { VirtualManager } from './virtual-manager.ts';
import type { Health, SessionShape, VirtualRelay } from './virtual-relay.ts';

export interface SiteComponents {
  readonly random: Random;
  readonly curve: LoadCurve;
}

export interface SiteInit {
  readonly index: number;
  readonly scenario: SiteScenario;
  readonly relays: readonly VirtualRelay[];
  readonly session: SessionShape;
  readonly startMs: number;
}

/** One site: relays behind a line that they share. Both directions of the line carry the same, since all that comes in goes out. */
export class VirtualSite {
  readonly index: number;
  readonly name: string;
  readonly roundTripMs: number;
  readonly relays: readonly VirtualRelay[];
  /** Filled once, by whoever makes the mesh. */
  readonly managers: VirtualManager[] = [];
  inZone: boolean;
  /** What is left of the line. */
  lineFactor = 1;
  /** What its sessions want of the line, 1 is all of it. */
  lineDemand = 0;
  readonly #components: SiteComponents;
  readonly #session: SessionShape;
  readonly #lineBytesPerMs: number;
  #advancedToMs: number;

  constructor(components: SiteComponents, init: SiteInit) {
    this.#components = components;
    this.index = init.index;
    this.name = init.scenario.name;
    this.roundTripMs = init.scenario.roundTripMs;
    this.relays = init.relays;
    this.inZone = init.scenario.inZone;
    this.#session = init.session;
    this.#lineBytesPerMs = init.scenario.lineBitsPerSecond / 8000;
    this.#advancedToMs = init.startMs;
  }

  /** Its relays know what was ordered of the line, not what is left of it. */
  get nominalBytesPerMs(): number {
    return this.#lineBytesPerMs;
  }

  /** What the line carries of what it can, 0 to 1. */
  get lineUse(): number {
    return Math.min(1, this.lineDemand);
  }

  become(health: Health, nowMs: number): number {
    let broken = 0;
    for (const relay of this.relays) broken += relay.become(health, nowMs);
    this.lineDemand = 0;
    return broken;
  }

  /** Brings the sessions up to this time. `onRefused` is told of those for which no relay of the site had room. */
  advance(nowMs: number, onRefused: (relay: VirtualRelay, sessions: number) => void): number {
    const dtMs = nowMs - this.#advancedToMs;
    if (dtMs <= 0) return 0;
    const { random, curve } = this.#components;
    const ratePerMs = curve.ratePerMs(nowMs - dtMs / 2);
    this.#advancedToMs = nowMs;
    let begun = 0;
    let sessions = 0;
    for (const relay of this.relays) {
      if (relay.health !== 'up') continue;
      begun += relay.advance(dtMs, ratePerMs, random);
    }
    for (const relay of this.relays) {
      if (relay.health !== 'up') continue;
      const refused = relay.overflow === 0 ? 0 : this.#spread(relay);
      if (refused > 0) onRefused(relay, refused);
      begun -= refused;
      sessions += relay.sessions;
    }
    this.lineDemand = (sessions * this.#session.bytes) / this.#session.ms / (this.#lineBytesPerMs * this.lineFactor);
    for (const relay of this.relays) relay.slowdown = Math.max(1, this.lineDemand, relay.cpu);
    return begun;
  }

  /** A session that finds its relay full races the second one of its lease, which is any of the others. */
  #spread(full: VirtualRelay): number {
    const others = this.relays.filter((relay) => relay !== full && relay.health === 'up' && !relay.isFull);
    let left = full.overflow;
    for (; left > 0 && others.length > 0; left -= 1) {
      const index = Math.floor(this.#components.random() * others.length);
      const other = others[index];
      if (other?.admit() !== true) break;
      if (other.isFull) others.splice(index, 1);
    }
    full.overflow = 0;
    return left;
  }
}
