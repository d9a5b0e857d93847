import type { NoticeSettings } from './notices/settings.ts';
import type { BoardInit } from './core/board.ts';

/** The mail server that takes our alerts and delivers them. */
export interface SubmissionSettings {
  readonly host: string;
  readonly port: number;
  /** `starttls`: no alert goes out without it. */
  readonly tls: 'starttls' | 'implicit' | 'none';
  /** The CA of its certificate in PEM; undefined: those that the system trusts. */
  readonly caPem?: string | undefined;
  readonly login?: { readonly user: string; readonly password: string } | undefined;
  /** The sender of alerts. */
  readonly from: string;
}

export interface WebhookSettings {
  readonly url: string;
  /** Of the signature. */
  readonly secret: string;
}

/** Everything that a watch is told. Times in milliseconds. */
export interface OutbreakSettings extends BoardInit {
  readonly site: string;
  /** The name of this server in the site. */
  readonly name: string;
  /** Addresses of the administrators: each gets a mail of its own. */
  readonly to: readonly string[];
  /** Whether the customer whose device it is is told as well, at the address in the registry. */
  readonly toCustomer: boolean;
  readonly submission: SubmissionSettings;
  readonly webhook?: WebhookSettings | undefined;
  /** How virus notices of other gateways are taken in; undefined: they are not. */
  readonly notices?: NoticeSettings | undefined;

  /** How often the store is looked at. */
  readonly pollMs?: number | undefined;
  /** Pause after the first failure to send; it doubles. */
  readonly firstRetryMs?: number | undefined;
  /** How long the store must have answered without a pause before an outbreak may end; never longer than `clearAfterMs` by default. */
  readonly settleMs?: number | undefined;
}

export const POLL_MS = 1000;
export const FIRST_RETRY_MS = 5000;
/** Relays that could not reach the store either have told it by then what they found meanwhile. */
export const SETTLE_MS = 60_000;
