import { expect } from 'vitest';
import type { Mesh, MeshRole, MeshSite } from '../../kit/mesh.ts';
import { freePort } from '../../kit/ports.ts';
import type { Redis } from '../../kit/redis.ts';
import { linesOf, type LogLine } from '../session-logs.ts';

/** Watches look each second; the rest is for a machine that has other work, too. */
const PATIENCE_MS = 30_000;
export const WATCHES = ['s1', 's2'] as const;
export type WatchName = (typeof WATCHES)[number];

export interface AlarmSiteInit {
  readonly name: string;
  /** The third number of the servers' addresses in 127.0.0.0/8. */
  readonly network: number;
  /** The sections of site.yaml, `outbreak` among them, by their dotted paths. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Whether each watch takes notices in, too, at a port of its own: gateways then come from 127.0.0.0/8 by their addresses. */
  readonly notices?: Readonly<Record<string, unknown>>;
}

/** As much of `sekisho outbreak status --json` as these tests look at. */
export interface StatusJson {
  readonly outbreaks: readonly {
    readonly name: string;
    readonly subject: string;
    readonly label: string;
    readonly firstAt: number;
    readonly endedAt: number | null;
    readonly ack: { readonly by: string } | null;
    readonly tally: { readonly count: number };
  }[];
  readonly counting: readonly { readonly level: string; readonly top: readonly (readonly [string, number])[] }[];
  readonly recipients: readonly { readonly address: string; readonly waiting: number; readonly failure: { readonly reason: string } | null }[];
}

/** A site of two servers with one Redis, whose two watches are started and killed by hand. */
export class AlarmSite {
  readonly mesh: Mesh;
  readonly site: MeshSite;
  /** Where each watch takes notices in. */
  readonly noticePorts: Readonly<Record<WatchName, number>>;
  readonly #metricsPorts: Readonly<Record<WatchName, number>>;
  readonly #notices: AlarmSiteInit['notices'];

  constructor(
    components: { readonly mesh: Mesh; readonly site: MeshSite },
    init: { readonly noticePorts: Record<WatchName, number>; readonly metricsPorts: Record<WatchName, number>; readonly notices: AlarmSiteInit['notices'] },
  ) {
    this.mesh = components.mesh;
    this.site = components.site;
    this.noticePorts = init.noticePorts;
    this.#metricsPorts = init.metricsPorts;
    this.#notices = init.notices;
  }

  /** One after the other: on one machine each needs ports of its own. */
  async startWatches(): Promise<void> {
    for (const name of WATCHES) {
      this.site.configure({
        'metrics.outbreak': this.#metricsPorts[name],
        ...(this.#notices === undefined ? {} : { 'outbreak.notices': { listen: `127.0.0.1:${this.noticePorts[name]}`, ...this.#notices } }),
      });
      await this.site.startRole(name, 'outbreak');
    }
  }

  /** SIGKILL of a role on both servers. */
  async killBoth(role: MeshRole): Promise<void> {
    await Promise.all(WATCHES.map((name) => this.site.killRole(name, role)));
  }

  async register(mac: string, label: string, contact: string): Promise<void> {
    await this.mesh.sekisho.mustRun('device', 'register', mac, '--config', this.site.file, '--label', label, '--contact', contact);
  }

  /** `sekisho outbreak COMMAND`, its standard output. */
  outbreak(command: string, ...args: string[]): Promise<string> {
    return this.mesh.sekisho.mustRun('outbreak', command, ...args, '--config', this.site.file);
  }

  async status(): Promise<StatusJson> {
    return JSON.parse(await this.outbreak('status', '--json')) as StatusJson;
  }

  /** Detections of a device that wait to become an outbreak. */
  async counting(mac: string): Promise<number> {
    const { counting } = await this.status();
    return counting.find(({ level }) => level === 'device')?.top.find(([key]) => key === mac)?.[1] ?? 0;
  }

  /** What both watches have logged of an event. */
  lines(event: string): LogLine[] {
    return WATCHES.flatMap((name) => linesOf(this.site.process(name, 'outbreak'), event));
  }

  /** The sum of a metric, written with its labels, over both watches. */
  async metric(name: string): Promise<number> {
    const texts = await Promise.all(WATCHES.map(async (one) => (await fetch(`http://127.0.0.1:${this.#metricsPorts[one]}/metrics`)).text()));
    const values = texts.flatMap((text) => text.split('\n').filter((line) => line.startsWith(`${name} `)));
    return values.map((line) => Number(line.slice(name.length + 1))).reduce((sum, value) => sum + value, 0);
  }
}

/** Makes a site; nothing of it runs yet. */
export async function addAlarmSite(components: { readonly mesh: Mesh; readonly redis: Redis }, init: AlarmSiteInit): Promise<AlarmSite> {
  const [s1, s2, m1, m2] = [await freePort(), await freePort(), await freePort(), await freePort()];
  const site = await components.mesh.addSite({
    name: init.name,
    servers: WATCHES.map((name, index) => ({
      name,
      address: `127.0.${init.network}.${index + 1}`,
      roles: ['auth', 'relay', 'manager', 'outbreak'] as const,
    })),
    settings: { 'store.url': `redis+unix:${components.redis.socketPath}`, ...init.settings },
  });
  return new AlarmSite({ mesh: components.mesh, site }, { noticePorts: { s1, s2 }, metricsPorts: { s1: m1, s2: m2 }, notices: init.notices });
}

/** Resolves once it is so. */
export async function eventually(actual: () => unknown, expected: unknown, timeoutMs = PATIENCE_MS): Promise<void> {
  await expect.poll(actual, { timeout: timeoutMs, interval: 100 }).toEqual(expected);
}
