import type { InterceptConfig } from '../config/intercept-schema.ts';

/** What an office has of its own: RFC 1918, RFC 6598, RFC 3927, RFC 4193, RFC 4291 2.5.6. */
const PRIVATE_NETWORKS = ['10.0.0.0/8', '100.64.0.0/10', '169.254.0.0/16', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7', 'fe80::/10'];

/** The one table that is ours. */
export const TABLE = 'inet sekisho';
/** Emptied, no new connection is taken, and those that the agent has go on. */
export const TAKE_CHAIN = 'take';

/**
 * The rules in the language of nft(8), to be applied as one: what there was of ours before is replaced, and nothing else
 * is touched.
 *
 * A connection is taken by its first packet only. Connections that were there before the rules keep going where they went,
 * and those that the agent has stay with it when `take` is emptied: their packets find its socket.
 */
export function ruleset(config: InterceptConfig): string {
  const networks = [...(config.privateNetworks ? [] : PRIVATE_NETWORKS), ...config.exclude];
  const mark = `meta mark set meta mark | ${hex(config.mark)}`;
  const family = config.ipv6 ? '' : 'meta nfproto ipv4 ';
  return [
    `table ${TABLE}`,
    `delete table ${TABLE}`,
    `table ${TABLE} {`,
    ...excluded('exclude4', 'ipv4_addr', networks.filter((network) => !network.includes(':'))),
    ...excluded('exclude6', 'ipv6_addr', networks.filter((network) => network.includes(':'))),
    '  chain prerouting {',
    '    type filter hook prerouting priority mangle; policy accept;',
    `    ${family}iifname { ${config.interfaces.map((name) => `"${name}"`).join(', ')} } tcp dport { ${config.ports.join(', ')} } jump mail`,
    '  }',
    '  chain mail {',
    `    tcp flags & (fin | syn | rst | ack) == syn goto ${TAKE_CHAIN}`,
    `    socket transparent 1 ${mark} accept`,
    '  }',
    `  chain ${TAKE_CHAIN} {`,
    '    fib daddr type local return',
    '    ip daddr @exclude4 return',
    '    ip6 daddr @exclude6 return',
    // Without a socket that listens there, tproxy does not match, and the packet goes its way without a mark.
    `    meta nfproto ipv4 meta l4proto tcp tproxy ip to 127.0.0.1:${config.listenPort} ${mark} counter accept`,
    ...(config.ipv6 ? [`    meta nfproto ipv6 meta l4proto tcp tproxy ip6 to [::1]:${config.listenPort} ${mark} counter accept`] : []),
    '  }',
    '}',
    '',
  ].join('\n');
}

function excluded(name: string, type: string, networks: readonly string[]): string[] {
  const elements = networks.length === 0 ? '' : ` elements = { ${networks.join(', ')} };`;
  return [`  set ${name} { type ${type}; flags interval; auto-merge;${elements} }`];
}

/** As nft and ip write a mark. */
export function hex(mark: number): string {
  return `0x${mark.toString(16)}`;
}
