import { availableParallelism } from 'node:os';
import type { AgentSettings } from '@sekisho/agent';
import type { AuthSettings } from '@sekisho/auth';
import type { ManagerSettings } from '@sekisho/manager';
import type { OutbreakSettings } from '@sekisho/outbreak';
import type { RelaySettings } from '@sekisho/relay';
import type { AgentConfig } from '../config/agent-schema.ts';
import { readNoticeSettings, readOutbreakAccess } from '../files/outbreak-access.ts';
import { readPageTokenDigest } from '../files/page-token.ts';
import { readCredentials, readTicketKey, readTicketPublicKeys } from '../files/site-keys.ts';
import type { Server, Site } from '../files/site.ts';

/** From what people write to what each role is told. */

export function authSettings(site: Site, server: Server): AuthSettings {
  const { config } = site;
  const { proof, ticketTtl, revocations } = config.auth;
  return {
    site: config.site,
    name: server.name,
    about: site.about,
    listen: { host: server.address, port: config.ports.auth },
    serverAddresses: config.servers.map(({ address }) => address),
    credentials: readCredentials(site.keysDirectory, 'auth'),
    ticketKeyPem: readTicketKey(site.keysDirectory),
    ticketTtlMs: ticketTtl,
    proof,
    revocations: {
      file: site.revocationFile,
      urls: revocations.urls,
      rememberedFile: site.rememberedRevocations(server),
      refreshMs: revocations.refresh,
      maxAgeMs: revocations.maxAge,
    },
  };
}

export function managerSettings(site: Site, server: Server): ManagerSettings {
  const { config } = site;
  const relays = site.withRole('relay');
  const nameOf = (wanted: string): string => relays.find(({ name, address }) => name === wanted || address === wanted)?.name ?? wanted;
  const entries =
    config.table.relays.length === 0
      ? relays.map(({ name }) => name)
      : config.table.relays.map((entry) =>
          typeof entry === 'string' ? nameOf(entry) : { name: nameOf(entry.relay), weight: entry.weight },
        );
  // Its own auth first: one that does not answer there is a reason to ask the next.
  const auths = site.withRole('auth').sort((a, b) => Number(b.name === server.name) - Number(a.name === server.name));
  return {
    site: config.site,
    name: server.name,
    about: site.about,
    listen: { host: server.address, port: config.ports.manager },
    credentials: readCredentials(site.keysDirectory, 'manager'),
    relays: relays.map(({ name, address }) => ({
      name,
      host: address,
      port: config.ports.relay,
      controlPort: config.ports.relayControl,
    })),
    table: {
      entries,
      scheduler: {
        policy: config.table.policy,
        loadPerCoreLimit: config.manager.maxLoadPerCore,
        hottestCoreLimit: config.manager.maxHottestCore,
      },
    },
    auths: auths.map(({ name, address }) => ({ name, host: address, port: config.ports.auth })),
    fellows: site
      .withRole('manager')
      .filter(({ name }) => name !== server.name)
      .map(({ name, address }) => ({ name, host: address, port: config.ports.manager })),
    maxAgents: config.manager.maxAgents,
    maxPerAddress: config.manager.maxPerAddress,
    probeIntervalMs: config.manager.probeInterval,
    probeTimeoutMs: config.manager.probeTimeout,
    adminSocket: site.adminSocket(server),
    page: pageSettings(site),
  };
}

function pageSettings(site: Site): ManagerSettings['page'] {
  const { address, port, hosts } = site.config.page;
  return port === undefined ? undefined : { host: address, port, hosts, tokenDigest: readPageTokenDigest(site) };
}

export function relaySettings(site: Site, server: Server): RelaySettings {
  const { config } = site;
  const { relay } = config;
  return {
    site: config.site,
    name: server.name,
    about: site.about,
    listen: { host: server.address, port: config.ports.relay, controlPort: config.ports.relayControl },
    credentials: readCredentials(site.keysDirectory, 'relay'),
    ticketKeys: readTicketPublicKeys(site.keysDirectory),
    proof: config.auth.proof,
    workers: relay.workers === 'auto' ? availableParallelism() : relay.workers,
    limits: {
      maxSessions: relay.maxSessions,
      maxDevices: relay.maxDevices,
      maxSessionsPerDevice: relay.maxSessionsPerDevice,
      maxPerAddress: relay.maxPerAddress,
    },
    windowBytes: relay.window,
    destinations: {
      extraPorts: relay.destinations.extraPorts,
      allow: relay.destinations.allow,
      ownAddresses: config.servers.map(({ address }) => address),
      proxyProtocol: relay.proxyProtocol,
    },
    dnsServers: relay.dns.servers,
    connectTimeoutMs: relay.connectTimeout,
    drainTimeoutMs: relay.drainTimeout,
    bytesPerSecondLimit: relay.bytesPerSecondLimit,
    inspect: inspectSettings(site),
  };
}

function inspectSettings(site: Site): RelaySettings['inspect'] {
  const { inspect } = site.config.relay;
  if (inspect === undefined) return undefined;
  const { scanTimeout, spoolDir: _, ...same } = inspect;
  return { ...same, scanTimeoutMs: scanTimeout, spoolDirectory: site.spoolDirectory };
}

export function outbreakSettings(site: Site, server: Server): OutbreakSettings {
  return { ...readOutbreakAccess(site), name: server.name, notices: readNoticeSettings(site) };
}

export function agentSettings(config: AgentConfig): AgentSettings {
  return {
    mac: config.mac,
    credentials: { caPem: config.ca, certPem: config.certificate, keyPem: config.key },
    managerName: config.manager.name,
    managerPort: config.manager.port,
    dns: { servers: config.dns.servers },
    failMode: config.failMode,
    forwards: config.forward,
    timings: {
      managerStaggerMs: config.managerStagger,
      managerBudgetMs: config.managerBudget,
      ackTimeoutMs: config.ackTimeout,
      decisionBudgetMs: config.decisionBudget,
      deadAfterMs: config.deadAfter,
      ttlMinMs: config.dns.minTtl,
      ttlMaxMs: config.dns.maxTtl,
      rehomeMs: config.rehomeAfter,
    },
    limits: { maxSessions: config.maxSessions, maxPerClient: config.maxPerClient },
  };
}
