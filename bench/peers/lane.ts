import type { Candidate } from '../figure.ts';

/** Where the load ends. */
export interface Destinations {
  readonly smtp: number;
  readonly bulk: number;
}

/** A started candidate: where its clients connect for each destination, and whose CPU and memory count. */
export interface Lane {
  readonly name: Candidate;
  /** On 127.0.0.1. A proxy of SMTP alone has no way to the bulk destination. */
  readonly ports: { readonly smtp: number; readonly bulk?: number };
  /** Roots of process trees. A single proxy is compared with the relay and has no other half. */
  readonly halves: { readonly relay?: number; readonly agent?: number };
  /** Where memory is collected now and then: now. */
  collectGarbage?(): Promise<void>;
  stop(): Promise<void>;
}

/** A candidate that cannot take part here, and why: said in the report. */
export class Unavailable extends Error {
  override readonly name = 'Unavailable';
}

/** The certificates that ours runs with, and the TLS that it negotiates; the others are given the same. */
export interface SharedTls {
  /** PEM. */
  readonly ca: string;
  /** Certificate and key, PEM, of the half that listens and of the half that connects. */
  readonly server: string;
  readonly client: string;
  readonly cipherSuite: string;
}
