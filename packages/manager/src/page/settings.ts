/** Where and how a manager serves its status page. */
export interface PageSettings {
  readonly host: string;
  readonly port: number;
  /** Names, with a port or without, by which the page may be called besides its address and loopback. */
  readonly hosts: readonly string[];
  /** SHA-256 of the token that lets give orders; not set: the page is read-only. */
  readonly tokenDigest?: Buffer | undefined;
  /** One sample of the history in so long; HISTORY_STEP_MS unless a test is in a hurry. */
  readonly historyStepMs?: number | undefined;
}
