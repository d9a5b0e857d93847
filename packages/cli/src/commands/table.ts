import { MAX_WEIGHT } from '@sekisho/store';
import { type Command, InvalidArgumentError } from 'commander';
import { CommandError, EXIT } from '../exit-codes.ts';
import { askManagers, orderManagers } from '../files/managers.ts';
import { orderedBy } from '../files/ordered-by.ts';
import { loadSite, type Site } from '../files/site.ts';
import { resultJson, say } from '../output.ts';

interface OrderOptions {
  readonly config: string;
  readonly site?: string;
  readonly confirm?: string;
  readonly dryRun?: boolean;
}

/** `sekisho table drain|undrain|weight`: at run time, and it lasts across restarts. */
export function addTableCommands(program: Command): void {
  const orders = program.command('table').description('orders about the relays of a site, at run time');
  confirmable(orders.command('drain').argument('<relay>', 'the name of the server'))
    .option('--dry-run', 'change nothing; say what would happen, or why it is refused')
    .description('give a relay no new sessions and move its agents; conversations finish')
    .addHelpText('after', '\nExamples:\n  sekisho table drain s3 --config site.yaml --dry-run\n  sekisho table drain s3 --config site.yaml --site tokyo-1')
    .action(async (relay: string, options: OrderOptions) => {
      const site = await order('drain', relay, options, {});
      if (options.dryRun === true) say(`site ${site.config.site}, relay ${relay}: nothing was changed. ${await othersWithout(site, relay)}`);
      else say(`site ${site.config.site}, relay ${relay}: drains. When its sessions are at 0 (sekisho upgrade-check --drained, sekisho status) it can be stopped.`);
    });
  withOptions(orders.command('undrain').argument('<relay>', 'the name of the server'))
    .description('let a drained relay work again')
    .action(async (relay: string, options: OrderOptions) => {
      const site = await order('undrain', relay, options, {});
      say(`site ${site.config.site}, relay ${relay}: takes new sessions again.`);
    });
  confirmable(orders.command('weight').argument('<relay>', 'the name of the server'))
    .argument('[weight]', `its share, 0 to ${MAX_WEIGHT}; without it, that of site.yaml again`, weight)
    .description('give a relay more or less of the load')
    .action(async (relay: string, value: number | undefined, options: OrderOptions) => {
      const site = await order('weight', relay, options, { weight: value ?? null });
      say(`site ${site.config.site}, relay ${relay}: ${value === undefined ? 'has the weight of site.yaml again' : `has weight ${value} now`}.`);
    });
}

function withOptions(command: Command): Command {
  return command
    .requiredOption('--config <file>', 'the site.yaml')
    .option('--site <name>', 'the site that is meant; refused when site.yaml is of another one');
}

function confirmable(command: Command): Command {
  return withOptions(command).option('--confirm <site>', 'the name of the site, to take out even the last relay that is up');
}

async function order(kind: string, relay: string, options: OrderOptions, more: object): Promise<Site> {
  const site = loadSite(options.config);
  const own = site.config.site;
  if (options.site !== undefined && options.site !== own)
    throw new CommandError(`${options.config} is of site ${own}, and --site says another one. Nothing was changed; is this the right machine?`, EXIT.usage);
  if (options.confirm !== undefined && options.confirm !== own)
    throw new CommandError(`--confirm takes the name of the site, which is ${own}. Nothing was changed; is this the right machine?`, EXIT.usage);
  const { confirm, dryRun } = options;
  const answer = await orderManagers(site, { path: `/table/${kind}`, body: { site: own, relay, by: orderedBy(), confirm, dryRun, ...more } });
  resultJson(dryRun === true ? Object.assign({ dryRun }, answer) : answer);
  return site;
}

/** Who would carry what the relay carries now. */
async function othersWithout(site: Site, relay: string): Promise<string> {
  const [answered] = (await askManagers(site, undefined)).flatMap(({ status }) => status ?? []);
  const rows = answered?.table.relays ?? [];
  const others = rows.filter(({ name, share }) => name !== relay && share > 0);
  const whole = others.reduce((sum, { share }) => sum + share, 0);
  const sessions = rows.find(({ name }) => name === relay)?.sessions ?? 0;
  const shares = others.map(({ name, share }) => `${name} ${Math.round((100 * share) / whole)}%`).join(', ');
  return `Drained, its ${sessions} sessions finish there, and new ones are shared so: ${shares || 'by nobody here; agents go to other sites, or directly'}.`;
}

function weight(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0 || value > MAX_WEIGHT)
    throw new InvalidArgumentError(`A whole number from 0 to ${MAX_WEIGHT} is needed here.`);
  return value;
}
