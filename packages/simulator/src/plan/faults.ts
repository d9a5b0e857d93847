import type { Mesh } from './mesh.ts';
import { PlanError } from './plan-error.ts';
import type { Fault } from './scenario.ts';
import type { VirtualSite } from './virtual-site.ts';
import { Watch } from './watch.ts';

/** Lets a failure, or its end, happen to the mesh, and watches where the agents go. */
export function strike(mesh: Mesh, fault: Fault): void {
  const site = mesh.sites.find(({ name }) => name === fault.site);
  if (site === undefined) throw new PlanError(`there is no site ${fault.site}`);
  const watch = watchOf(mesh, site, fault);
  if (watch !== undefined) mesh.watches.push(watch);
  switch (fault.kind) {
    case 'siteDown':
      // Relays first: what an agent still has of them is broken when it hears of its manager.
      mesh.setRelays(site, site.relays, fault.how);
      mesh.setManagers(site, site.managers, fault.how, true);
      break;
    case 'siteUp':
      mesh.setRelays(site, site.relays, 'up');
      mesh.setManagers(site, site.managers, 'up', true);
      break;
    case 'relayDown':
      mesh.setRelays(site, relaysNamed(site, fault.relay), fault.how);
      break;
    case 'relayUp':
      mesh.setRelays(site, relaysNamed(site, fault.relay), 'up');
      break;
    case 'managerSilent':
    case 'managerBack':
      mesh.setManagers(site, site.managers.slice(fault.manager - 1, fault.manager), fault.kind === 'managerSilent' ? 'silent' : 'up', false);
      break;
    case 'line':
      mesh.setLine(site, fault.factor);
      break;
    case 'drain':
    case 'join':
      mesh.setInZone(site, fault.kind === 'join');
      break;
  }
}

function relaysNamed(site: VirtualSite, name: string): VirtualSite['relays'] {
  return site.relays.filter((relay) => relay.name === name);
}

/** Whom to watch: those who lose something until they have found another, or those who come. */
function watchOf(mesh: Mesh, site: VirtualSite, fault: Fault): Watch | undefined {
  const isThere = (agent: number): boolean => mesh.relayOf(agent)?.site === site.index;
  const isElsewhere = (agent: number): boolean => mesh.relayOf(agent) !== undefined && !isThere(agent);
  switch (fault.kind) {
    case 'siteDown':
    case 'drain':
      return new Watch({ fault, nowMs: mesh.queue.now, met: mesh.agentsAt(site), isThere: isElsewhere });
    case 'relayDown': {
      const [relay] = relaysNamed(site, fault.relay);
      const usesOther = (agent: number): boolean => mesh.relayOf(agent) !== undefined && mesh.relayOf(agent) !== relay;
      return new Watch({ fault, nowMs: mesh.queue.now, met: mesh.agentsAt(site, relay), isThere: usesOther });
    }
    case 'managerSilent': {
      const manager = site.managers[fault.manager - 1];
      if (manager === undefined) return undefined;
      const hasOther = (agent: number): boolean => mesh.managerOf(agent) !== undefined && mesh.managerOf(agent) !== manager;
      return new Watch({ fault, nowMs: mesh.queue.now, met: mesh.agentsOf(manager), isThere: hasOther });
    }
    case 'siteUp':
    case 'join':
      return new Watch({ fault, nowMs: mesh.queue.now, met: undefined, isThere });
    default:
      return undefined;
  }
}
