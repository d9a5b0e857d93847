import { REFUSALS, type RefusalCode } from '@sekisho/wire';

export interface RelayRaceInit {
  /** How many relays may be tried, in order. */
  readonly relays: number;
  readonly startedAtMs: number;
  /** A relay that has not acknowledged the session for so long is raced against the next. */
  readonly ackTimeoutMs: number;
  readonly deadlineMs: number;
}

export type RaceVerdict =
  | { readonly kind: 'connected'; readonly relay: number }
  /** A relay answered with a no, or took the session and then had no answer in time. */
  | { readonly kind: 'refused'; readonly code: RefusalCode }
  /** No relay answered at all. */
  | { readonly kind: 'unreachable' };

type Leg = 'waiting' | 'open' | 'acked' | 'out';

/** What a relay says of the destination after it has tried: another one has a line and a resolver of its own. */
const ABOUT_DESTINATION: ReadonlySet<RefusalCode> = new Set([
  'DNS_FAILED',
  'DNS_NOT_FOUND',
  'CONNECT_TIMEOUT',
  'CONNECT_REFUSED',
  'CONNECT_UNREACHABLE',
]);

/** The site's own auth has just granted it: relay and auth do not agree, over the time or over their keys, and others may. */
const ABOUT_TICKET: ReadonlySet<RefusalCode> = new Set(['TICKET_EXPIRED', 'TICKET_INVALID', 'TICKET_MISMATCH']);

export function isAboutTicket(code: RefusalCode): boolean {
  return ABOUT_TICKET.has(code);
}

/**
 * One session's race through the relays of its lease: the first that is connected wins. The next relay is tried when the
 * last has not acknowledged the session in time, is lost, or says that another one may say yes. A relay that did not reach
 * the destination starts no other, and ends none that is on its way there. Pure.
 */
export class RelayRace {
  verdict: RaceVerdict | undefined = undefined;
  /** All were asked, and nobody has acknowledged the session in time: others are wanted. The answer may still come. */
  isSilent = false;
  readonly #init: RelayRaceInit;
  readonly #legs: Leg[];
  #next = 0;
  #lastOpenedAtMs = 0;
  /** The first no that was worth asking elsewhere. */
  #refusal: RefusalCode | undefined;
  /** The first relay that tried says that the destination cannot be reached. */
  #unreached: RefusalCode | undefined;

  constructor(init: RelayRaceInit) {
    this.#init = init;
    this.#legs = Array.from({ length: init.relays }, () => 'waiting');
  }

  /** When step() is due. */
  get wakeAtMs(): number {
    if (this.verdict !== undefined) return Number.POSITIVE_INFINITY;
    const { deadlineMs, ackTimeoutMs } = this.#init;
    return this.#isUnacknowledged && !this.isSilent ? Math.min(this.#lastOpenedAtMs + ackTimeoutMs, deadlineMs) : deadlineMs;
  }

  /** The relay through which the session is to be opened now, if any. Call it until it says undefined. */
  step(nowMs: number): number | undefined {
    if (this.verdict !== undefined) return undefined;
    if (nowMs >= this.#init.deadlineMs) {
      this.#unreached ??= this.#legs.includes('acked') ? 'CONNECT_TIMEOUT' : undefined;
      this.verdict = this.#failure();
      return undefined;
    }
    const noneRunning = !this.#legs.includes('open') && !this.#legs.includes('acked');
    const isOverdue = this.#isUnacknowledged && nowMs >= this.#lastOpenedAtMs + this.#init.ackTimeoutMs;
    if (!this.#isOneLeft) {
      if (noneRunning) this.verdict = this.#failure();
      else this.isSilent = isOverdue;
      return undefined;
    }
    if (!noneRunning && !isOverdue) return undefined;
    const relay = this.#next;
    this.#next += 1;
    this.#legs[relay] = 'open';
    this.#lastOpenedAtMs = nowMs;
    return relay;
  }

  /** A new lease names so many more: they come after those that were asked, who may still win. */
  extend(relays: number): void {
    for (let left = relays; left > 0; left -= 1) this.#legs.push('waiting');
    this.isSilent = false;
  }

  acked(relay: number): void {
    if (this.#legs[relay] === 'open') this.#legs[relay] = 'acked';
    this.isSilent = false;
  }

  connected(relay: number): void {
    this.verdict ??= { kind: 'connected', relay };
  }

  /**
   * A no to this session, or to the ticket. Only one that says so may be overruled by another relay; one about the
   * destination by those that are asked already.
   */
  refused(relay: number, code: RefusalCode): void {
    this.#legs[relay] = 'out';
    if (REFUSALS[code].elsewhere || isAboutTicket(code)) {
      this.#refusal ??= code;
      this.#handOver(relay);
    } else if (ABOUT_DESTINATION.has(code)) this.#unreached ??= code;
    else this.verdict ??= { kind: 'refused', code };
  }

  /** The way to this relay is gone, or was never there. */
  lost(relay: number): void {
    this.#legs[relay] = 'out';
    this.#handOver(relay);
  }

  /** The one that was asked last is out: the next is asked at once, though earlier ones may still answer. */
  #handOver(relay: number): void {
    if (relay === this.#next - 1) this.#lastOpenedAtMs = Number.NEGATIVE_INFINITY;
  }

  /** Whether another relay may be asked. */
  get #isOneLeft(): boolean {
    return this.#unreached === undefined && this.#next < this.#legs.length;
  }

  /** Somebody is asked, and nobody has said anything. */
  get #isUnacknowledged(): boolean {
    return this.#unreached === undefined && this.#legs.includes('open') && !this.#legs.includes('acked');
  }

  /** Who has tried the destination knows most. */
  #failure(): RaceVerdict {
    const code = this.#unreached ?? this.#refusal;
    return code === undefined ? { kind: 'unreachable' } : { kind: 'refused', code };
  }
}
