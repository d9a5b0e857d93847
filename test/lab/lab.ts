import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Dnsmasq, startDnsmasq } from '../kit/dnsmasq.ts';
import { Sekisho } from '../kit/mesh.ts';
import { runProcess } from '../kit/process.ts';
import { makeTempDir, type TempDir } from '../kit/temp-dir.ts';
import { DNS, IMPOSTOR, LINE_PREFIX, MAIL, MANAGER_NAME, OFFICES, OPERATOR, SITES, ZONE_TTL_S } from './addresses.ts';
import { Internet, type Line } from './internet.ts';
import { Ledger, type LedgerSummary } from './ledger.ts';
import { MailServers } from './mail-servers.ts';
import { LabOffice } from './office.ts';
import { Prometheus, targetsOf } from './prometheus.ts';
import { LabSite } from './site.ts';

export interface LabInit {
  /** How many of the sites run; default three. */
  readonly sites?: number;
  /** How many servers each has; default five. Two of them manage. */
  readonly servers?: number;
  /** How long a lease lasts; default half a minute. Short, so that what happens at its end can be waited for. */
  readonly ticketTtl?: string;
  readonly offices?: number;
  /** Default true. */
  readonly prometheus?: boolean;
  /** Between two mails of a client. */
  readonly pauseMs?: number;
  /** A build of `sekisho`; default one of this checkout, made for this lab. */
  readonly command?: string | undefined;
  /** Told what is being done. */
  readonly say?: (text: string) => void;
}

/** Of a site's line, in both directions: enough for what the offices send, and a tenth of it is not. */
const SITE_BITS_PER_SECOND = 20e6;
const PAUSE_MS = 250;
const TICKET_TTL = '30s';
/** Nothing of the lab is on the lines named here, so their addresses are all in networks of eight. */
const SMALL_PREFIX = 29;
const BUILD = join(import.meta.dirname, '../../scripts/build.mjs');
const POLL_MS = 250;
/** A client that is told to give up has at most the silence before it that it bears. */
const ABANDON_TIMEOUT_MS = 90_000;
const STORED_TIMEOUT_MS = 30_000;

interface LabParts {
  readonly temp: TempDir;
  readonly internet: Internet;
  readonly sekisho: Sekisho;
  readonly dns: Dnsmasq;
  readonly dnsLine: Line;
  readonly mail: MailServers;
  readonly desk: Line;
}

/** The whole lab: sites, offices, DNS, mail servers and the operator's desk, each in a network namespace of its own. */
export class Lab {
  readonly ledger = new Ledger();
  readonly internet: Internet;
  readonly dns: Dnsmasq;
  readonly dnsLine: Line;
  readonly mail: MailServers;
  readonly desk: Line;
  readonly sekisho: Sekisho;
  /** Those that are in service; a scenario may add one. */
  readonly sites: LabSite[] = [];
  readonly offices: LabOffice[] = [];
  prometheus: Prometheus | undefined;
  readonly directory: string;
  readonly #temp: TempDir;
  readonly #init: LabInit;
  #impostor: Line | undefined;

  private constructor(parts: LabParts, init: LabInit) {
    this.#init = init;
    this.#temp = parts.temp;
    this.directory = parts.temp.path;
    this.internet = parts.internet;
    this.dns = parts.dns;
    this.dnsLine = parts.dnsLine;
    this.mail = parts.mail;
    this.desk = parts.desk;
    this.sekisho = parts.sekisho;
  }

