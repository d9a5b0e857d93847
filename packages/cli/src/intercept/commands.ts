import type { InterceptConfig } from '../config/intercept-schema.ts';
import { hex, ruleset, TABLE, TAKE_CHAIN } from './ruleset.ts';

/** A program with its arguments, and what it reads. */
export interface SystemCommand {
  readonly command: 'nft' | 'ip';
  readonly args: readonly string[];
  readonly stdin?: string;
}

/** By this number (rtm_protocol, of those that nobody has) rules and routes are known as ours, whatever mark they have. */
const OURS = 229;
/** Before rules of VPNs and of several uplinks, behind the local table. */
const RULE_PRIORITY = 100;
export type Family = 4 | 6;

/** A row of `ip -j rule show`, as far as it is looked at. */
export interface RoutingRule {
  readonly priority?: number;
  readonly iif?: string;
  readonly fwmark?: string;
  readonly fwmask?: string;
  readonly table?: string;
  readonly protocol?: string;
}

export function listRules(family: Family): SystemCommand {
  return ip(family, '-j', 'rule', 'show');
}

/** The families of addresses that are intercepted. */
export function familiesOf({ ipv6 }: InterceptConfig): readonly Family[] {
  return ipv6 ? [4, 6] : [4];
}

/**
 * What puts interception in place, from whatever there is of it: the way of the packets first, then what sends them there.
 * @param rulesOf the routing rules that there are
 */
export function upCommands(config: InterceptConfig, rulesOf: (family: Family) => readonly RoutingRule[]): SystemCommand[] {
  const families = familiesOf(config).map((family) => ({ family, ours: rulesOf(family).filter((rule) => rule.protocol === String(OURS)) }));
  return [
    ...families.map(({ family }) => ip(family, 'route', 'replace', 'local', 'default', 'dev', 'lo', 'table', String(config.routeTable), 'proto', String(OURS))),
    ...families.flatMap(({ family, ours }) => missing(ours, config).map((name) => ip(family, 'rule', 'add', ...selector(name, config)))),
    { command: 'nft', args: ['-f', '-'], stdin: ruleset(config) },
    ...families.flatMap(({ family, ours }) => ours.filter((rule) => !isWanted(rule, config)).flatMap((rule) => removal(family, rule, config))),
  ];
}

/** New connections go untouched from now on; those that the agent has go on. */
export function releaseCommands(): SystemCommand[] {
  return [{ command: 'nft', args: ['flush', 'chain', ...TABLE.split(' '), TAKE_CHAIN] }];
}

/** Removes everything that is ours, or nothing if there is nothing. */
export function downCommands(families: readonly Family[]): SystemCommand[] {
  return [
    // To delete what is not there would be an error.
    { command: 'nft', args: [`add table ${TABLE}; delete table ${TABLE}`] },
    ...families.map((family) => ip(family, 'rule', 'flush', 'protocol', String(OURS))),
    ...families.map((family) => ip(family, 'route', 'flush', 'table', 'all', 'proto', String(OURS))),
  ];
}

/**
 * A rule for each interface. Without it, a kernel that looks at the mark when it checks where an answer would go (src_valid_mark,
 * which wg-quick sets, with rp_filter) would find our route for that, too, and drop the packet.
 */
function selector(name: string, { mark, routeTable }: InterceptConfig): string[] {
  return ['priority', String(RULE_PRIORITY), 'iif', name, 'fwmark', `${hex(mark)}/${hex(mark)}`, 'table', String(routeTable), 'protocol', String(OURS)];
}

function missing(ours: readonly RoutingRule[], config: InterceptConfig): string[] {
  return config.interfaces.filter((name) => !ours.some((rule) => rule.iif === name && isWanted(rule, config)));
}

function isWanted(rule: RoutingRule, { interfaces, mark, routeTable }: InterceptConfig): boolean {
  const isListed = rule.iif !== undefined && interfaces.includes(rule.iif);
  return isListed && rule.priority === RULE_PRIORITY && rule.fwmark === hex(mark) && rule.fwmask === hex(mark) && rule.table === String(routeTable);
}

/** Of an interface, a mark or a table that were ours before agent.yaml was changed. */
function removal(family: Family, { priority, iif, fwmark = '0', fwmask = '0', table = '0' }: RoutingRule, config: InterceptConfig): SystemCommand[] {
  const from = iif === undefined ? [] : ['iif', iif];
  const rule = ip(family, 'rule', 'del', 'priority', String(priority), ...from, 'fwmark', `${fwmark}/${fwmask}`, 'table', table, 'protocol', String(OURS));
  return table === String(config.routeTable) ? [rule] : [rule, ip(family, 'route', 'flush', 'table', table, 'proto', String(OURS))];
}

function ip(family: Family, ...args: string[]): SystemCommand {
  return { command: 'ip', args: [`-${family}`, ...args] };
}
