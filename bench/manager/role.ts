import { type AuthSettings, startAuth } from '@sekisho/auth';
import { type ManagerSettings, startManager } from '@sekisho/manager';
import { openStore } from '@sekisho/store';
import { createLogger, Metrics } from '@sekisho/telemetry';

/** Auth or a manager in a process of its own, told what to be by its parent; its log goes wherever its output goes. */

export type RoleOrder = { readonly storeUrl: string } & (
  | { readonly role: 'auth'; readonly settings: AuthSettings }
  | { readonly role: 'manager'; readonly settings: ManagerSettings }
);

process.on('disconnect', () => process.exit());
process.once('message', (order: RoleOrder) => void start(order));

async function start(order: RoleOrder): Promise<void> {
  const { site, name } = order.settings;
  const store = await openStore({}, { url: order.storeUrl, site });
  const components = { log: createLogger({ role: order.role, site, name, level: 'info' }), metrics: new Metrics(), store };
  const { port } =
    order.role === 'auth' ? await startAuth(components, order.settings) : await startManager(components, order.settings);
  process.send?.({ port });
}
