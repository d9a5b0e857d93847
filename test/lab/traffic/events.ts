/** What the clients of an office tell of each attempt, as lines of JSON. */
export interface Attempt {
  readonly kind: 'submission' | 'fetch';
  readonly protocol: 'smtp' | 'smtps' | 'pop3' | 'imap';
  /** Of the mail; a fetch has none. */
  readonly id?: string;
  readonly hash?: string;
  readonly infected?: boolean;
  /** The client's end, `address:port`, by which the agent's line about the session is found. */
  readonly client: string;
  readonly startedAt: number;
  readonly endedAt: number;
  /** From the connection to the server's greeting, or to the end if there was none: what the client waited for a decision. */
  readonly decisionMs: number;
  readonly greeted: boolean;
  /** The longest silence after the greeting. */
  readonly longestWaitMs: number;
  /**
   * `accepted`: 250, or all was fetched right. `infected`: refused as a virus, for good. `later`: a temporary refusal. `refused`: another
   * permanent one. `broken`: the conversation broke off, or nobody took the connection. `altered`: what was fetched is not what is stored.
   */
  readonly outcome: 'accepted' | 'infected' | 'later' | 'refused' | 'broken' | 'altered';
  readonly reply: string;
  /** The virus came through to the client. */
  readonly virusFetched?: boolean;
}

/** Orders for the clients: `idle` is answered once nothing is under way any more, `abandon` gives up what is. */
export type Order = { readonly order: 'start' } | { readonly order: 'finish' } | { readonly order: 'abandon' };

export type Report =
  | { readonly report: 'attempt'; readonly attempt: Attempt }
  | { readonly report: 'sent'; readonly id: string; readonly hash: string; readonly infected: boolean }
  /** A mail that was given up without a final answer. */
  | { readonly report: 'abandoned'; readonly id: string; readonly reply: string }
  | { readonly report: 'idle' };

/** What the clients are to do, as their process is told it. */
export interface TrafficInit {
  readonly office: number;
  readonly seed: number;
  /** A UNIX socket at which orders come and to which reports go. */
  readonly socketPath: string;
  readonly smtp: Target;
  readonly submission: Target;
  readonly smtps: Target;
  readonly pop3: Target;
  readonly imap: Target;
  /** For some of the mails. */
  readonly smtp6: Target;
  readonly recipient: string;
  readonly pop3Box: Box;
  readonly imapBox: Box;
  /** Between two mails of one client. */
  readonly pauseMs: number;
}

export interface Target {
  readonly host: string;
  readonly port: number;
}

export interface Box {
  readonly user: string;
  readonly password: string;
  /** SHA-256 of what is in it, in order; the infected ones are named. */
  readonly mails: readonly { readonly hash: string; readonly infected: boolean }[];
}
