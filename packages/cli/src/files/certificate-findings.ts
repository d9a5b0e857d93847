import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { type Credentials, identityOf } from '@sekisho/channel';
import type { ServerRole } from '@sekisho/wire';
import { CommandError } from '../exit-codes.ts';
import { CERTIFICATE_WARNING_DAYS, DAY_MS, daysLeft } from './days-left.ts';
import type { Finding } from './machine.ts';
import { checkOutbreakFiles } from './outbreak-access.ts';
import { readCredentials, readTicketKey, readTicketPublicKeys } from './site-keys.ts';
import type { Server, Site } from './site.ts';


/** Checks the keys and certificates that a server's roles and its store need: there, private, of this site, and not expired. */
export function certificateFindings(site: Site, server: Server, nowMs: number): Finding[] {
  const found: Finding[] = [];
  const grave = (message: string): void => void found.push({ server: server.name, cause: 'configuration', grave: true, message });
  const warn = (message: string): void => void found.push({ server: server.name, cause: 'configuration', grave: false, message });
  const attempt = <T>(read: () => T): T | undefined => {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      grave(error.message);
      return undefined;
    }
  };

  for (const role of server.roles) {
    if (role === 'outbreak') continue;
    const credentials = attempt(() => readCredentials(site.keysDirectory, role));
    if (credentials === undefined) continue;
    const problem = certificateProblem(credentials, { role, site: site.config.site, managerName: site.config.managerName });
    if (problem !== undefined) grave(`the certificate or key of ${role} in ${site.keysDirectory} ${problem}. ${renewal(site)}`);
    else expiry(new X509Certificate(credentials.certPem), nowMs, (days) => {
      if (days < 0) grave(`the certificate of ${role} expired ${-days} days ago. ${renewal(site)}`);
      else warn(`the certificate of ${role} expires in ${days} days. ${renewal(site)}`);
    });
  }
  const signing = server.roles.includes('auth') ? attempt(() => createPublicKey(readTicketKey(site.keysDirectory))) : undefined;
  const accepted = server.roles.includes('relay') ? attempt(() => ticketKeys(site)) : undefined;
  if (signing !== undefined && accepted?.some((key) => key.equals(signing)) === false)
    grave(`ticket.pub.pem in ${site.keysDirectory} is not of ticket.key.pem: relays would refuse every ticket. Bring both from one \`sekisho site init\`.`);
  if (server.roles.some((role) => role !== 'relay')) attempt(() => site.readStoreAccess());
  if (server.roles.includes('outbreak')) attempt(() => checkOutbreakFiles(site));
  const { revocationFile } = site;
  if (server.roles.includes('auth') && revocationFile !== undefined && !existsSync(revocationFile))
    warn(`${revocationFile} is missing, so revoked devices are not known. Bring the operator's revocations.crl.pem there.`);
  return found;
}

function ticketKeys(site: Site): KeyObject[] {
  return readTicketPublicKeys(site.keysDirectory).map((pem) => createPublicKey(pem));
}

interface Wanted {
  readonly role: ServerRole;
  readonly site: string;
  readonly managerName: string;
}

function certificateProblem({ caPem, certPem, keyPem }: Credentials, wanted: Wanted): string | undefined {
  const certificate = new X509Certificate(certPem);
  const ca = new X509Certificate(caPem);
  const identity = identityOf(certificate);
  if (!certificate.checkIssued(ca) || !certificate.verify(ca.publicKey)) return 'is not signed by the operator of ca.cert.pem';
  if (!certificate.checkPrivateKey(createPrivateKey(keyPem))) return 'do not belong to each other';
  if (identity?.kind !== 'server' || identity.site !== wanted.site || identity.role !== wanted.role)
    return `is not of the ${wanted.role} of ${wanted.site} but of ${certificate.subjectAltName ?? 'nobody'}`;
  if (wanted.role === 'manager' && certificate.checkHost(wanted.managerName) === undefined)
    return `is not for ${wanted.managerName}, by which agents know managers`;
  return undefined;
}

function expiry(certificate: X509Certificate, nowMs: number, tell: (days: number) => void): void {
  const endsAtMs = Date.parse(certificate.validTo);
  if (endsAtMs - nowMs < CERTIFICATE_WARNING_DAYS * DAY_MS) tell(daysLeft(endsAtMs, nowMs));
}

function renewal(site: Site): string {
  return `Make new ones where the operator is (sekisho site init ./new --operator … --site ${site.config.site}) and bring that keys directory here.`;
}
