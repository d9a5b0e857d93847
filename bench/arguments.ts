import { parseArgs } from 'node:util';

export interface BenchArguments {
  readonly format: 'text' | 'json' | 'markdown';
  readonly isQuick: boolean;
  /** Only figures whose names begin with one of these; empty: all. */
  readonly only: readonly string[];
  readonly rounds: number;
}

export const USAGE = `usage: node bench/run.ts [--quick] [--only NAME]... [--rounds N] [--json | --markdown]
  --quick     under 90 s in all: fewer rounds and less of everything
  --only      only figures whose names begin so, such as relay.cpu_per_gb or chain.; again for more
  --rounds    how often each candidate has its turn (3; with --quick 1)
  --json      one object on standard output
  --markdown  the table of docs/performance.md on standard output`;

const DEFAULT_ROUNDS = 3;
const QUICK_ROUNDS = 1;
const MAX_ROUNDS = 100;

/** @throws Error with what is wrong with the command line */
export function parseArguments(args: readonly string[]): BenchArguments {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true, default: [] },
      rounds: { type: 'string' },
      json: { type: 'boolean', default: false },
      markdown: { type: 'boolean', default: false },
    },
  });
  if (values.json && values.markdown) throw new Error('--json and --markdown exclude one another');
  const rounds = Number(values.rounds ?? (values.quick ? QUICK_ROUNDS : DEFAULT_ROUNDS));
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > MAX_ROUNDS) throw new Error(`--rounds is a number from 1 to ${MAX_ROUNDS}`);
  const format = values.json ? 'json' : values.markdown ? 'markdown' : 'text';
  return { format, isQuick: values.quick, only: values.only, rounds };
}
