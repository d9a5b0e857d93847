import { connectEndpoint, greet, type GreetInit, greetRelay } from '@sekisho/channel';
import { printable } from '@sekisho/telemetry';
import { CONTROL_ALPN, type RelayReport } from '@sekisho/wire';
import type { Server, Site } from '../files/site.ts';
import type { SiteAccess } from './site-access.ts';

const SURVEYED_ROLES = ['manager', 'relay', 'auth'] as const;
export type SurveyedRole = (typeof SURVEYED_ROLES)[number];

/** One role of one server of site.yaml, asked over the network from here. */
export interface Surveyed {
  readonly server: string;
  readonly role: SurveyedRole;
  readonly host: string;
  readonly port: number;
  readonly up: boolean;
  /** Why not. */
  readonly problem: string | null;
  /** Null: it does not say. */
  readonly software: string | null;
  readonly config: string | null;
  /** Its clock minus ours. */
  readonly clockOffsetMs: number | null;
  readonly certificateExpiresAtMs: number | null;
  /** Of relays. */
  readonly report: RelayReport | null;
}

type Answer = Omit<Surveyed, 'server' | 'role' | 'host' | 'port' | 'up' | 'problem'> & { readonly name: string | null };

const ROLE_PORTS = { manager: 'manager', relay: 'relayControl', auth: 'auth' } as const;

/** Asks every role of every server of the site at once. Never rejects: who does not answer is part of the answer. */
export function surveySite(site: Site, access: SiteAccess, timeoutMs: number): Promise<Surveyed[]> {
  const { config } = site;
  const asked = SURVEYED_ROLES.flatMap((role) => site.withRole(role).map((server) => ({ role, server })));
  return Promise.all(
    asked.map(({ role, server }) => {
      const expect = { role, site: config.site } as const;
      const init = { host: server.address, port: config.ports[ROLE_PORTS[role]], context: access.context, expect, timeoutMs };
      return survey(server, role, init, access);
    }),
  );
}

async function survey(server: Server, role: SurveyedRole, init: GreetInit, access: SiteAccess): Promise<Surveyed> {
  const asked = { server: server.name, role, host: init.host, port: init.port };
  try {
    const { name, ...answer } = await ask(role, init, access);
    if (name === null || name === server.name) return { ...asked, up: true, problem: null, ...answer };
    return { ...asked, ...NOTHING, up: false, problem: `${printable(name)} answers there: compare the addresses in site.yaml` };
  } catch (error) {
    return { ...asked, ...NOTHING, up: false, problem: printable(error instanceof Error ? error.message : String(error)) };
  }
}

const NOTHING = { software: null, config: null, clockOffsetMs: null, certificateExpiresAtMs: null, report: null } as const;

async function ask(role: SurveyedRole, init: GreetInit, access: SiteAccess): Promise<Answer> {
  // Auth answers to managers only; that it is there and who it must be is seen all the same.
  if (role === 'auth' && access.role !== 'manager') {
    const socket = await connectEndpoint({ ...init, alpn: CONTROL_ALPN });
    const expiresAt = socket.getPeerX509Certificate()?.validTo;
    socket.destroy();
    return { name: null, ...NOTHING, certificateExpiresAtMs: expiresAt === undefined ? null : Date.parse(expiresAt) };
  }
  const { report, ...greeting } = role === 'relay' ? await greetRelay(init) : { report: null, ...(await greet(init)) };
  const { name, software, config, clockOffsetMs, certificateExpiresAtMs } = greeting;
  return { name, software: printable(software), config: said(config), clockOffsetMs: clockOffsetMs ?? null, certificateExpiresAtMs, report };
}

function said(config: string | undefined): string | null {
  return config === undefined ? null : printable(config);
}

/** The servers and roles whose configuration is not the one that most have. */
export function odd(surveyed: readonly Surveyed[]): Surveyed[] {
  const counts = new Map<string, number>();
  for (const { config } of surveyed) if (config !== null) counts.set(config, (counts.get(config) ?? 0) + 1);
  const [usual] = [...counts].sort(([, a], [, b]) => b - a)[0] ?? [];
  return surveyed.filter(({ config }) => config !== null && config !== usual);
}
