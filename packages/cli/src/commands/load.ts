import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { CommandError, EXIT } from '../exit-codes.ts';
import { requireWritable } from '../files/secret-file.ts';
import { result, resultJson } from '../output.ts';
import { address, collect, count, duration, forward, MAX_CLIENTS, MAX_PROCESSES, positive, relay, share, size, watched } from './load-arguments.ts';
import { progressLine } from './load-progress.ts';
import { type LoadOptions, loadSettings } from './load-settings.ts';

const EXAMPLES = `
Ways in, one of:
  --direct          straight to the simulated servers: what the generator itself can do, to compare with
  --agent L=D/P     the text of a running agent's own --forward; clients connect to L, the simulated server is at D
  --devices DIR     an office for each agent.yaml in there, with its real agent in this process
                    (with --relay: the ticket comes from a manager of the site, the relay is the one named)

Examples:
  sekisho load --direct --clients 50
  sekisho load --agent 127.0.0.1:2525=127.0.0.1:2526/smtp --clients 50 --duration 30s --watch relay=1234
  sekisho load --devices ./devices --clients 1000 --smtp-port 2526 --bulk --size 1MiB --client-rate 5 --html load.html
  sekisho load --devices ./devices --relay s9=192.0.2.19:7026 --i-own-this-target 192.0.2.19 --i-own-this-target manager.example.com

docs/load.md explains every option and every figure.`;

/** `sekisho load`: simulated offices and mail servers, with the mesh between them. */
export function addLoadCommand(program: Command): void {
  program
    .command('load')
    .description('simulate offices and mail servers, and measure what is between them')
    .option('--direct', 'straight to the simulated servers', false)
    .option('--agent <listen=destination>', 'through an agent that runs; may be given several times', forward, [])
    .option('--devices <directory>', 'through agents of these agent.yaml files, run by this command')
    .option('--offices <n>', 'only so many of the devices', count(1, MAX_CLIENTS))
    .option('--relay <name=host:port>', 'with --devices: use this relay and not those of the lease; may be given several times', relay, [])
    .option('--serve-at <address>', 'where the simulated servers listen, as relays reach it', address, '127.0.0.1')
    .option('--smtp-port <n>', 'of the simulated SMTP server; 0: any free one', count(0, 65_535), 0)
    .option('--pop3-port <n>', 'of the simulated POP3 server; 0: any free one', count(0, 65_535), 0)
    .option('--clients <n>', 'clients at once; with --rate the most that may be', count(1, MAX_CLIENTS), 10)
    .option('--rate <n>', 'begin so many sessions a second, whatever becomes of them (open loop)', positive)
    .addOption(new Option('--think <duration>', 'mean pause of a client between two sessions').argParser(duration('0ms', '1h')).default(0, '0s'))
    .addOption(new Option('--mix <name>', 'sizes of mails, and the share of clients that fetch').choices(['office', 'notices', 'attachments']).default('office'))
    .option('--size <size>', 'all mails have this size, and nobody fetches unless --fetch says so', size)
    .option('--fetch <share>', 'share of the sessions that fetch by POP3, from 0 to 1', share)
    .option('--bulk', 'mail after mail in each session, until the end', false)
    .option('--client-rate <mbps>', 'a client streams at most so many Mbit/s', positive)
    .option('--tls', 'TLS from the first byte between clients and simulated servers', false)
    .addOption(new Option('--duration <duration>', 'how long to measure').argParser(duration('100ms', '1d')).default(10_000, '10s'))
    .addOption(new Option('--warm-up <duration>', 'before that, outside of all figures').argParser(duration('0ms', '1h')).default(2000, '2s'))
    .addOption(new Option('--timeout <duration>', 'a session in which no byte moves for so long has failed').argParser(duration('1s', '1h')).default(60_000, '1m'))
    .option('--processes <n>', 'load processes, which add up', count(1, MAX_PROCESSES), 1)
    .option('--seed <n>', 'the same sizes and pauses each time', count(0, 2 ** 31), 1)
    .option('--watch <name=pid>', 'CPU and memory of this process and its descendants; may be given several times', watched, [])
    .option('--i-own-this-target <host>', 'this host is not this machine and is yours to fill with load; may be given several times', collect, [])
    .option('--json', 'for programs', false)
    .option('--html <file>', 'write a page with plots')
    .addHelpText('after', EXAMPLES)
    .action(load);
}

/** The process of which `sekisho load` starts one or several; not for people. */
export function addLoadWorkerCommand(program: Command): void {
  program.command('load-worker', { hidden: true }).action(async () => {
    const { runLoadWorker } = await import('@sekisho/simulator');
    await runLoadWorker();
  });
}

async function load(options: LoadOptions): Promise<void> {
  if (options.html !== undefined) requireWritable(options.html);
  const { LoadProblem, loadReport, renderPage, renderText, runLoad } = await import('@sekisho/simulator');
  const settings = await loadSettings(options);
  const progress = progressLine();
  try {
    const spawnWorker = (): ReturnType<typeof startWorker> => startWorker(options.bulk ? BULK_NODE_OPTIONS : []);
    const outcome = await runLoad({ spawn: spawnWorker, onProgress: progress.show, interrupted: interruption() }, settings);
    progress.end();
    const report = loadReport(outcome);
    if (options.html !== undefined) writeFileSync(options.html, renderPage(report));
    if (options.json) resultJson(outcome);
    else result(renderText(report));
    if (!outcome.ok) process.exitCode = EXIT.failed;
  } catch (error) {
    progress.end();
    if (error instanceof LoadProblem) throw new CommandError(error.message);
    throw error;
  }
}

/** What a server reads is garbage at once: found out so early, its memory is still in the cache (0.85 s a GB instead of 1.3). */
const BULK_NODE_OPTIONS = ['--max-semi-space-size=1'];

/** Its output is ours, its life hangs on the channel: when this process is gone, it ends. */
function startWorker(nodeOptions: readonly string[]): ReturnType<typeof spawn> {
  return spawn(process.execPath, [...process.execArgv, ...nodeOptions, process.argv[1] ?? '', 'load-worker'], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    serialization: 'advanced',
  });
}

/** The first Ctrl-C ends the run and reports what was measured until then; the second ends at once. */
function interruption(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => {
      if (controller.signal.aborted) process.exit(EXIT.failed);
      controller.abort();
    });
  return controller.signal;
}
