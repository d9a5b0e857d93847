import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { Namespace } from '../kit/netns.ts';
import type { TestProcess } from '../kit/process.ts';
import { METRICS_PORTS } from './addresses.ts';

export interface PrometheusInit {
  readonly directory: string;
  /** Job and its targets, `address:port`, each with labels. */
  readonly targets: readonly { readonly job: string; readonly target: string; readonly labels: Readonly<Record<string, string>> }[];
}

/** An alert that fired, and when it did first. */
export interface Fired {
  readonly alert: string;
  readonly site: string;
  readonly instance: string;
  /** Milliseconds of Unix time. */
  readonly at: number;
}

/** The operator's rules as they ship. */
const RULES = join(import.meta.dirname, '../../deploy/observe/prometheus/sekisho.rules.yml');
const PORT = 9090;
const INTERVAL = '1s';

/** A real Prometheus at the operator's desk that scrapes every role of every site, and the agents. */
export class Prometheus {
  readonly hasRules: boolean;
  readonly #processes: readonly TestProcess[];
  readonly #socketPath: string;

  private constructor(init: { processes: readonly TestProcess[]; socketPath: string; hasRules: boolean }) {
    this.#processes = init.processes;
    this.#socketPath = init.socketPath;
    this.hasRules = init.hasRules;
  }

  static async start(namespace: Namespace, { directory, targets }: PrometheusInit): Promise<Prometheus> {
    const home = join(directory, 'prometheus');
    await mkdir(home);
    const hasRules = existsSync(RULES);
    const jobs = [...new Set(targets.map(({ job }) => job))];
    await writeFile(
      join(home, 'prometheus.yml'),
      stringify({
        global: { scrape_interval: INTERVAL, scrape_timeout: INTERVAL, evaluation_interval: INTERVAL },
        ...(hasRules ? { rule_files: [RULES] } : {}),
        scrape_configs: jobs.map((job) => ({
          job_name: job,
          static_configs: targets.filter((one) => one.job === job).map(({ target, labels }) => ({ targets: [target], labels })),
        })),
      }),
    );
    const server = await namespace.start({
      command: 'prometheus',
      args: [
        `--config.file=${join(home, 'prometheus.yml')}`,
        `--storage.tsdb.path=${join(home, 'data')}`,
        `--web.listen-address=127.0.0.1:${PORT}`,
        '--storage.tsdb.retention.time=1d',
      ],
    });
    await namespace.waitForListener(server, PORT, 30_000);
    // Sockets with a path are the same in all network namespaces: this is the door to the operator's desk.
    const socketPath = join(home, 'door');
    const door = await namespace.start({ command: 'socat', args: [`UNIX-LISTEN:${socketPath},fork`, `TCP:127.0.0.1:${PORT}`] });
    return new Prometheus({ processes: [server, door], socketPath, hasRules });
  }

  /** Alerts that fired between these times and had not been firing at the first. */
  async firedBetween(from: number, to: number): Promise<Fired[]> {
    const query = new URLSearchParams({ query: 'ALERTS{alertstate="firing"}', start: String(from / 1000), end: String(to / 1000), step: '1' });
    const rows = (await this.#get(`/api/v1/query_range?${query.toString()}`)) as RangeAnswer;
    return rows.data.result
      .map(({ metric, values }) => ({
        alert: metric['alertname'] ?? '',
        site: metric['site'] ?? metric['office'] ?? '',
        instance: metric['instance'] ?? '',
        at: (values[0]?.[0] ?? 0) * 1000,
      }))
      .filter(({ at }) => at > from + 1000)
      .sort((a, b) => a.at - b.at);
  }

  /** The values of an expression now, with their labels. */
  async query(expression: string): Promise<{ readonly labels: Readonly<Record<string, string>>; readonly value: number }[]> {
    const { data } = (await this.#get(`/api/v1/query?${new URLSearchParams({ query: expression }).toString()}`)) as InstantAnswer;
    return data.result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }));
  }

  async stop(): Promise<void> {
    // It would write its data to disk first, which nobody wants.
    for (const child of this.#processes) child.kill('SIGKILL');
    await Promise.all(this.#processes.map(({ exited }) => exited));
  }

  logs(): { readonly name: string; readonly output: string }[] {
    return this.#processes.map(({ output }, index) => ({ name: ['prometheus', 'door'][index] ?? '', output }));
  }

  #get(path: string): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const asked = request({ socketPath: this.#socketPath, path, timeout: 10_000 }, (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => (text += chunk.toString()));
        response.on('end', () => (response.statusCode === 200 ? resolve(JSON.parse(text)) : reject(new Error(`Prometheus said ${response.statusCode}: ${text}`))));
      });
      asked.on('timeout', () => asked.destroy(new Error('Prometheus does not answer')));
      asked.on('error', reject);
      asked.end();
    });
  }
}

/** The targets of a site or an office, each with a label that says whose it is. */
export function targetsOf(kind: 'site' | 'office', name: string, addresses: readonly { readonly address: string; readonly server: string; readonly role: keyof typeof METRICS_PORTS }[]): PrometheusInit['targets'] {
  return addresses.map(({ address, server, role }) => ({ job: `sekisho-${role}`, target: `${address}:${METRICS_PORTS[role]}`, labels: { [kind]: name, server, role } }));
}

interface RangeAnswer {
  readonly data: { readonly result: readonly { readonly metric: Readonly<Record<string, string>>; readonly values: readonly (readonly [number, string])[] }[] };
}

interface InstantAnswer {
  readonly data: { readonly result: readonly { readonly metric: Readonly<Record<string, string>>; readonly value: readonly [number, string] }[] };
}
