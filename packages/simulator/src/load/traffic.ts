import type { Mix } from './mix.ts';

/** What the clients of a load process do. */
export interface Traffic {
  /** At once; with an open loop the most that may be. */
  readonly clients: number;
  /** `closed`: each client begins its next session when the last is over, after a pause. `open`: sessions begin at this rate whatever becomes of them. */
  readonly loop: { readonly kind: 'closed'; readonly thinkMs: number } | { readonly kind: 'open'; readonly perSecond: number };
  readonly mix: Mix;
  /** Mail after mail in each session until the end, instead of one. */
  readonly bulk: boolean;
  /** Of one client, in each direction; undefined: as fast as it goes. */
  readonly clientBytesPerSecond: number | undefined;
  /** A session in which no byte moves for so long has failed. */
  readonly timeoutMs: number;
}
