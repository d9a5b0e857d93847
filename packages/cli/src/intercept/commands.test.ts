import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { interceptSchema } from '../config/intercept-schema.ts';
import { downCommands, familiesOf, releaseCommands, type RoutingRule, type SystemCommand, upCommands } from './commands.ts';
import { ruleset } from './ruleset.ts';

const config = interceptSchema.parse({ interfaces: ['br-lan'], ports: [25, 993], exclude: ['198.51.100.25', '2001:db8::/32'] });
const ours: RoutingRule = { priority: 100, iif: 'br-lan', fwmark: '0x40000000', fwmask: '0x40000000', table: '7029', protocol: '229' };
const system: RoutingRule[] = [
  { priority: 0, table: 'local' },
  { priority: 100, iif: 'br-lan', fwmark: '0x40000000', fwmask: '0x40000000', table: '7029', protocol: 'boot' },
  { priority: 32766, table: 'main' },
];

const text = ({ command, args }: SystemCommand): string => [command, ...args].join(' ');
const upTexts = (rules: readonly RoutingRule[], changed = config): string[] => upCommands(changed, () => rules).map((command) => text(command));

const ROUTE = (family: number): string => `ip -${family} route replace local default dev lo table 7029 proto 229`;
const ADD = (family: number, name = 'br-lan'): string => `ip -${family} rule add priority 100 iif ${name} fwmark 0x40000000/0x40000000 table 7029 protocol 229`;

test('up: routes and rules of both families before what sends packets there', () => {
  expect(upTexts(system)).toEqual([ROUTE(4), ROUTE(6), ADD(4), ADD(6), 'nft -f -']);
});

test('up for the second time adds nothing twice', () => {
  expect(upTexts([...system, ours])).toEqual([ROUTE(4), ROUTE(6), 'nft -f -']);
});

test('a rule for each interface, and none for one that is not listed any more', () => {
  expect(upTexts([ours], { ...config, interfaces: ['br-lan', 'wg0'] })).toEqual([ROUTE(4), ROUTE(6), ADD(4, 'wg0'), ADD(6, 'wg0'), 'nft -f -']);
  expect(upTexts([ours, { ...ours, iif: 'wg0' }]).slice(-3)).toEqual([
    'nft -f -',
    ...[4, 6].map((family) => `ip -${family} rule del priority 100 iif wg0 fwmark 0x40000000/0x40000000 table 7029 protocol 229`),
  ]);
});

test('up with another mark or table removes what is not used any more, and nothing of others', () => {
  const DEL = (family: number, mark: string, table: number): string => `ip -${family} rule del priority 100 iif br-lan fwmark ${mark}/${mark} table ${table} protocol 229`;
  expect(upTexts([...system, ours, { ...ours, fwmark: '0x1000', fwmask: '0x1000' }])).toEqual([ROUTE(4), ROUTE(6), 'nft -f -', DEL(4, '0x1000', 7029), DEL(6, '0x1000', 7029)]);
  expect(upTexts([...system, { ...ours, table: '88' }])).toEqual([
    ROUTE(4),
    ROUTE(6),
    ADD(4),
    ADD(6),
    'nft -f -',
    ...[4, 6].flatMap((family) => [DEL(family, '0x40000000', 88), `ip -${family} route flush table 88 proto 229`]),
  ]);
});

test('without IPv6 nothing of it is asked for or touched', () => {
  const without = { ...config, ipv6: false };
  const asked: number[] = [];
  const commands = upCommands(without, (family) => (asked.push(family), system));
  expect([familiesOf(without), asked]).toEqual([[4], [4]]);
  expect(commands.map((command) => text(command))).toEqual([ROUTE(4), ADD(4), 'nft -f -']);
  expect(ruleset(without)).not.toContain('tproxy ip6');
  expect(ruleset(without)).toContain('meta nfproto ipv4 iifname { "br-lan" } tcp dport { 25, 993 } jump mail');
});

test('the rules: one table, the interfaces and ports that are listed, what is excluded', () => {
  const rules = ruleset({ ...config, interfaces: ['br-lan', 'wg0'] });
  expect(rules.match(/^(?:table|delete) .*$/gmu)).toEqual(['table inet sekisho', 'delete table inet sekisho', 'table inet sekisho {']);
  expect(rules).toContain('    iifname { "br-lan", "wg0" } tcp dport { 25, 993 } jump mail\n');
  expect(rules.match(/hook/gu)).toHaveLength(1);
  expect(rules).toMatch(/exclude4 .* 10\.0\.0\.0\/8, .*198\.51\.100\.25 /u);
  expect(rules).toMatch(/exclude6 .* fc00::\/7, fe80::\/10, 2001:db8::\/32 /u);
  const open = ruleset({ ...config, privateNetworks: true, exclude: [] });
  expect(open).not.toMatch(/elements|10\.0\.0\.0/u);
});

test('the unit releases and removes with the same commands, so that it needs neither Node nor agent.yaml for it', () => {
  const unit = readFileSync(join(import.meta.dirname, '../../../../deploy/systemd/sekisho-agent.service'), 'utf8');
  const linesOf = (key: string): string[] => [...unit.matchAll(new RegExp(`^${key}=-\\+(.*)$`, 'gmu'))].map(([, line = '']) => line.replaceAll("'", ''));
  expect(linesOf('ExecStop')).toEqual(releaseCommands().map((command) => text(command)));
  expect(linesOf('ExecStopPost')).toEqual(downCommands([4, 6]).map((command) => text(command)));
  const socket = readFileSync(join(import.meta.dirname, '../../../../deploy/systemd/sekisho-agent.socket'), 'utf8');
  expect(socket.match(/^ListenStream=.*$/gmu)).toEqual([`ListenStream=127.0.0.1:${config.listenPort}`, `ListenStream=[::1]:${config.listenPort}`]);
});