  /** Builds it and starts everything; resolves when mail can flow. */
  static async create(init: LabInit = {}): Promise<Lab> {
    const say = init.say ?? ((): void => undefined);
    const temp = await makeTempDir('lab', 0o755);
    const internet = await Internet.create('lab');
    if (init.command === undefined) say('a build of this checkout');
    const sekisho = init.command === undefined ? await buildSekisho(temp.path) : new Sekisho(init.command);
    await sekisho.mustRun('operator', 'init', join(temp.path, 'operator'), '--manager-name', MANAGER_NAME);
    const dnsLine = await internet.line({ name: 'dns', gateway: DNS.gateway, addresses: [DNS.address], prefix: SMALL_PREFIX });
    const dns = await startDnsmasq({ namespace: dnsLine.namespace, address: DNS.address, ttlS: ZONE_TTL_S });
    const desk = await internet.line({ name: 'desk', gateway: OPERATOR.gateway, addresses: [OPERATOR.address], prefix: SMALL_PREFIX });
    const mailLine = await internet.line({
      name: 'mail',
      gateway: MAIL.gateway,
      addresses: [MAIL.address],
      prefix: LINE_PREFIX,
      v6: { gateway: MAIL.gateway6, address: MAIL.address6 },
    });
    say('mail servers');
    const mail = await MailServers.start(mailLine);
    const lab = new Lab({ temp, internet, sekisho, dns, dnsLine, mail, desk }, init);
    try {
      await lab.#build(init, say);
    } catch (error) {
      await lab.stop();
      throw error;
    }
    return lab;
  }

