import type { ManagerStatus } from '@sekisho/manager';
import type { Command } from 'commander';
import { CommandError, EXIT } from '../exit-codes.ts';
import { type Asked, askManagers } from '../files/managers.ts';
import { loadSite } from '../files/site.ts';
import { type Cell, paint, result, resultJson, table } from '../output.ts';

/** `sekisho status`: the manager's table as an operator wants to see it. */
export function addStatusCommand(program: Command): void {
  program
    .command('status')
    .requiredOption('--config <file>', 'the site.yaml')
    .option('--server <name>', 'only this server of those that are this machine')
    .option('--json', 'for programs', false)
    .description('show the relays, agents, auths and the store as the managers of this machine see them')
    .action(async (options: { config: string; server?: string; json: boolean }) => {
      const site = loadSite(options.config);
      const asked = await askManagers(site, options.server);
      if (options.json)
        resultJson({
          site: site.config.site,
          managers: asked.map(({ server, status, problem }) => status ?? { name: server.name, problem }),
        });
      else result(asked.map((one) => page(one)).join('\n\n'));
      if (asked.every(({ status }) => status === undefined)) throw new CommandError('No manager of this machine answers.', EXIT.unavailable);
    });
}

function page({ server, status, problem }: Asked): string {
  if (status === undefined) return paint('red', `manager ${server.name}: ${problem ?? 'no answer'}`);
  const relays = status.table.relays;
  return [
    `site ${status.site}, manager ${status.name} at ${status.address}:${status.port}${status.stopping ? paint('yellow', ' STOPPING') : ''}`,
    `agents ${status.agents}, of them direct ${highlight(status.direct.agents)}; policy ${status.table.policy}${status.table.panic ? paint('red', ' PANIC: marks are distrusted') : ''}`,
    redundancy(status),
    '',
    table(
      ['RELAY', 'STATE', 'SHARE', 'WEIGHT', 'SESSIONS', 'MAX', 'CPU', 'HOT CORE', 'LOOP', 'FULL', 'LINE', 'WHY'],
      relays.map((relay) => row(relay)),
    ),
    ...inspectionTable(relays),
    '',
    ...status.events.slice(-EVENTS_SHOWN).map((event) => `${new Date(event.at).toISOString().slice(0, 19)}  ${event.event.padEnd(EVENT_WIDTH)}  ${event.text}`),
  ].join('\n');
}

const EVENTS_SHOWN = 8;
const EVENT_WIDTH = 16;

function highlight(count: number): string {
  return count === 0 ? '0' : paint('red', String(count));
}

function redundancy({ auths, store }: ManagerStatus): string {
  const state = (up: boolean): string => (up ? paint('green', 'up') : paint('red', 'DOWN'));
  const each = auths.map(({ name, up }) => `${name} ${state(up)}`).join(', ');
  return `auth ${each}; store ${state(store.up)}${store.up ? '' : ` (${store.reason ?? 'no answer'}; going on with memory)`}`;
}

type Relay = ManagerStatus['table']['relays'][number];

/** What the relays inspect, and with how many scanners: lines of the page, none where no relay inspects. */
export function inspectionTable(relays: readonly Relay[]): string[] {
  if (relays.every(({ inspection }) => isUnknown(inspection))) return [];
  const head = ['RELAY', 'SCANNERS', 'CLEAN', 'INFECTED', 'UNSCANNABLE', 'UNINSPECTED', 'WHY'];
  return ['', table(head, relays.map((relay) => inspectionRow(relay)))];
}

/** A manager that was not upgraded yet does not have it at all. */
function isUnknown(inspection: Relay['inspection'] | undefined): inspection is null {
  return inspection === null || inspection === undefined;
}

function inspectionRow({ name, inspection }: Relay): Cell[] {
  if (isUnknown(inspection)) return [name, '-', '-', '-', '-', '-', 'not inspected'];
  const { scanners, scannersUp, clean, infected, unscannable, uninspected, why = '' } = inspection;
  return [
    name,
    { text: `${scannersUp}/${scanners}`, colour: scannersUp < scanners ? 'red' : 'green' },
    clean,
    infected,
    unscannable,
    uninspected,
    why,
  ];
}

/** The loads are in percent of their limits: 100 % in one of them is what marks a relay. */
function row(relay: Relay): Cell[] {
  const { load, weight } = relay;
  const percent = (fraction: number | undefined): Cell => (fraction === undefined ? '-' : `${Math.round(fraction * 100)}%`);
  const override = relay.override === null ? '' : `; order of ${relay.override.by}`;
  return [
    relay.name,
    { text: relay.state.toUpperCase(), colour: relay.state === 'up' ? 'green' : relay.state === 'down' ? 'red' : 'yellow' },
    percent(relay.share),
    weight.override === null ? String(weight.configured) : `${weight.override} (was ${weight.configured})`,
    relay.sessions ?? '-',
    relay.maxSessions ?? '-',
    percent(load?.loadPerCore),
    percent(load?.hottestCore),
    percent(load?.loopDelay),
    percent(load?.sessions),
    percent(load?.bytesPerSecond),
    `${relay.reason}${override}`,
  ];
}
