import { userInfo } from 'node:os';
import { MAX_WEIGHT } from '@sekisho/store';
import { type Command, InvalidArgumentError } from 'commander';
import { orderManagers } from '../files/managers.ts';
import { loadSite } from '../files/site.ts';
import { resultJson, say } from '../output.ts';

interface OrderOptions {
  readonly config: string;
  readonly force: boolean;
}

/** `sekisho table drain|undrain|weight`: at run time, and it lasts across restarts. */
export function addTableCommands(program: Command): void {
  const orders = program.command('table').description('orders about the relays of a site, at run time');
  relayCommand(orders, 'drain', 'give a relay no new sessions and move its agents; conversations finish');
  relayCommand(orders, 'undrain', 'let a drained relay work again');
  withOptions(orders.command('weight').argument('<relay>', 'the name of the server'))
    .argument('[weight]', `its share, 0 to ${MAX_WEIGHT}; without it, that of site.yaml again`, weight)
    .description('give a relay more or less of the load')
    .action(async (relay: string, value: number | undefined, options: OrderOptions) => {
      await order('weight', relay, options, { weight: value ?? null });
      say(value === undefined ? `${relay} has the weight of site.yaml again.` : `${relay} has weight ${value} now.`);
    });
}

function relayCommand(parent: Command, kind: 'drain' | 'undrain', description: string): void {
  withOptions(parent.command(kind).argument('<relay>', 'the name of the server'))
    .description(description)
    .action(async (relay: string, options: OrderOptions) => {
      await order(kind, relay, options, {});
      say(kind === 'drain' ? `${relay} drains; when its sessions are at 0 (sekisho status) it can be stopped.` : `${relay} takes new sessions again.`);
    });
}

function withOptions(command: Command): Command {
  return command
    .requiredOption('--config <file>', 'the site.yaml')
    .option('--force', 'even if it is the last relay that is up', false);
}

async function order(kind: string, relay: string, options: OrderOptions, more: object): Promise<void> {
  const site = loadSite(options.config);
  const by = process.env['SUDO_USER'] ?? userInfo().username;
  const body = { relay, by, force: options.force, ...more };
  resultJson(await orderManagers(site, { path: `/table/${kind}`, body }));
}

function weight(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0 || value > MAX_WEIGHT)
    throw new InvalidArgumentError(`A whole number from 0 to ${MAX_WEIGHT} is needed here.`);
  return value;
}
