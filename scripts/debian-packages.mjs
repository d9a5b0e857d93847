// The Debian packages with the real mail servers, clients, Redis and DNS that the integration tests start. Plain
// JavaScript for whatever Node the machine has; silent and quick when all is there.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** Package, and a file that is there when it is installed; `*` stands for one folder of any name. */
const PACKAGES = [
  ['postfix', '/usr/lib/postfix/sbin/master'],
  ['dovecot-core', '/usr/sbin/dovecot'],
  ['dovecot-pop3d', '/usr/lib/dovecot/pop3'],
  ['dovecot-imapd', '/usr/lib/dovecot/imap'],
  ['redis-server', '/usr/bin/redis-server'],
  ['dnsmasq-base', '/usr/sbin/dnsmasq'],
  ['swaks', '/usr/bin/swaks'],
  // swaks only recommends it, and can't do TLS without.
  ['libnet-ssleay-perl', '/usr/lib/*/perl5/*/Net/SSLeay.pm'],
  ['msmtp', '/usr/bin/msmtp'],
  ['fetchmail', '/usr/bin/fetchmail'],
  ['clamav-daemon', '/usr/sbin/clamd'],
  ['iproute2', '/usr/sbin/ip'],
  ['nftables', '/usr/sbin/nft'],
  ['bind9', '/usr/sbin/named'],
  ['bind9-utils', '/usr/bin/named-checkzone'],
  ['bind9-dnsutils', '/usr/bin/nsupdate'],
  // promtool, which tests alert rules, and the server that the lab watches its sites with.
  ['prometheus', '/usr/bin/promtool'],
  // systemd-analyze, and what socket activation and notifications are tested with.
  ['systemd', '/usr/bin/systemd-analyze'],
  ['socat', '/usr/bin/socat'],
  ['chromium', '/usr/bin/chromium'],
];

const POLICY = '/usr/sbin/policy-rc.d';
const SAVED_POLICY = `${POLICY}.saved-by-sekisho`;
/** Exit code 101 of policy-rc.d: "action forbidden by policy". The tests start servers of their own, no others. */
const NO_SERVICES = '#!/bin/sh\nexit 101\n';
const APT_TIMEOUT_MS = 600_000;

/** The packages whose files are not there, below another root directory for tests. */
export function missingPackages(root = '/') {
  return PACKAGES.filter(([, file]) => !present(root, file.slice(1).split('/'))).map(([name]) => name);
}

function present(folder, [first, ...rest]) {
  if (first === undefined) return existsSync(folder);
  if (first !== '*') return present(join(folder, first), rest);
  if (!existsSync(folder)) return false;
  return readdirSync(folder, { withFileTypes: true }).some((entry) => entry.isDirectory() && present(join(folder, entry.name), rest));
}

/** What to tell somebody whose machine lacks packages that can't be installed from here. */
export function installHint(packages, reason) {
  const names = packages.join(' ');
  return [
    `sekisho: the tests with real servers need these Debian packages, which are missing: ${names}`,
    `  They were not installed because ${reason}.`,
    `  On Debian or Ubuntu: sudo apt-get install --no-install-recommends ${names}`,
    '  On another system: run the tests in a Debian container; the demo (npm run demo) needs none of these.',
  ].join('\n');
}

/** Installs what is missing, or says what to do and ends the process with exit code 1. */
export function ensureDebianPackages() {
  const missing = missingPackages();
  if (missing.length === 0) return;
  const obstacle = whyNotFromHere();
  if (obstacle !== undefined) giveUp(installHint(missing, obstacle));
  console.error(`sekisho: installing Debian packages for the tests (once): ${missing.join(' ')} …`);
  const failure = withoutStartingServices(() => install(missing));
  const stillMissing = missingPackages();
  if (stillMissing.length > 0) giveUp(`${failure}\n${installHint(stillMissing, 'apt-get failed, see above')}`);
}

function whyNotFromHere() {
  if (!existsSync('/etc/debian_version') || !existsSync('/usr/bin/apt-get')) return 'this is not a Debian system';
  return process.getuid?.() === 0 ? undefined : 'that takes root';
}

function giveUp(message) {
  console.error(message);
  process.exit(1);
}

/** What apt-get said when it failed, else an empty text. */
function install(packages) {
  // A mail server of the machine's own must not be thrown out for the sake of a test, hence --no-remove.
  const args = ['install', '-y', '-q', '--no-install-recommends', '--no-remove', ...packages];
  if (packages.includes('postfix')) {
    const answer = 'postfix postfix/main_mailer_type select No configuration\n';
    spawnSync('debconf-set-selections', { input: answer });
  }
  if (aptGet(args) === '') return '';
  // Most often: package lists that are missing or too old.
  const updating = aptGet(['update', '-q']);
  const installing = aptGet(args);
  return installing === '' ? '' : `${updating}${installing}`;
}

function aptGet(args) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' };
  const options = { env, encoding: 'utf8', timeout: APT_TIMEOUT_MS, stdio: ['ignore', 'pipe', 'pipe'] };
  const { status, stdout, stderr, error } = spawnSync('apt-get', ['-o', 'DPkg::Lock::Timeout=120', ...args], options);
  if (status === 0) return '';
  return `apt-get ${args.join(' ')}\n${stdout ?? ''}${stderr ?? ''}${error?.message ?? ''}`;
}

/** Installing a server on Debian starts it, unless policy-rc.d says no. A policy that is there already is put back. */
function withoutStartingServices(work) {
  // A run that was killed half way left the machine's own policy aside: that one counts, not ours in its place.
  if (existsSync(POLICY) && !existsSync(SAVED_POLICY)) renameSync(POLICY, SAVED_POLICY);
  try {
    writeFileSync(POLICY, NO_SERVICES);
    chmodSync(POLICY, 0o755);
    return work();
  } finally {
    rmSync(POLICY, { force: true });
    if (existsSync(SAVED_POLICY)) renameSync(SAVED_POLICY, POLICY);
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) ensureDebianPackages();
