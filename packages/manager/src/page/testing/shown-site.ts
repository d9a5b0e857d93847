import type { ShownRelay, ShownStatus } from '../shown-status.ts';

const FACTS = { software: null, config: null, clockOffsetMs: null };

/** A relay that is well. */
export function shownRelay(changes: Partial<ShownRelay> = {}): ShownRelay {
  return {
    name: 's1',
    state: 'up',
    sinceMs: 0,
    reason: 'reports are good',
    weight: { configured: 1, override: null, effective: 1 },
    share: 0.5,
    load: { loadPerCore: 0.2, hottestCore: 0.4, loopDelay: 0.01, bytesPerSecond: 0.1, sessions: 0.3 },
    score: 0.4,
    sessions: 1200,
    maxSessions: 4000,
    reportAgeMs: 300,
    handedOut: 10,
    handedOutSinceReport: 1,
    kept: 5,
    host: '192.0.2.11',
    port: 7026,
    override: null,
    inspection: { scanners: 2, scannersUp: 2, clean: 1000, infected: 3, unscannable: 1, uninspected: 7 },
    ...FACTS,
    ...changes,
  };
}

/** A site of two servers that is well. */
export function shownStatus(changes: Partial<ShownStatus> = {}, relays: readonly ShownRelay[] = [shownRelay(), shownRelay({ name: 's2', host: '192.0.2.12' })]): ShownStatus {
  const server = (name: string) => ({ name, lostAt: null, reason: null, ...FACTS });
  return {
    site: 'tokyo-1',
    name: 's1',
    address: '192.0.2.11',
    port: 7025,
    stopping: false,
    about: { config: '0123456789abcdef' },
    agents: 400,
    direct: { agents: 0 },
    pushesPending: 0,
    table: { policy: 'least-load', panic: false, relays },
    managers: [server('s1'), server('s2')],
    auths: [{ name: 's1', up: true, ...FACTS }, { name: 's2', up: true, ...FACTS }],
    store: { up: true, reason: null },
    events: [],
    ...changes,
  };
}
