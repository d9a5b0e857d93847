import type { Message } from '@sekisho/wire';

/** Clocks of two servers that are further apart are told of; tickets fail at 60 s. */
export const CLOCK_DIFFERS_MS = 5000;

/** What a server says of itself in a welcome besides its name. The digests say nothing of what they were made from. */
export interface About {
  /** Of the software, such as `0.1.0`. */
  readonly version: string;
  /** Digest of its whole configuration: the same at every server of a site. */
  readonly config: string;
  /** Digest of what must be the same at every site. */
  readonly stack: string;
}

export interface WelcomeInit {
  /** Of the software: `sekisho-manager`. */
  readonly software: string;
  readonly site: string;
  readonly name: string;
  readonly about?: About | undefined;
}

/** The answer to a hello, with the clock of this machine. */
export function welcomeMessage(init: WelcomeInit, answer: { readonly id: number; readonly version: number }): Message<'welcome'> {
  const { site, name, about } = init;
  const software = about === undefined ? init.software : `${init.software}/${about.version}`;
  const digests = about === undefined ? {} : { config: about.config, stack: about.stack };
  return { type: 'welcome', ...answer, software, name, site, at: Date.now(), ...digests };
}

const DIGITS = 12;

/** A digest as the value of a gauge: its first 48 bits, which a double holds exactly; 0 when there is none. */
export function digestNumber(digest: string | undefined): number {
  return digest === undefined ? 0 : Number.parseInt(digest.slice(0, DIGITS), 16);
}
