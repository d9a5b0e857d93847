import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { CommandError, EXIT } from '../exit-codes.ts';
import type { Finding } from './machine.ts';
import { requirePrivate } from './secret-file.ts';
import type { Server, Site } from './site.ts';

const TOKEN_BYTES = 32;
const LINE = /^sha256:([0-9a-f]{64})\n?$/u;

/** A new token for the status page, and what its file holds: a digest, so that who reads the file has no token. */
export function makePageToken(): { readonly token: string; readonly fileText: string } {
  const token = randomBytes(TOKEN_BYTES).toString('base64url');
  return { token, fileText: `sha256:${createHash('sha256').update(token).digest('hex')}\n` };
}

/** The digest in `page.tokenFile`, or undefined when that is not set. Throws CommandError (exit 2) naming a file that cannot be used. */
export function readPageTokenDigest(site: Site): Buffer | undefined {
  const { tokenFile } = site.config.page;
  if (tokenFile === undefined) return undefined;
  const path = site.pathOf(tokenFile);
  const digest = LINE.exec(read(path))?.[1];
  if (digest === undefined)
    throw new CommandError(`page.tokenFile: ${path} does not hold what \`sekisho page token\` writes. Make one: sekisho page token --out ${path}`, EXIT.usage);
  requirePrivate(path);
  return Buffer.from(digest, 'hex');
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CommandError(`page.tokenFile: ${path} cannot be used (${reason}). Make one: sekisho page token --out ${path}`, EXIT.usage);
  }
}

/** What is to be said of a server's status page before it is started. */
export function pageFindings(site: Site, server: Server): Finding[] {
  const { address, port, tokenFile } = site.config.page;
  if (!server.roles.includes('manager')) return [];
  const found: Finding[] = [];
  const add = (grave: boolean, message: string): void => void found.push({ server: server.name, cause: 'configuration', grave, message });
  if (port !== undefined && address !== '::1' && !address.startsWith('127.'))
    add(false, `page.address is ${address}: whoever reaches it reads the status page, unencrypted, and orders are only taken over TLS. Let a firewall and a proxy with TLS stand in front, or keep it on 127.0.0.1.`);
  if (port === undefined && tokenFile !== undefined) add(false, 'page.tokenFile is set and page.port is not: there is no status page.');
  try {
    readPageTokenDigest(site);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    add(true, error.message);
  }
  return found;
}
