import type { Store } from '@sekisho/store';
import type { Logger } from '@sekisho/telemetry';
import { fileURLToPath } from 'node:url';
import type { Role, Server, Site } from '../files/site.ts';
import { type RoleInit, runRole } from './run.ts';
import { authSettings, managerSettings, outbreakSettings, relaySettings } from './settings.ts';

/** Runs one role of a server of a site. Only that role's code is loaded. */
export async function runSiteRole(site: Site, server: Server, role: Role): Promise<void> {
  const { config } = site;
  const common = {
    role,
    site: config.site,
    name: server.name,
    level: config.log.level,
    metricsAddress: config.metrics.address,
    metricsPort: config.metrics[role],
  };
  await runRole({ ...common, start: STARTERS[role](site, server) });
}

type Start = RoleInit['start'];

const STARTERS: Readonly<Record<Role, (site: Site, server: Server) => Start>> = {
  auth: (site, server) => async ({ log, metrics }) => {
    const { startAuth } = await import('@sekisho/auth');
    const store = await openStore(site, log);
    const auth = await startAuth({ log, metrics, store }, authSettings(site, server));
    return withStore(store, auth);
  },
  manager: (site, server) => async ({ log, metrics }) => {
    const { startManager } = await import('@sekisho/manager');
    const store = await openStore(site, log);
    const manager = await startManager({ log, metrics, store }, managerSettings(site, server));
    return withStore(store, manager);
  },
  relay: (site, server) => async ({ log, metrics }) => {
    const { startRelaySupervisor } = await import('@sekisho/relay');
    const exec = { file: process.argv[1] ?? fileURLToPath(import.meta.url), args: ['relay-worker'] };
    return startRelaySupervisor({ log, metrics }, relaySettings(site, server), exec);
  },
  outbreak: (site, server) => async ({ log, metrics }) => {
    const { startOutbreak } = await import('@sekisho/outbreak');
    const settings = outbreakSettings(site, server);
    const store = await openStore(site, log);
    const watch = await startOutbreak({ log, metrics, store }, settings).catch(async (error: unknown) => {
      await store.close();
      throw error;
    });
    const role = withStore(store, watch);
    // An alert that is being sent is sent before the store goes.
    return { ...role, drain: () => watch.drain() };
  },
};

function openStore(site: Site, log: Logger): Promise<Store> {
  return site.openStore({
    onStateChange: (state, reason) => {
      if (state === 'up') log.info({ event: 'store_up' }, 'the store answers');
      else log.warn({ event: 'store_down', reason }, 'the store does not answer: going on with what is in memory');
    },
  });
}

/** The store is closed after the role that uses it; auth and manager have nothing that must finish first. */
function withStore(store: Store, role: { close(): Promise<void> | void }): Awaited<ReturnType<Start>> {
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    await role.close();
    await store.close();
  };
  const closeOnce = (): Promise<void> => (closing ??= close());
  return { drain: closeOnce, close: closeOnce };
}
