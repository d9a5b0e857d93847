import { createPrivateKey, X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { isIP } from 'node:net';
import { type NoticeSettings, type OutbreakSettings, parseUsers, type SubmissionSettings, type WebhookSettings } from '@sekisho/outbreak';
import type { NoticesConfig } from '../config/notices-schema.ts';
import { CommandError, EXIT } from '../exit-codes.ts';
import { requirePrivate } from './secret-file.ts';
import type { Site } from './site.ts';

const MIN_SECRET_CHARS = 16;

/** What a site's watch is told, apart from where it runs: site.yaml with the files that it names. */
export type OutbreakAccess = Omit<OutbreakSettings, 'name' | 'notices'>;

/** Throws CommandError (exit 2) when site.yaml has no section `outbreak`, or names a file that cannot be used. */
export function readOutbreakAccess(site: Site): OutbreakAccess {
  const config = outbreakOf(site);
  return {
    site: site.config.site,
    to: config.to,
    toCustomer: config.customer,
    windowMs: config.window,
    thresholds: config.thresholds,
    coolDownMs: config.coolDown,
    clearAfterMs: config.clearAfter,
    submission: readSubmission(site, config.submission),
    webhook: config.webhook === undefined ? undefined : readWebhook(site, config.webhook),
  };
}

/** How this machine takes in notices; undefined when it does not. Throws as {@link readOutbreakAccess} does. */
export function readNoticeSettings(site: Site): NoticeSettings | undefined {
  const { notices } = outbreakOf(site);
  if (notices === undefined || !isHere(notices.listen.host)) return undefined;
  return noticeSettings(site, notices);
}

/** Reads every file that the section names, wherever notices are taken in. Throws as {@link readOutbreakAccess} does. */
export function checkOutbreakFiles(site: Site): void {
  readOutbreakAccess(site);
  const { notices } = outbreakOf(site);
  if (notices !== undefined && isHere(notices.listen.host)) noticeSettings(site, notices);
}

/** Whether notices are to be taken in, but not on this machine. */
export function noticesAreElsewhere(site: Site): boolean {
  const { notices } = outbreakOf(site);
  return notices !== undefined && !isHere(notices.listen.host);
}

function outbreakOf(site: Site) {
  const { outbreak } = site.config;
  if (outbreak === undefined)
    throw new CommandError(`${site.file} has no section outbreak: it says who is told of an outbreak, and how (docs/outbreak.md).`, EXIT.usage);
  return outbreak;
}

type OutbreakConfig = ReturnType<typeof outbreakOf>;

function readSubmission(site: Site, config: OutbreakConfig['submission']): SubmissionSettings {
  const { host, port, tls, from, user, passwordFile, caFile } = config;
  const password = secret(site, 'outbreak.submission.passwordFile', passwordFile);
  return {
    host,
    port,
    tls,
    from,
    caPem: read(site, 'outbreak.submission.caFile', caFile, (pem) => new X509Certificate(pem)),
    login: user === undefined || password === undefined ? undefined : { user, password },
  };
}

function readWebhook(site: Site, { url, secretFile }: NonNullable<OutbreakConfig['webhook']>): WebhookSettings {
  const text = secret(site, 'outbreak.webhook.secretFile', secretFile) ?? '';
  if (text.length < MIN_SECRET_CHARS)
    throw new CommandError(`outbreak.webhook.secretFile: ${site.pathOf(secretFile)} has fewer than ${MIN_SECRET_CHARS} characters. Make one: openssl rand -hex 32`, EXIT.usage);
  return { url, secret: text };
}

function noticeSettings(site: Site, config: NoticesConfig): NoticeSettings {
  const { listen, allow, usersFile, certFile, keyFile, maxBytes, maxPerMinute, patterns, builtInPatterns, keepDir, maxKept, maxKeptBytes } = config;
  const certPem = read(site, 'outbreak.notices.certFile', certFile, (pem) => new X509Certificate(pem));
  const keyPem = secret(site, 'outbreak.notices.keyFile', keyFile, (pem) => {
    if (certPem !== undefined && !new X509Certificate(certPem).checkPrivateKey(createPrivateKey(pem))) throw new Error('not the key of certFile');
  });
  const users = secret(site, 'outbreak.notices.usersFile', usersFile, (text) => parseUsers(text));
  return {
    listen,
    allow,
    users: users === undefined ? [] : parseUsers(users),
    tls: certPem === undefined || keyPem === undefined ? undefined : { certPem, keyPem },
    maxBytes,
    maxPerMinute,
    patterns,
    builtInPatterns,
    kept: { directory: keepDir === undefined ? site.keptNoticesDirectory : site.pathOf(keepDir), maxFiles: maxKept, maxBytes: maxKeptBytes },
  };
}

/** As {@link read}, of a file that nobody else may read. */
function secret(site: Site, key: string, file: string | undefined, check: (text: string) => unknown = () => {}): string | undefined {
  if (file !== undefined && existsSync(site.pathOf(file))) requirePrivate(site.pathOf(file));
  return read(site, key, file, check)?.trim();
}

function read(site: Site, key: string, file: string | undefined, check: (text: string) => unknown): string | undefined {
  if (file === undefined) return undefined;
  const path = site.pathOf(file);
  try {
    const text = readFileSync(path, 'utf8');
    check(text);
    return text;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CommandError(`${key}: ${path} cannot be used (${reason}). Mend it, or name another file.`, EXIT.usage);
  }
}

/** One site.yaml is for all servers: the one that has the address listens there. */
function isHere(host: string): boolean {
  if (isIP(host) === 0 || /^(?:0\.0\.0\.0|[0:]+|127\..*|::1)$/u.test(host)) return true;
  return Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ address }) => address === host));
}
