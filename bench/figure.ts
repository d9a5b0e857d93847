/** Whom a figure may be about. `direct` is no proxy at all. */
export const CANDIDATES = ['ours', 'haproxy_tls', 'haproxy_mtls', 'haproxy', 'nginx', 'nginx_mail', 'haraka', 'direct'] as const;
export type Candidate = (typeof CANDIDATES)[number];

/** What each candidate is, for the legend of a report. */
export const CANDIDATE_TITLES: Readonly<Record<Candidate, string>> = {
  ours: 'Sekisho: agent and relay',
  haproxy_tls: 'two HAProxies, TLS 1.3 (resumed) and PROXY v2 between them, no certificate of the first',
  haproxy_mtls: 'the same with a certificate of the first, as ours has',
  haproxy: 'one HAProxy, plain TCP',
  nginx: 'one nginx stream, plain TCP',
  nginx_mail: 'one nginx as SMTP proxy (mail module)',
  haraka: 'one Haraka as SMTP proxy (queue/smtp_proxy)',
  direct: 'no proxy',
};

/** One measured thing: medians, by candidate. A candidate that was not measured is not in it. */
export interface Figure {
  /** Such as `relay.cpu_per_gb.up`. */
  readonly name: string;
  readonly unit: string;
  readonly values: Readonly<Partial<Record<Candidate, number>>>;
  /** How far the rounds lie apart, as a share of their median; of figures that have rounds. */
  readonly spreads?: Readonly<Partial<Record<Candidate, number>>>;
}
