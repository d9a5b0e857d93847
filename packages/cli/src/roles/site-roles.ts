import type { ManagerSettings } from '@sekisho/manager';
import type { Store } from '@sekisho/store';
import type { Logger } from '@sekisho/telemetry';
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Role, Server, Site } from '../files/site.ts';
import { CommandError, EXIT } from '../exit-codes.ts';
import { inheritedSockets } from './inherited-sockets.ts';
import { authCheck, managerCheck, relayCheck } from './role-checks.ts';
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
    const settings = authSettings(site, server);
    const listen = listenAt(settings.listen, 'auth');
    const store = await openStore(site, log);
    const auth = await started(store, startAuth({ log, metrics, store }, { ...settings, listen }));
    const role = withStore(store, auth);
    await requirePort(role, auth.port, settings.listen.port, 'auth');
    return { ...role, ...authCheck(auth, settings) };
  },
  manager: (site, server) => async ({ log, metrics }) => {
    const { startManager } = await import('@sekisho/manager');
    const settings = managerSettings(site, server);
    const listen = listenAt(settings.listen, 'manager');
    const store = await openStore(site, log);
    const manager = await started(store, startManager({ log, metrics, store }, { ...settings, listen }));
    const role = withStore(store, manager);
    await requirePort(role, manager.port, settings.listen.port, 'manager');
    return { ...role, ...managerCheck(manager, settings) };
  },
  relay: (site, server) => async ({ log, metrics }) => {
    const { startRelaySupervisor } = await import('@sekisho/relay');
    // Its real path: a link `current` may lead to another version by the time a worker is started again.
    const exec = { file: realpathSync(process.argv[1] ?? fileURLToPath(import.meta.url)), args: ['relay-worker'] };
    const settings = relaySettings(site, server);
    const relay = await startRelaySupervisor({ log, metrics }, settings, exec);
    return {
      ...relayCheck(relay, settings),
      drainTimeoutMs: settings.drainTimeoutMs,
      drain: () => relay.drain(),
      close: () => relay.close(),
    };
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

/** Without the store a role that could not start would not end. */
async function started<T>(store: Store, starting: Promise<T>): Promise<T> {
  return starting.catch(async (error: unknown) => {
    await store.close();
    throw error;
  });
}

/** With the socket that the service manager holds for this role, if it does: who connects while we restart waits there. */
function listenAt(listen: ManagerSettings['listen'], role: Role): ManagerSettings['listen'] {
  const sockets = inheritedSockets(process.env, process.pid);
  const [first] = sockets;
  if (first === undefined) return listen;
  if (sockets.length > 1 || first.name !== role)
    throw new CommandError(`${role}: sockets were handed over under the names ${sockets.map(({ name }) => name).join(', ')}. It takes one: FileDescriptorName=${role} in its socket unit.`, EXIT.usage);
  return { ...listen, fd: first.fd };
}

/** Agents and managers look at the port of site.yaml, whatever a socket unit says. */
async function requirePort(running: { close(): Promise<void> | void }, actual: number, wanted: number, role: Role): Promise<void> {
  if (actual === wanted) return;
  await running.close();
  throw new CommandError(`${role}: the socket that was handed over is at port ${actual}, but ports.${role} of site.yaml is ${wanted}. Correct ListenStream= in sekisho-${role}.socket.`, EXIT.usage);
}

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
