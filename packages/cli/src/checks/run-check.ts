import { type Command, InvalidArgumentError } from 'commander';
import { ConfigError } from '../config/config-error.ts';
import { CommandError } from '../exit-codes.ts';
import { result } from '../output.ts';
import { PLUGIN_EXIT, PluginReport } from './plugin-report.ts';
import { parseRange, type Range } from './range.ts';

/** What every check is told on its command line. */
export interface CheckOptions {
  /** Seconds. */
  readonly timeout: number;
  readonly warning?: Range;
  readonly critical?: Range;
}

const DEFAULT_TIMEOUT_S = 10;
const MAX_TIMEOUT_S = 600;
const SECOND_MS = 1000;

/** The options that all checks have, named as plugins name them. */
export function addTimeoutOption(command: Command): Command {
  return command.option('-t, --timeout <seconds>', 'then it is critical', seconds, DEFAULT_TIMEOUT_S);
}

/** The same with thresholds; `of` says for what, and `usual` what they are unless given. */
export function addThresholdOptions(command: Command, of: string, usual: { readonly warning: number; readonly critical: number | 'none' }): Command {
  return addTimeoutOption(command)
    .option('-w, --warning <range>', `warning for ${of} (default: ${usual.warning}); a range is 10, 10:, ~:10, 10:20 or @10:20`, range)
    .option('-c, --critical <range>', `critical for ${of} (default: ${usual.critical})`, range);
}

/**
 * Runs a check, prints its one line and ends the process with its state. Who asks is a program that knows four states:
 * whatever goes wrong is one of them. A time-out is critical, as in the plugins that everybody has.
 */
export async function runCheck(name: string, { timeout }: CheckOptions, look: (report: PluginReport, timeoutMs: number) => Promise<void>): Promise<void> {
  const report = new PluginReport(name);
  const timeoutMs = timeout * SECOND_MS;
  const { promise: late, resolve } = Promise.withResolvers<'late'>();
  const timer = setTimeout(() => resolve('late'), timeoutMs);
  try {
    const outcome = await Promise.race([look(report, timeoutMs), late]);
    if (outcome === 'late') report.problem('CRITICAL', `timed out after ${timeout} s`);
  } catch (error) {
    report.problem('UNKNOWN', explain(error));
  }
  clearTimeout(timer);
  finish(report);
}

/** A command line that cannot be understood is no failure of what is looked at. */
export function failAsUnknown(name: string, message: string): never {
  const report = new PluginReport(name);
  report.problem('UNKNOWN', message.replace(/^error: /u, ''));
  return finish(report);
}

/** Ends even if a connection to something that hangs is still open. Nothing is lost: a pipe is written to at once. */
function finish(report: PluginReport): never {
  result(report.line());
  process.exit(PLUGIN_EXIT[report.state]);
}

function explain(error: unknown): string {
  if (error instanceof ConfigError || error instanceof CommandError) return error.message.replaceAll(/\s*\n\s*/gu, '; ');
  return error instanceof Error ? error.message : String(error);
}

function seconds(text: string): number {
  const number = Number(text);
  if (!(number > 0 && number <= MAX_TIMEOUT_S)) throw new InvalidArgumentError(`A number of seconds up to ${MAX_TIMEOUT_S} is needed here.`);
  return number;
}

function range(text: string): Range {
  try {
    return parseRange(text);
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
  }
}
