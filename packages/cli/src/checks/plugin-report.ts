import { printable } from '@sekisho/telemetry';
import { isBreached, type Range } from './range.ts';

/** What a monitoring plugin says of the thing it looks at, and with which exit code. */
export const PLUGIN_EXIT = { OK: 0, WARNING: 1, CRITICAL: 2, UNKNOWN: 3 } as const;
export type PluginState = keyof typeof PLUGIN_EXIT;

/** The worst first: what is known to be bad counts for more than what is not known. */
const WORST_FIRST: readonly PluginState[] = ['CRITICAL', 'WARNING', 'UNKNOWN', 'OK'];

/** One figure of the performance data. */
export interface Figure {
  readonly label: string;
  readonly value: number;
  /** `s`, `%`, `B` or `c` (a counter); none for a plain number. */
  readonly unit?: 's' | '%' | 'B' | 'c';
  readonly min?: number;
  readonly max?: number;
}

export interface Thresholds {
  readonly warning?: Range | undefined;
  readonly critical?: Range | undefined;
}

const MAX_DECIMALS = 3;
/** What monitoring cuts off or shows badly is not said. */
const MAX_TEXT_CHARS = 900;

/**
 * What a plugin found, said in one line as monitoring expects it: `SEKISHO RELAY OK - text | 'label'=value;warn;crit;min;max`.
 * Problems come first and decide the state; facts follow.
 */
export class PluginReport {
  readonly #name: string;
  readonly #problems: { readonly state: PluginState; readonly text: string }[] = [];
  readonly #facts: string[] = [];
  readonly #figures: string[] = [];

  /** @param name of what is looked at, such as `RELAY` */
  constructor(name: string) {
    this.#name = name;
  }

  get state(): PluginState {
    return WORST_FIRST.find((state) => this.#problems.some((problem) => problem.state === state)) ?? 'OK';
  }

  /** Something is not as it should be. */
  problem(state: Exclude<PluginState, 'OK'>, text: string): void {
    this.#problems.push({ state, text });
  }

  /** Something worth knowing that is no problem. */
  fact(text: string): void {
    this.#facts.push(text);
  }

  /** A figure for the performance data; `text` is the problem if it is outside one of the thresholds. */
  measure(figure: Figure, thresholds: Thresholds = {}, text = ''): void {
    const { label, value, unit = '', min, max } = figure;
    const { warning, critical } = thresholds;
    const number = (each: number | undefined): string => (each === undefined ? '' : String(rounded(each)));
    const fields = [`${quoted(label)}=${number(value)}${unit}`, warning?.text ?? '', critical?.text ?? '', number(min), number(max)];
    this.#figures.push(fields.join(';').replace(/;+$/u, ''));
    if (critical !== undefined && isBreached(critical, value)) this.problem('CRITICAL', text);
    else if (warning !== undefined && isBreached(warning, value)) this.problem('WARNING', text);
  }

  line(): string {
    const ordered = WORST_FIRST.flatMap((state) => this.#problems.filter((problem) => problem.state === state));
    const text = [...ordered.map((problem) => problem.text), ...this.#facts].map((each) => plain(each)).join(', ');
    const shown = text.length > MAX_TEXT_CHARS ? `${text.slice(0, MAX_TEXT_CHARS)}…` : text;
    const figures = this.#figures.length === 0 ? '' : ` | ${this.#figures.join(' ')}`;
    return `SEKISHO ${this.#name} ${this.state} - ${shown}${figures}`;
  }
}

/** `|` begins the performance data, so it cannot stand in the text. */
function plain(text: string): string {
  return printable(text).replaceAll('|', '/');
}

function quoted(label: string): string {
  return `'${plain(label).replaceAll("'", "''").replaceAll('=', '-')}'`;
}

function rounded(value: number): number {
  return Number(value.toFixed(MAX_DECIMALS));
}
