import type { MailProtocol } from '@sekisho/wire';

/** A virus that was found, on its way from a worker to the managers of the site. Plain data: it passes between processes. */
export interface Detection {
  /** Names it for good: told twice, it counts once. */
  readonly key: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly mac: string;
  readonly signature: string;
  readonly protocol: MailProtocol;
  readonly client: string;
  readonly destination: string;
  /** Hexadecimal. */
  readonly session: string;
}
