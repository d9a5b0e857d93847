import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { IssuedSite } from '@sekisho/auth';
import type { Credentials } from '@sekisho/channel';
import { SERVER_ROLES, type ServerRole } from '@sekisho/wire';
import { CommandError } from '../exit-codes.ts';
import { makePrivateDirectory, requirePrivate, writeSecretFile } from './secret-file.ts';

/** The files of a site's `keys` directory. A server needs only those of its roles; relays need no private ticket key. */
const CA = 'ca.cert.pem';
const TICKET_KEY = 'ticket.key.pem';
const TICKET_PUBLIC = 'ticket.pub.pem';
const certificateFile = (role: ServerRole): string => `${role}.cert.pem`;
const keyFile = (role: ServerRole): string => `${role}.key.pem`;

/** The files that writeSiteKeys makes. */
export const SITE_KEY_FILES: readonly string[] = [CA, TICKET_KEY, TICKET_PUBLIC, ...SERVER_ROLES.flatMap((role) => [certificateFile(role), keyFile(role)])];

/** Writes what the operator issued for a site into a directory of its own. */
export function writeSiteKeys(directory: string, issued: IssuedSite): void {
  makePrivateDirectory(directory);
  writeSecretFile(join(directory, CA), issued.caCertPem);
  writeSecretFile(join(directory, TICKET_KEY), issued.ticketKey.privatePem);
  writeSecretFile(join(directory, TICKET_PUBLIC), issued.ticketKey.publicPem);
  for (const role of SERVER_ROLES) {
    writeSecretFile(join(directory, certificateFile(role)), issued[role].certPem);
    writeSecretFile(join(directory, keyFile(role)), issued[role].keyPem);
  }
}

/** What a role shows and proves. Throws CommandError naming the file that is missing or open to others. */
export function readCredentials(directory: string, role: ServerRole): Credentials {
  const key = join(directory, keyFile(role));
  requirePrivate(key);
  return {
    caPem: read(join(directory, CA)),
    certPem: read(join(directory, certificateFile(role))),
    keyPem: read(key),
  };
}

/** Auth's key for signing tickets. */
export function readTicketKey(directory: string): string {
  const path = join(directory, TICKET_KEY);
  requirePrivate(path);
  return read(path);
}

/** The keys by which relays check tickets: one PEM block, or several while the key is rotated. */
export function readTicketPublicKeys(directory: string): string[] {
  const text = read(join(directory, TICKET_PUBLIC));
  return text.match(/-----BEGIN PUBLIC KEY-----[^-]+-----END PUBLIC KEY-----/gu) ?? [];
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new CommandError(`${path} cannot be read (${(error as NodeJS.ErrnoException).code ?? String(error)}). Bring it from where \`sekisho site init\` wrote it.`);
  }
}
