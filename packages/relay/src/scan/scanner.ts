/** Why a message could not be judged: a closed set, for policy and metrics (docs/inspection.md). */
export const UNSCANNABLE_CAUSES = ['too_big', 'limits', 'encrypted', 'scanner_down', 'timeout', 'no_room', 'ambiguous'] as const;
export type UnscannableCause = (typeof UNSCANNABLE_CAUSES)[number];

/** What is known of a message in the end. */
export type ScanResult =
  | { readonly kind: 'clean' }
  /** The signature is printable ASCII of at most MAX_SIGNATURE_CHARS. */
  | { readonly kind: 'infected'; readonly signature: string }
  /** The detail may quote a scanner. */
  | { readonly kind: 'unscannable'; readonly cause: UnscannableCause; readonly detail: string };

/** What one scanner made of it: a result, or no result from this one. */
export type ScanOutcome =
  | ScanResult
  | { readonly kind: 'failed'; readonly why: string }
  /** The content itself could not be read: no other scanner can do better. */
  | { readonly kind: 'unreadable'; readonly why: string };

/** Content that can be read more than once, so that another scanner can take over. */
export interface ScanSource {
  /** About how much it is, for logs. */
  readonly bytes: number;
  /** A chunk holds its bytes until the next but one is asked for. */
  chunks(): AsyncIterable<Buffer>;
}
