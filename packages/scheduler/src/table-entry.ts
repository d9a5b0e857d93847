/** One line of a manager's table. The same name may stand there several times: its weights are added. */
export interface TableEntry {
  readonly name: string;
  /** Share in relation to the other relays; 1 when it is left out. */
  readonly weight?: number;
}

/** The heaviest entry. Beyond it a relay of weight 1 would wait thousands of requests for its turn. */
export const MAX_WEIGHT = 1_000;

/**
 * The table with every relay once, in the order of first mention, and its whole weight.
 * A text is a list of names with commas or spaces between them, so `a, b, b` gives b twice the share of a.
 *
 * @throws RangeError for an empty table, an empty name, or a weight that is not in (0, MAX_WEIGHT].
 */
export function parseTable(table: string | readonly (string | TableEntry)[]): Required<TableEntry>[] {
  const entries = typeof table === 'string' ? table.split(/[\s,]+/).filter((name) => name !== '') : table;
  const weights = new Map<string, number>();
  for (const [index, entry] of entries.entries()) {
    const { name, weight = 1 } = typeof entry === 'string' ? { name: entry.trim() } : entry;
    if (name === '') throw new RangeError(`entry ${index + 1} of the table has no name`);
    if (!(weight > 0 && weight <= MAX_WEIGHT)) {
      throw new RangeError(`weight of ${name} is ${weight}: above 0 and up to ${MAX_WEIGHT} is allowed`);
    }
    weights.set(name, (weights.get(name) ?? 0) + weight);
  }
  if (weights.size === 0) throw new RangeError('the table names no relay');
  return Array.from(weights, ([name, weight]) => ({ name, weight }));
}
