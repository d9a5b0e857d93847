import { acknowledge, MAX_BY_CHARS, type OutbreakStatus, outbreakStatus, type RecipientStatus, sendTest, submissionProblem } from '@sekisho/outbreak';
import { printable } from '@sekisho/telemetry';
import type { Command } from 'commander';
import { CommandError, EXIT } from '../exit-codes.ts';
import { readOutbreakAccess } from '../files/outbreak-access.ts';
import { orderedBy } from '../files/ordered-by.ts';
import { loadSite } from '../files/site.ts';
import { type Cell, paint, result, resultJson, say, table } from '../output.ts';
import { addRunCommand } from './run.ts';

/** `sekisho outbreak …`: what the watch for outbreaks knows, and that somebody takes care. */
export function addOutbreakCommands(program: Command): void {
  const outbreak = program.command('outbreak').description('the alarm when a virus breaks out: looking, acknowledging, trying it');
  addStatus(outbreak);
  addAck(outbreak);
  addTest(outbreak);
  addRunCommand(outbreak, 'outbreak', 'run');
}

function addStatus(outbreak: Command): void {
  outbreak
    .command('status')
    .requiredOption('--config <file>', 'the site.yaml')
    .option('--json', 'for programs', false)
    .description('show outbreaks, what is being counted, who has been told, and whether alerts can be sent')
    .action(async ({ config, json }: { config: string; json: boolean }) => {
      const site = loadSite(config);
      const settings = readOutbreakAccess(site);
      const problem = submissionProblem(settings);
      const store = await site.openStore();
      try {
        const status = await outbreakStatus(store, settings, Date.now());
        const submission = { server: `${settings.submission.host}:${settings.submission.port}`, problem: await problem };
        if (json) resultJson({ ...status, submission });
        else result(page(status, submission));
      } finally {
        await store.close();
      }
    });
}

function addAck(outbreak: Command): void {
  outbreak
    .command('ack')
    .argument('<name>', 'the outbreak, as status and its alert name it')
    .requiredOption('--config <file>', 'the site.yaml')
    .option('--by <name>', 'who takes care of it; by default who is logged in')
    .description('take care of an outbreak: no more digests of it; that it is over is told')
    .action(async (name: string, { config, by = orderedBy() }: { config: string; by?: string }) => {
      if (by.length > MAX_BY_CHARS) throw new CommandError(`--by has at most ${MAX_BY_CHARS} characters.`, EXIT.usage);
      const store = await loadSite(config).openStore();
      try {
        const outcome = await acknowledge(store, name, { by, at: Date.now() });
        if (outcome === 'unknown') throw new CommandError(`There is no outbreak ${printable(name)}. Which there are: sekisho outbreak status --config ${config}`);
        if (outcome === 'over') throw new CommandError(`${name} is over; there is nothing to acknowledge.`);
        result(name);
        say(`${name} is acknowledged by ${printable(by)}: there are no more digests of it. That it is over will be told.`);
      } finally {
        await store.close();
      }
    });
}

function addTest(outbreak: Command): void {
  outbreak
    .command('test')
    .requiredOption('--config <file>', 'the site.yaml')
    .description('send a message that says it is a test to every administrator and to the webhook')
    .addHelpText('after', '\nExit code 0: all went out. 1: one did not, or more. No customer gets any.')
    .action(async ({ config }: { config: string }) => {
      const outcomes = await sendTest(readOutbreakAccess(loadSite(config)));
      for (const { way, address, failure } of outcomes) result(`${way} ${address}: ${failure === null ? paint('green', 'sent') : paint('red', `failed: ${failure}`)}`);
      const failed = outcomes.filter(({ failure }) => failure !== null);
      if (failed.length > 0) throw new CommandError(`${failed.length} of ${outcomes.length} messages did not go out: look at outbreak.submission and outbreak.webhook in ${config}.`);
      say('Sent means that the server has taken it. See whether it arrives.');
    });
}

function page(status: OutbreakStatus, submission: { readonly server: string; readonly problem: string | null }): string {
  const open = status.outbreaks.filter(({ endedAt }) => endedAt === null).length;
  return [
    `site ${status.site}: ${open === 0 ? 'no outbreak' : paint('red', `${open} outbreak(s)`)}; submission server ${submission.server} ${submission.problem === null ? paint('green', 'works') : paint('red', `FAILS: ${submission.problem}`)}`,
    ...(status.outbreaks.length === 0
      ? []
      : ['', table(['OUTBREAK', 'STATE', 'WHAT', 'CALLED', 'COUNT', 'SINCE', 'LAST', 'ACK'], status.outbreaks.map((one) => outbreakRow(one)))]),
    '',
    table(
      ['COUNTED BY', 'KEY', 'IN THE WINDOW', 'THRESHOLD'],
      status.counting.flatMap(({ level, threshold, top }): Cell[][] => (top.length === 0 ? [[level, '-', 0, threshold]] : top.map(([key, count]) => [level, key, count, threshold]))),
    ),
    '',
    table(['TOLD BY', 'WHO', 'LAST', 'THIS HOUR', 'WAITING', 'STATE'], status.recipients.map((one) => recipientRow(one))),
  ].join('\n');
}

function outbreakRow({ name, level, subject, label, tally, firstAt, endedAt, ack }: OutbreakStatus['outbreaks'][number]): Cell[] {
  const state: Cell = endedAt === null ? { text: 'LASTS', colour: 'red' } : { text: 'over', colour: 'dim' };
  return [name, state, level === 'device' ? level : `${level} ${subject}`, label || '-', tally.count, time(firstAt), time(tally.lastAt), ack === null ? '-' : ack.by];
}

function recipientRow({ way, address, lastSentAt, sentThisHour, waiting, isLimited, claim, failure }: RecipientStatus): Cell[] {
  return [way, address, lastSentAt === null ? '-' : time(lastSentAt), sentThisHour, waiting, recipientState({ isLimited, claim, failure })];
}

function recipientState({ isLimited, claim, failure }: Pick<RecipientStatus, 'isLimited' | 'claim' | 'failure'>): Cell {
  if (claim !== null) return { text: `${claim.by} is sending`, colour: 'yellow' };
  if (failure !== null) return { text: `fails since ${time(failure.since)}: ${failure.reason}`, colour: 'red' };
  return isLimited ? { text: 'waits: told too often this hour', colour: 'yellow' } : 'told';
}

function time(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19).replace('T', ' ');
}
