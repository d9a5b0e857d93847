import { CANDIDATES, CANDIDATE_TITLES, type Candidate, type Figure } from './figure.ts';
import { type Target, type Verdict, verdicts } from './targets.ts';

/** Where and when a run was made. */
export interface RunFacts {
  readonly date: string;
  readonly machine: string;
  readonly versions: Readonly<Record<string, string>>;
  /** Cipher suite, scale, what was missing: whatever a reader must know to believe the figures. */
  readonly notes: readonly string[];
}

/** The object of `--json`: `{"figures": [{"name", "ours", "haproxy_tls", ..., "unit", "spreads", "targets"}], ...}`. */
export function toJson(figures: readonly Figure[], facts: RunFacts): object {
  return {
    figures: figures.map((figure) => ({
      name: figure.name,
      ...rounded(figure.values),
      unit: figure.unit,
      ...(figure.spreads === undefined ? {} : { spreads: rounded(figure.spreads) }),
      targets: verdicts(figure).map(({ target, measured, reached }) => ({ ...target, measured: significant(measured), reached })),
    })),
    ...facts,
  };
}

/** A table for people: a line for each figure. */
export function toText(figures: readonly Figure[], facts: RunFacts): string {
  const table = rows(figures);
  const widths = (table[0] ?? []).map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0)));
  const lines = table.map((row) => row.map((cell, column) => align(cell, widths[column] ?? 0, column)).join('  ').trimEnd());
  return [...lines, '', ...legend(figures, facts)].join('\n');
}

/** The same as a table in Markdown. */
export function toMarkdown(figures: readonly Figure[], facts: RunFacts): string {
  const [head = [], ...body] = rows(figures);
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const rule = `|${head.map((_, column) => (isNumber(column, head.length) ? '--:|' : '---|')).join('')}`;
  const text = legend(figures, facts).map((entry) => `* ${entry}`);
  return [line(head), rule, ...body.map((row) => line(row)), '', ...text].join('\n');
}

function rows(figures: readonly Figure[]): string[][] {
  const shown = candidatesOf(figures);
  const head = ['figure', ...shown, 'unit', 'ours is', 'target', ''];
  return [head, ...figures.map((figure) => rowOf(figure, shown))];
}

function rowOf(figure: Figure, shown: readonly Candidate[]): string[] {
  const { ours, haproxy_tls: chain } = figure.values;
  const judged = verdicts(figure);
  const ratio = ours !== undefined && chain !== undefined ? [`${(ours / chain).toFixed(2)} x haproxy_tls`] : [];
  const others = judged
    .filter(({ target: { against } }) => against !== undefined && against !== 'haproxy_tls')
    .map(({ target, measured }) => `${measured.toFixed(2)} x ${target.against}`);
  return [
    figure.name,
    ...shown.map((candidate) => format(figure.values[candidate])),
    figure.unit,
    [...ratio, ...others].join(', '),
    judged.map(({ target }) => describe(target)).join(', '),
    judged.map(mark).join(', '),
  ];
}

/** In words: `<= 0.50 x haproxy_tls`. */
function describe({ against, atMost, atLeast }: Target): string {
  const bound = atMost === undefined ? `>= ${format(atLeast)}` : `<= ${format(atMost)}`;
  return against === undefined ? bound : `${bound} x ${against}`;
}

function mark({ reached }: Verdict): string {
  return reached ? 'yes' : 'NO';
}

function legend(figures: readonly Figure[], facts: RunFacts): string[] {
  const versions = Object.entries(facts.versions).map(([name, version]) => `${name} ${version}`);
  const titles = candidatesOf(figures).map((candidate) => `${candidate}: ${CANDIDATE_TITLES[candidate]}`);
  return [`${facts.date}, ${facts.machine}; ${versions.join(', ')}`, ...titles, ...facts.notes];
}

function candidatesOf(figures: readonly Figure[]): Candidate[] {
  return CANDIDATES.filter((candidate) => figures.some(({ values }) => values[candidate] !== undefined));
}

/** Between the name, and unit, ratio, target and verdict. */
function isNumber(column: number, columns: number): boolean {
  return column > 0 && column < columns - 4;
}

function align(cell: string, width: number, column: number): string {
  return column === 0 || !/^[-\d.]+$/u.test(cell) ? cell.padEnd(width) : cell.padStart(width);
}

function rounded(values: Figure['values']): Partial<Record<Candidate, number>> {
  return Object.fromEntries(Object.entries(values).map(([candidate, value]) => [candidate, significant(value)]));
}

/** Four significant digits: what rounds agree on is less. */
function significant(value: number): number {
  return Number(value.toPrecision(4));
}

function format(value: number | undefined): string {
  if (value === undefined) return '-';
  if (Math.abs(value) >= 100) return value.toFixed(0);
  return Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(value === 0 ? 0 : 2);
}
