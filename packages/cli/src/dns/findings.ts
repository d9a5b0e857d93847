import { DEFAULT_TIMINGS, MAX_MANAGERS } from '@sekisho/agent';
import { CLOCK_DIFFERS_MS } from '@sekisho/channel';
import { CERTIFICATE_WARNING_DAYS } from '../files/days-left.ts';
import type { LookUp } from './look-up.ts';
import type { Probe, ProbeAnswer, ProbeFailure } from './probe.ts';

/** Something that is not as it should be, and what to do. `problem`: agents suffer, or would. */
export interface DnsFinding {
  readonly level: 'problem' | 'warning';
  /** The address, or the site, that it is about; null for the name itself. */
  readonly about: string | null;
  readonly text: string;
}

/** Agents keep an answer no longer and no shorter, whatever its TTL says. */
const LONGEST_TTL_S = DEFAULT_TIMINGS.ttlMaxMs / 1000;
const SHORTEST_TTL_S = DEFAULT_TIMINGS.ttlMinMs / 1000;
/** Clocks so far apart fail tickets. */
const CLOCK_PROBLEM_MS = 60_000;

type Answered = Probe & ProbeAnswer;

/** What is wrong with a name, with each of its addresses, and between them. */
export function dnsFindings(name: string, lookedUp: LookUp, probes: readonly Probe[]): DnsFinding[] {
  const answered = probes.filter((probe) => probe.ok);
  return [
    ...nameFindings(name, lookedUp),
    ...probes.flatMap((probe) => (probe.ok ? answerFindings(probe) : [failureFinding(name, probe)])),
    ...siteFindings(answered),
    ...meshFindings(answered),
  ];
}

function nameFindings(name: string, { addresses, ttlS, unanswered }: LookUp): DnsFinding[] {
  const found: DnsFinding[] = [];
  const tell = (level: DnsFinding['level'], text: string): void => void found.push({ level, about: null, text });
  if (unanswered.length > 0)
    tell('problem', `DNS gives no answer for the ${unanswered.join(' and ')} records of ${name}: look at the DNS server. Agents go on with the addresses they know`);
  else if (addresses.length === 0)
    tell('problem', `${name} has no addresses: agents that start find no manager. Enter those of the sites' managers (sekisho site join)`);
  if (ttlS !== undefined && ttlS > LONGEST_TTL_S)
    tell('warning', `the TTL is ${ttlS} s: agents look again after 20 min, other caches may not. 60 s is good, so that a site that leaves loses its agents soon`);
  if (ttlS !== undefined && ttlS < SHORTEST_TTL_S)
    tell('warning', `the TTL is ${ttlS} s: agents look again after 30 s at the earliest. The TTL that a cache shows runs down; ask the zone's own server with --dns`);
  if (addresses.length > MAX_MANAGERS)
    tell('warning', `${addresses.length} addresses: an agent uses the first ${MAX_MANAGERS} of them in their order, and so does this check`);
  return found;
}

function failureFinding(name: string, { address, kind, reason }: Probe & ProbeFailure): DnsFinding {
  const advice: Readonly<Record<ProbeFailure['kind'], string>> = {
    silent: `does not answer (${reason}). If its site does not come back soon, take the address out of the zone: sekisho site leave`,
    impostor: `IMPOSTOR: who answers there is no manager for ${name} (${reason}). Agents turn away before they send a byte. Find out who put the address into the zone, or whether DNS lies; if it is a site of yours, renew its certificate`,
    refused: `answers, and says no (${reason})${kind === 'refused' ? refusalAdvice(reason) : ''}`,
    broken: `answers, but not as a manager does (${reason}): look at its log`,
  };
  return { level: 'problem', about: address, text: advice[kind] };
}

function refusalAdvice(reason: string): string {
  if (reason.includes('VERSION')) return ': it speaks another version of the protocol. Upgrade the older of the two';
  if (reason.includes('IDENTITY')) return ': it is of before servers were answered there. Upgrade it';
  if (/NO_RELAY|AUTH_UNAVAILABLE|SHUTTING_DOWN/u.test(reason)) return ': it cannot serve agents now. Look at sekisho status there';
  if (reason.includes('DEVICE_')) return ': it does not admit this device. Look at sekisho device list there';
  return '';
}

function answerFindings({ address, certificateDays, clockOffsetMs }: Answered): DnsFinding[] {
  const found: DnsFinding[] = [];
  if (certificateDays < CERTIFICATE_WARNING_DAYS)
    found.push({ level: 'warning', about: address, text: `its certificate expires in ${certificateDays} days: make new keys for the site (sekisho site init) and restart it` });
  if (clockOffsetMs !== null && Math.abs(clockOffsetMs) > CLOCK_DIFFERS_MS) {
    const seconds = `${clockOffsetMs > 0 ? '+' : ''}${Math.round(clockOffsetMs / 1000)} s`;
    const level = Math.abs(clockOffsetMs) > CLOCK_PROBLEM_MS ? 'problem' : 'warning';
    found.push({ level, about: address, text: `its clock is ${seconds} from ours: look at NTP there and here; tickets fail when clocks of a site are a minute apart` });
  }
  return found;
}

/** Between the managers of one site. */
function siteFindings(answered: readonly Answered[]): DnsFinding[] {
  return [...groups(answered, ({ site }) => site)].flatMap(([site, members]) => {
    const configs = groups(members.filter(({ config }) => config !== null), ({ config }) => String(config));
    const found: DnsFinding[] = [];
    if (configs.size > 1)
      found.push({ level: 'problem', about: site, text: `its managers run with different configurations (${spread(configs)}): give its servers the same site.yaml, and restart those that have not read it` });
    const named = groups(members, ({ manager }) => manager);
    for (const [manager, twins] of named)
      if (twins.length > 1)
        found.push({ level: 'warning', about: site, text: `${twins.map(({ address }) => address).join(' and ')} are the same manager ${manager}: one address is enough` });
    return found;
  });
}

/** Between the sites. */
function meshFindings(answered: readonly Answered[]): DnsFinding[] {
  const found: DnsFinding[] = [];
  const stacks = groups(answered.filter(({ stack }) => stack !== null), ({ stack }) => String(stack));
  if (stacks.size > 1)
    found.push({ level: 'problem', about: null, text: `the sites are not the same stack (${spread(stacks)}): compare their site.yaml; docs/dns.md says which keys are a site's own` });
  const software = groups(answered.filter((one) => one.software !== null), (one) => String(one.software));
  if (software.size > 1)
    found.push({ level: 'warning', about: null, text: `different software (${spread(software)}): well while you upgrade, else finish it` });
  return found;
}

function groups<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const map = new Map<string, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = map.get(key);
    if (group === undefined) map.set(key, [item]);
    else group.push(item);
  }
  return map;
}

const SHOWN = 4;

/** `aaaa: tokyo-1/s1, tokyo-1/s2; bbbb: osaka-1/s1`, the rarest first, which is the one to look at. */
function spread(values: ReadonlyMap<string, readonly Answered[]>): string {
  return [...values]
    .sort(([, a], [, b]) => a.length - b.length)
    .map(([value, members]) => {
      const names = members.slice(0, SHOWN).map(({ site, manager }) => `${site}/${manager}`);
      return `${value}: ${names.join(', ')}${members.length > SHOWN ? ` and ${members.length - SHOWN} more` : ''}`;
    })
    .join('; ');
}
