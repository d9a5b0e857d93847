import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { IssuedSite } from '@sekisho/auth';
import type { Credentials } from '@sekisho/channel';
import { SERVER_ROLES, type ServerRole } from '@sekisho/wire';
import { CommandError, EXIT } from '../exit-codes.ts';
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

/** What a role shows and proves. Throws CommandError naming the file that is missing, open to others or damaged. */
export function readCredentials(directory: string, role: ServerRole): Credentials {
  const key = join(directory, keyFile(role));
  requirePrivate(key);
  return {
    caPem: read(join(directory, CA), asCertificate),
    certPem: read(join(directory, certificateFile(role)), asCertificate),
    keyPem: read(key, createPrivateKey),
  };
}

/** Auth's key for signing tickets. Throws as readCredentials does. */
export function readTicketKey(directory: string): string {
  const path = join(directory, TICKET_KEY);
  requirePrivate(path);
  return read(path, (pem) => requireEd25519(createPrivateKey(pem).asymmetricKeyType));
}

/**
 * The keys by which relays check tickets: one PEM block, or several while the key is rotated. Throws as readCredentials
 * does, and when there is none: such a relay would refuse everybody.
 */
export function readTicketPublicKeys(directory: string): string[] {
  return publicKeys(
    read(join(directory, TICKET_PUBLIC), (text) => {
      const keys = publicKeys(text);
      if (keys.length === 0) throw new Error('no PUBLIC KEY in it');
      for (const pem of keys) requireEd25519(createPublicKey(pem).asymmetricKeyType);
    }),
  );
}

function publicKeys(text: string): string[] {
  return text.match(/-----BEGIN PUBLIC KEY-----[^-]+-----END PUBLIC KEY-----/gu) ?? [];
}

function asCertificate(pem: string): X509Certificate {
  return new X509Certificate(pem);
}

function requireEd25519(type: string | undefined): void {
  if (type !== 'ed25519') throw new Error('not an Ed25519 key');
}

/** Exit code 2: like a mistake in site.yaml, it does not get better by trying again. */
function read(path: string, check: (text: string) => unknown): string {
  try {
    const text = readFileSync(path, 'utf8');
    check(text);
    return text;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code?.startsWith('E') === true && !code.startsWith('ERR_') ? code : message;
    throw new CommandError(`${path} cannot be read (${reason}). Bring it from where \`sekisho site init\` wrote it.`, EXIT.usage);
  }
}
