import type { NoticePattern } from './patterns/pattern.ts';
import type { NoticeUser } from './users.ts';

/** How virus notices are taken in. Everything is read from files already; durations in ms, sizes in bytes. */
export interface NoticeSettings {
  readonly listen: { readonly host: string; readonly port: number };
  /** Networks whose gateways need not log in: `192.0.2.0/24`. */
  readonly allow: readonly string[];
  /** From parseUsers. Log-ins are taken over TLS, and without it from loopback only. */
  readonly users: readonly NoticeUser[];
  /** Not set: STARTTLS is not offered. */
  readonly tls: { readonly certPem: string; readonly keyPem: string } | undefined;
  readonly maxBytes: number;
  /** Notices of one address; more are answered 450, and the gateway sends them later. */
  readonly maxPerMinute: number;
  /** The operator's, tried in their order before the built-in ones. */
  readonly patterns: readonly NoticePattern[];
  readonly builtInPatterns: boolean;
  /** Where notices are kept that no pattern fits. */
  readonly kept: { readonly directory: string; readonly maxFiles: number; readonly maxBytes: number };
}
