/**
 * Every address of the lab, from the ranges for documentation (RFC 5737, RFC 3849), in network namespaces that reach nobody
 * else. The relays are told that these may be destinations, which they refuse otherwise.
 */
export interface SitePlan {
  readonly name: string;
  /** Of its line, at the internet's end. */
  readonly gateway: string;
  /** Of its five servers; the first two manage. */
  readonly servers: readonly string[];
  /** For mail servers that are dialled over IPv6. */
  readonly v6: { readonly gateway: string; readonly address: string };
}

export interface OfficePlan {
  readonly name: string;
  readonly mac: string;
  /** Its line: the internet's end and the router's. */
  readonly line: { readonly gateway: string; readonly router: string; readonly gateway6: string; readonly router6: string };
  readonly lan: { readonly router: string; readonly client: string; readonly router6: string; readonly client6: string };
}

const SERVERS_PER_SITE = 5;
/** A /28: 14 addresses for the internet's end and up to 13 servers. */
export const SITE_PREFIX = 28;
export const LINE_PREFIX = 30;
export const LAN_PREFIX = 24;
export const PREFIX_6 = 64;

/** The three sites of the lab, and one that is set up and enters DNS in a scenario. */
export const SITES: readonly SitePlan[] = ['tokyo-1', 'osaka-1', 'fukuoka-1', 'nagoya-1'].map((name, index) => {
  const first = 16 * (index + 1);
  const address = (offset: number): string => `198.51.100.${first + offset}`;
  const servers = Array.from({ length: SERVERS_PER_SITE }, (_, server) => address(2 + server));
  return { name, gateway: address(1), servers, v6: { gateway: `2001:db8:5${index}::1`, address: `2001:db8:5${index}::2` } };
});

export const OFFICES: readonly OfficePlan[] = ['kita', 'minami'].map((name, index) => ({
  name,
  mac: `02:00:5e:15:00:0${index + 1}`,
  line: {
    gateway: `192.0.2.${4 * index + 1}`,
    router: `192.0.2.${4 * index + 2}`,
    gateway6: `2001:db8:${index + 1}::1`,
    router6: `2001:db8:${index + 1}::2`,
  },
  lan: {
    router: `10.${index + 1}.0.1`,
    client: `10.${index + 1}.0.2`,
    router6: `2001:db8:a${index + 1}::1`,
    client6: `2001:db8:a${index + 1}::2`,
  },
}));

export const MAIL = { gateway: '203.0.113.26', address: '203.0.113.25', gateway6: '2001:db8:25::1', address6: '2001:db8:25::25' };
export const DNS = { gateway: '203.0.113.54', address: '203.0.113.53' };
/** The operator's desk: Prometheus runs there. */
export const OPERATOR = { gateway: '203.0.113.130', address: '203.0.113.129' };
/** Nobody's; a poisoned answer of DNS leads there. */
export const IMPOSTOR = { gateway: '203.0.113.66', address: '203.0.113.65' };

/** What site.yaml lists as `relay.destinations.allow`. */
export const MAIL_NETWORKS = [`${MAIL.address}/32`, `${MAIL.address6}/128`];

export const MANAGER_NAME = 'manager.sekisho.test';
/** Short, and so is the agents' dns.minTtl, so that scenarios that wait for a TTL end in time. */
export const ZONE_TTL_S = 5;

/** Where an agent takes what its router intercepts; the default of agent.yaml. */
export const INTERCEPT_PORT = 7029;

export const METRICS_PORTS = { manager: 9460, relay: 9461, auth: 9462, agent: 9464 } as const;