  async #build(init: LabInit, say: (text: string) => void): Promise<void> {
    for (const plan of SITES.slice(0, init.sites ?? 3)) {
      say(`site ${plan.name}`);
      const site = await this.makeSite(plan.name);
      await site.start();
      this.sites.push(site);
    }
    await this.publish(this.sites);
    for (const [index, plan] of OFFICES.slice(0, init.offices ?? OFFICES.length).entries()) {
      say(`office ${plan.name}`);
      const components = { sekisho: this.sekisho, internet: this.internet, mail: this.mail, onReport: this.ledger.record.bind(this.ledger) };
      const options = { plan, index, directory: this.directory, operator: join(this.directory, 'operator'), pauseMs: init.pauseMs ?? PAUSE_MS };
      const office = await LabOffice.create(components, options);
      await office.startAgent();
      await office.startClients(components, options);
      this.offices.push(office);
    }
    if (init.prometheus === false) return;
    say('Prometheus');
    const sites = this.sites.flatMap(({ name, units }) => targetsOf('site', name, units));
    const offices = this.offices.flatMap(({ name, plan }) => targetsOf('office', name, [{ address: plan.line.router, server: 'router', role: 'agent' }]));
    this.prometheus = await Prometheus.start(this.desk.namespace, { directory: this.directory, targets: [...sites, ...offices] });
  }

  /** Makes a site of the plan with its line, without starting its servers or entering it in DNS. */
  async makeSite(name: string): Promise<LabSite> {
    const plan = SITES.find((one) => one.name === name);
    if (plan === undefined) throw new Error(`no site ${name} is planned`);
    const directory = join(this.directory, name);
    const { servers = plan.servers.length, ticketTtl = TICKET_TTL } = this.#init;
    const smaller = { ...plan, servers: plan.servers.slice(0, servers) };
    return LabSite.create(this, { plan: smaller, directory, operator: join(this.directory, 'operator'), bitsPerSecond: SITE_BITS_PER_SECOND, ticketTtl });
  }

  site(name: string): LabSite {
    const site = this.sites.find((one) => one.name === name);
    if (site === undefined) throw new Error(`there is no site ${name}`);
    return site;
  }

  /** Enters the managers of these sites in DNS, and no others. */
  async publish(sites: readonly LabSite[], others: readonly string[] = []): Promise<void> {
    await this.dns.set(MANAGER_NAME, [...sites.flatMap(({ managers }) => managers.map(({ address }) => address)), ...others]);
  }

  /** A line at which nobody of ours is; made once. */
  async impostorLine(): Promise<Line> {
    this.#impostor ??= await this.internet.line({ name: 'impostor', gateway: IMPOSTOR.gateway, addresses: [IMPOSTOR.address], prefix: LINE_PREFIX });
    return this.#impostor;
  }

  startTraffic(): void {
    for (const office of this.offices) office.order('start');
  }

  /** Lets the clients finish what they have begun and sums up; what is not settled in that time is abandoned. */
  async settle(patienceMs: number): Promise<LedgerSummary> {
    const idle = await Promise.all(this.offices.map((office) => office.untilIdle('finish', patienceMs)));
    const late = this.offices.filter((_, index) => idle[index] === false);
    await Promise.all(late.map((office) => office.untilIdle('abandon', ABANDON_TIMEOUT_MS)));
    const stored: string[] = [];
    const deadline = performance.now() + STORED_TIMEOUT_MS;
    for (;;) {
      stored.push(...(await this.mail.takeStored()));
      const arrived = new Set(stored);
      if (this.ledger.acceptedHashes.every((hash) => arrived.has(hash)) || performance.now() > deadline) break;
      await sleep(POLL_MS);
    }
    const sessions = this.offices.flatMap((office) => office.takeSessions());
    return this.ledger.close({ stored, sessions });
  }

  /** Takes back whatever a scenario has done, and starts what it has ended. */
  async heal(): Promise<void> {
    this.dns.resume();
    const lines = [this.dnsLine, this.desk, ...this.sites.map((site) => site.line), ...this.offices.map((office) => office.line)];
    await Promise.all(lines.map((line) => line.restore()));
    await Promise.all(
      this.sites.map(async (site) => {
        site.resume(site.units);
        site.redis.resume();
        for (const scanner of site.scanners) scanner.resume();
        await site.start();
      }),
    );
    for (const office of this.offices) if (!office.agent.running) await office.startAgent();
    await this.publish(this.sites);
  }

  /** What is not as it should be: relays that are not up, offices that are not relayed. Empty when all is well. */
  async troubles(): Promise<string[]> {
    const troubles: string[] = [];
    for (const site of this.sites) {
      const rows = await site.relayStates();
      const expected = site.managers.length * site.relays.length;
      if (rows.length !== expected) troubles.push(`${site.name}: ${rows.length} of ${expected} rows of relays`);
      for (const { manager, relay, state } of rows) if (state !== 'up') troubles.push(`${site.name}: ${relay} is ${state}, says ${manager}`);
    }
    for (const office of this.offices) {
      const last = office.lastSession();
      if (last?.route !== 'relayed') troubles.push(`${office.name}: its last session went ${last?.route ?? 'nowhere'}${last?.code === undefined ? '' : ` (${last.code})`}`);
    }
    return troubles;
  }

  /** Writes the log of every process to a directory. */
  async writeLogs(directory: string): Promise<void> {
    await mkdir(directory, { recursive: true });
    const owners = [...this.sites, ...this.offices, ...(this.prometheus === undefined ? [] : [Object.assign(this.prometheus, { name: 'desk' })])];
    for (const owner of owners) {
      const texts = new Map<string, string>();
      for (const { name, output } of owner.logs()) texts.set(name, (texts.get(name) ?? '') + output);
      for (const [name, output] of texts) await writeFile(join(directory, `${owner.name}.${name}.log`), output);
    }
    await writeFile(join(directory, 'postfix.log'), await this.mail.postfixLog());
  }

  /** Ends every process and removes every file and namespace. */
  async stop(): Promise<void> {
    await Promise.all([...this.offices.map((office) => office.stop()), ...this.sites.map((site) => site.stop())]);
    await Promise.all([this.prometheus?.stop(), this.mail.stop(), this.dns.stop()]);
    await this.internet.stop();
    await this.#temp.remove();
  }
}

/** A build of this checkout, so that it starts sooner, and that an edit of the source while the lab runs does not matter. */
async function buildSekisho(directory: string): Promise<Sekisho> {
  const dist = join(directory, 'dist');
  const { code, output } = await runProcess({ command: process.execPath, args: [BUILD, dist] });
  if (code !== 0) throw new Error(`the build failed:\n${output}`);
  return new Sekisho(join(dist, 'sekisho.mjs'));
}
