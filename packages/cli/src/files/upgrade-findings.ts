import type { ManagerStatus } from '@sekisho/manager';
import type { Role, Server } from './site.ts';

/** Something that was looked at. `stop`: the server is not to be taken out now, and the message says what to do first. */
export interface UpgradeFinding {
  readonly check: 'relays' | 'sessions' | 'managers' | 'auths' | 'store' | 'schema' | 'protocol' | 'software' | 'keys' | 'machine';
  readonly level: 'ok' | 'warning' | 'stop';
  readonly message: string;
}

export interface UpgradeQuestion {
  readonly server: Server;
  /** May it be stopped now, its relay being drained; else: may it be drained now. */
  readonly drained: boolean;
  /** What follows `sekisho` in what an operator is told to type. */
  readonly options: string;
}

type Relay = ManagerStatus['table']['relays'][number];
/** A manager of before 0.2 does not tell of the others. */
type Status = Omit<ManagerStatus, 'managers'> & Partial<Pick<ManagerStatus, 'managers'>>;

/** Judges by what a manager of the site says whether the rest of the site carries on without one server. */
export function siteFindings(status: Status, question: UpgradeQuestion): UpgradeFinding[] {
  const { server } = question;
  const has = (role: Role): boolean => server.roles.includes(role);
  return [
    ...(has('relay') ? relayFindings(status, question) : []),
    ...(has('manager') ? [managerFinding(status, server)] : []),
    ...(has('auth') ? [authFinding(status, server)] : []),
    storeFinding(status),
    ...softwareFindings(status),
  ];
}

function relayFindings({ table }: Status, { server, drained, options }: UpgradeQuestion): UpgradeFinding[] {
  const own = table.relays.find(({ name }) => name === server.name);
  if (own === undefined) return [];
  const others = table.relays.filter(({ name }) => name !== server.name);
  const findings = others.flatMap((relay) => outOfService(relay, options));
  if (table.panic) findings.push(stop('relays', 'the table is in panic: nearly all relays are marked. Find out why before one more is taken out (sekisho status).'));
  const up = others.filter(({ state }) => state === 'up');
  if (others.length === 0) findings.push(warning('relays', 'it is the only relay of the site: without it its agents go to other sites, or directly'));
  else if (up.length === 0) findings.push(stop('relays', 'no other relay of the site is up: its agents would go to other sites, or directly. Bring another one up first.'));
  else findings.push(drained ? ok('relays', `${names(up)} carry on`) : roomFinding(own, up));
  return drained ? [...findings, sessionsFinding(own, options)] : [...findings, ...loadFinding(own, up)];
}

/** Another relay that is out: forgotten after its own upgrade as often as not. */
function outOfService({ name, state, override, reason }: Relay, options: string): UpgradeFinding[] {
  if (state === 'up') return [];
  if (override?.drain === true) return [warning('relays', `${name} is still drained, by ${override.by}; if its upgrade is done: sekisho table undrain ${name} ${options}`)];
  return [warning('relays', `${name} is ${state.toUpperCase()}: ${reason}`)];
}

function roomFinding(own: Relay, up: readonly Relay[]): UpgradeFinding {
  const sessions = own.sessions ?? 0;
  const room = up.reduce((sum, relay) => sum + Math.max(0, (relay.maxSessions ?? 0) - (relay.sessions ?? 0)), 0);
  if (room < sessions)
    return stop('relays', `it has ${sessions} sessions, and ${names(up)} have room for ${room}. Wait for a quieter hour, or add a server.`);
  return ok('relays', `${names(up)} carry on, with room for ${room} sessions; it has ${sessions}`);
}

/** Each load is a part of its limit, so that the sum is what the others would share. */
function loadFinding(own: Relay, up: readonly Relay[]): UpgradeFinding[] {
  if (up.length === 0) return [];
  const each = [own, ...up].reduce((sum, { score }) => sum + (score ?? 0), 0) / up.length;
  if (each <= 1) return [];
  return [warning('relays', `the others would be at about ${Math.round(each * 100)} % of their limits. A quieter hour is better.`)];
}

function sessionsFinding({ name, state, sessions, reason }: Relay, options: string): UpgradeFinding {
  if (state === 'down') return ok('sessions', `its relay does not run (${reason})`);
  if (state !== 'draining') return stop('sessions', `its relay is ${state.toUpperCase()} and not drained: sekisho table drain ${name} ${options}`);
  if (sessions === 0) return ok('sessions', 'its relay is drained and has no session');
  return stop('sessions', `${sessions ?? 'an unknown number of'} sessions are still there. Wait: they finish; a stop now lets them go on for relay.drainTimeout at most.`);
}

function managerFinding({ managers, name }: Status, server: Server): UpgradeFinding {
  const others = managers?.filter((one) => one.name !== server.name) ?? [];
  // The one that was asked is there.
  const up = others.filter((one) => one.up || one.name === name);
  if (up.length > 0) return ok('managers', `${names(up)} carry on`);
  if (managers === undefined && name !== server.name) return ok('managers', `${name} carries on`);
  if (managers === undefined) return warning('managers', 'this manager is too old to know of the others: look yourself that another one runs (sekisho status there)');
  if (others.length === 0) return warning('managers', 'it is the only manager of the site: while it is away, agents ask other sites');
  return stop('managers', `no other manager is up (${others.map((one) => `${one.name}: ${one.reason ?? 'no answer'}`).join('; ')}): bring one up first`);
}

function authFinding({ auths }: Status, server: Server): UpgradeFinding {
  const others = auths.filter(({ name }) => name !== server.name);
  const up = others.filter((one) => one.up);
  if (up.length > 0) return ok('auths', `${names(up)} carry on`);
  if (others.length === 0) return warning('auths', 'it is the only auth of the site: while it is away, agents ask other sites for new leases');
  return stop('auths', `no other auth is up (${names(others)}): bring one up first`);
}

function storeFinding({ store }: Status): UpgradeFinding {
  if (store.up) return ok('store', 'it answers');
  return stop('store', `it does not answer (${store.reason ?? 'no reason is known'}): no order can be given or taken back. Mend it first.`);
}

/** More than one version is what a site has in the middle of an upgrade, and not for long. */
function softwareFindings({ table, auths, managers = [] }: Status): UpgradeFinding[] {
  const running = new Map<string, string[]>();
  for (const { name, software } of [...table.relays, ...auths, ...managers]) {
    const version = /\/(.+)$/u.exec(software ?? '')?.[1];
    if (version !== undefined) running.set(version, [...new Set([...(running.get(version) ?? []), name])]);
  }
  if (running.size === 0) return [];
  const text = [...running].map(([version, servers]) => `${version} on ${servers.join(', ')}`).join('; ');
  return [running.size === 1 ? ok('software', text) : warning('software', `${text}: finish the upgrade, or take it back`)];
}

const names = (rows: readonly { readonly name: string }[]): string => rows.map(({ name }) => name).join(', ');
const ok = (check: UpgradeFinding['check'], message: string): UpgradeFinding => ({ check, level: 'ok', message });
const warning = (check: UpgradeFinding['check'], message: string): UpgradeFinding => ({ check, level: 'warning', message });
const stop = (check: UpgradeFinding['check'], message: string): UpgradeFinding => ({ check, level: 'stop', message });
