import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { secureContext } from '@sekisho/channel';
import { CommandError, EXIT } from '../exit-codes.ts';
import type { Role, Server, Site } from '../files/site.ts';
import { readCredentials } from '../files/site-keys.ts';

/** What this machine shows to the servers of its site when it asks how they are. */
export interface SiteAccess {
  /** Of the certificate. A manager's opens all ports; a relay's those of managers and relays. */
  readonly role: 'manager' | 'relay';
  readonly context: ReturnType<typeof secureContext>;
}

/** Reads the first certificate of this machine with which it can ask. Throws CommandError when it has none that can be read. */
export function siteAccess(site: Site): SiteAccess {
  const role = (['manager', 'relay'] as const).find((one) => existsSync(join(site.keysDirectory, `${one}.key.pem`)));
  if (role === undefined)
    throw new CommandError(`${site.keysDirectory} has neither manager.key.pem nor relay.key.pem. Run this on a server of the site, as the user it runs as.`, EXIT.usage);
  return { role, context: secureContext(readCredentials(site.keysDirectory, role)) };
}

/** The server of site.yaml that is meant: by name, else the one with the role that is this machine. Throws CommandError. */
export function theServer(site: Site, role: Role, name: string | undefined): Server {
  const withRole = site.withRole(role);
  const names = withRole.map((one) => one.name).join(', ');
  if (name !== undefined) {
    const named = withRole.find((one) => one.name === name);
    if (named === undefined) throw new CommandError(`${site.file} has no server ${name} with the role ${role}; it has ${names}.`, EXIT.usage);
    return named;
  }
  const [own, ...others] = site.here(undefined).filter(({ roles }) => roles.includes(role));
  if (own === undefined || others.length > 0)
    throw new CommandError(`Which ${role}? Say it with --server; there are ${names}.`, EXIT.usage);
  return own;
}
