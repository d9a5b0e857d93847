import type { ManagerSet } from './manager-set.ts';
import type { MoveReason } from './moves.ts';
import { inRandomOrder } from './random-order.ts';

/** What a search is to be. */
export interface SearchPlan {
  /** Undefined: there was no manager before. */
  readonly reason: MoveReason | undefined;
  /** Only these are asked. */
  readonly only?: readonly string[] | undefined;
  /** A manager that takes longer is no better than the one that we have. */
  readonly withinMs?: number | undefined;
}

/** So many are asked whether they are quicker than a site that is slow. */
const SLOW_CANDIDATES = 2;

/** Whom a search asks, in order. Pure: as things are when the first is asked for. */
export function queueOf(
  { managers, random }: { readonly managers: ManagerSet; readonly random: () => number },
  {
    nowMs,
    plan,
    site,
    isShunned,
    isBarred,
  }: {
    readonly nowMs: number;
    readonly plan: SearchPlan | undefined;
    /** Of the last lease. */
    readonly site: string | undefined;
    readonly isShunned: (site: string) => boolean;
    /** Not even when nobody else is left. */
    readonly isBarred: (site: string) => boolean;
  },
): Iterable<string> {
  if (plan?.only !== undefined) return inRandomOrder(plan.only.filter((address) => managers.has(address)), random);
  // A shunned site is better than none: it may be well again, and clients would go directly.
  if (plan?.reason === 'relays') return managers.livingElsewhere((other) => other === site || isBarred(other), isShunned);
  if (plan?.reason === 'slow') return firstOf(managers.livingElsewhere((other) => other === site || isShunned(other)), SLOW_CANDIDATES);
  // Who is silent is probably not alone in its site.
  return managers.candidates(nowMs, (other) => (plan?.reason === 'silent' && other === site) || isShunned(other));
}

function* firstOf<T>(items: Iterable<T>, count: number): Generator<T, void, undefined> {
  let left = count;
  for (const item of items) {
    if (left === 0) return;
    left -= 1;
    yield item;
  }
}
