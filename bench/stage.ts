import { Bulk } from './load/bulk.ts';
import { startSink } from './load/smtp.ts';
import type { Bench } from './figures/bench.ts';
import { haproxyVersion, startHaproxy, startHaproxyChain } from './peers/haproxy.ts';
import { harakaVersion, startHaraka } from './peers/haraka.ts';
import { type Lane, Unavailable } from './peers/lane.ts';
import { nginxVersion, startNginx } from './peers/nginx.ts';
import { startNginxMail } from './peers/nginx-mail.ts';
import { Ours } from './peers/ours.ts';
import { useScratchDirectory } from './scratch.ts';

type Starts = readonly (() => Promise<Lane>)[];

/** Everything that runs while figures are measured: destinations, candidates, load. Nobody idle costs the others anything. */
export class Stage implements Bench {
  readonly ours: Ours;
  readonly lanes: readonly Lane[];
  readonly smtpProxies: readonly Lane[];
  readonly smtpSink: Bench['smtpSink'];
  readonly bulk: Bulk;
  readonly isQuick: boolean;
  readonly rounds: number;
  readonly versions: Readonly<Record<string, string>>;
  readonly notes: string[];

  private constructor(init: Pick<Stage, 'ours' | 'lanes' | 'smtpProxies' | 'smtpSink' | 'bulk' | 'isQuick' | 'rounds' | 'versions' | 'notes'>) {
    this.ours = init.ours;
    this.lanes = init.lanes;
    this.smtpProxies = init.smtpProxies;
    this.smtpSink = init.smtpSink;
    this.bulk = init.bulk;
    this.isQuick = init.isQuick;
    this.rounds = init.rounds;
    this.versions = init.versions;
    this.notes = init.notes;
  }

  /** Starts what is here and notes what is not. @throws Unavailable without Postfix, which makes the load */
  static async start({ isQuick, rounds }: { readonly isQuick: boolean; readonly rounds: number }): Promise<Stage> {
    const { port, child } = await startSink();
    useScratchDirectory();
    const bulk = await Bulk.start();
    const destinations = { smtp: port, bulk: bulk.port };
    const ours = await Ours.start(destinations);
    const notes: string[] = [`all TLS: 1.3, ${ours.tls.cipherSuite}, the same P-256 certificates`];
    const lanes: Lane[] = [ours];
    const smtpProxies: Lane[] = [];
    const starts: Starts = [
      () => startHaproxyChain('haproxy_tls', destinations, ours.tls),
      ...(isQuick ? [] : [() => startHaproxyChain('haproxy_mtls', destinations, ours.tls)]),
      () => startHaproxy(destinations),
      () => startNginx(destinations),
    ];
    const smtpStarts: Starts = [() => startNginxMail(destinations), () => startHaraka(destinations, !isQuick)];
    await startInto(lanes, starts, notes);
    await startInto(smtpProxies, smtpStarts, notes);
    const versions: Record<string, string> = { Node: process.version };
    for (const [name, version] of [['HAProxy', haproxyVersion], ['nginx', nginxVersion], ['Haraka', harakaVersion]] as const) {
      const found = await orNote(version, []);
      if (found !== undefined) versions[name] = found;
    }
    return new Stage({ ours, lanes, smtpProxies, smtpSink: { port, pid: child.pid }, bulk, isQuick, rounds, versions, notes });
  }

  startOurs(): Promise<Ours> {
    return Ours.start({ smtp: this.smtpSink.port, bulk: this.bulk.port });
  }

  note(text: string): void {
    this.notes.push(text);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.lanes, ...this.smtpProxies].map((lane) => lane.stop()));
    await this.bulk.stop();
  }
}

async function startInto(lanes: Lane[], starts: Starts, notes: string[]): Promise<void> {
  for (const start of starts) {
    const lane = await orNote(start, notes);
    if (lane !== undefined) lanes.push(lane);
  }
}

/** A candidate that is not here is said, and the others go on. */
async function orNote<T>(start: () => Promise<T>, notes: string[]): Promise<T | undefined> {
  try {
    return await start();
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    if (!notes.includes(`not measured: ${error.message}`)) notes.push(`not measured: ${error.message}`);
    return undefined;
  }
}
