import type { RefusalCode, RelayAddress } from '@sekisho/wire';
import type { Lease } from './lease-state.ts';

/** Why a client is connected directly to its destination; a closed set. None of them is a refusal. */
export const DIRECT_REASONS = ['dns_empty', 'managers_silent', 'managers_absent', 'relay_unreachable'] as const;
export type DirectReason = (typeof DIRECT_REASONS)[number];

/** `closed`: a client is told to try later where `open` would connect it directly. */
export type FailMode = 'open' | 'closed';

/** What is known of the way to one relay. */
export type LinkState =
  | 'ready'
  | 'opening'
  /** Not opened, and nothing speaks against it. */
  | 'idle'
  /** It left a session without an answer a moment ago, and nothing was heard since. */
  | 'suspect'
  /** The last attempt failed; it is being tried again in the background. */
  | 'unreachable'
  /** It takes no new sessions. */
  | 'draining'
  /** It answered, with a no. */
  | { readonly refused: RefusalCode };

export type Route =
  /** Through these relays, in this order. */
  | { readonly kind: 'relayed'; readonly lease: Lease; readonly relays: readonly RelayAddress[] }
  | { readonly kind: 'direct'; readonly reason: DirectReason }
  | { readonly kind: 'refuse'; readonly code: RefusalCode }
  /** An answer is on its way: decide again when something changes, but not later than the client's own deadline. */
  | { readonly kind: 'wait' };

export interface RouteView {
  /** Only while it is valid. */
  readonly lease: Lease | undefined;
  /** A manager's no. */
  readonly refusal: RefusalCode | undefined;
  /** Why there is no manager, once that is known. */
  readonly absence: DirectReason | undefined;
  /** A hello was just sent whose answer may name other relays. */
  readonly leaseIsComing: boolean;
  readonly failMode: FailMode;
  readonly link: (lease: Lease, relay: RelayAddress) => LinkState;
}

/**
 * Decides how a new client connection goes. A refusal, of a manager or of a relay, never ends in `direct`; only
 * silence and absence do, and only with failMode `open` (threats: fail-open used as an attack).
 */
export function decideRoute(view: RouteView): Route {
  if (view.lease !== undefined) return throughRelays(view, view.lease);
  if (view.refusal !== undefined) return { kind: 'refuse', code: view.refusal };
  if (view.absence !== undefined) return withoutMesh(view.failMode, view.absence);
  return { kind: 'wait' };
}

/** Nobody is there: directly, or not at all. */
export function withoutMesh(failMode: FailMode, reason: DirectReason): Extract<Route, { kind: 'direct' | 'refuse' }> {
  return failMode === 'open' ? { kind: 'direct', reason } : { kind: 'refuse', code: 'NO_RELAY' };
}

function throughRelays(view: RouteView, lease: Lease): Route {
  const good: RelayAddress[] = [];
  const suspect: RelayAddress[] = [];
  let refused: RefusalCode | undefined;
  let draining = false;
  for (const relay of lease.relays) {
    const state = view.link(lease, relay);
    if (typeof state === 'object') refused ??= state.refused;
    else if (state === 'draining') draining = true;
    else if (state === 'suspect') suspect.push(relay);
    else if (state !== 'unreachable') good.push(relay);
  }
  if (good.length + suspect.length > 0) return { kind: 'relayed', lease, relays: [...good, ...suspect] };
  if (view.leaseIsComing) return { kind: 'wait' };
  const no = refused ?? view.refusal;
  if (no !== undefined) return { kind: 'refuse', code: no };
  if (!draining) return withoutMesh(view.failMode, 'relay_unreachable');
  // Draining is no decision about us: when no manager can name another relay either, nobody is there.
  return view.absence === undefined ? { kind: 'refuse', code: 'DRAINING' } : withoutMesh(view.failMode, view.absence);
}
