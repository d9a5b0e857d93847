import { shortened } from './prose.ts';
import type { Plot } from './report.ts';

/** Labels of marks that would overlap go into rows above each other; what does not fit into these has a line, but no label. */
export const MARK_ROWS = 3;

interface MarkLabel {
  readonly x: number;
  /** From the top: the line of a later mark then does not cross an earlier label. */
  readonly row: number;
  readonly anchor: 'start' | 'end';
  readonly textX: number;
  /** Empty where there is no room. */
  readonly label: string;
}

export interface MarkLabels {
  readonly rows: number;
  readonly labels: readonly MarkLabel[];
}

interface Area {
  readonly left: number;
  readonly right: number;
  /** Width of a character, about. */
  readonly character: number;
  /** The longest label, in characters. */
  readonly labelCharacters: number;
}

/** Where (in pixels) the marks of a plot go, and how many rows their labels take. Marks outside of the xs are left out. */
export function markLabels(plot: Plot, toX: (x: number) => number, area: Area): MarkLabels {
  const ends: number[] = [];
  const labels = [...(plot.marks ?? [])]
    .sort((one, other) => one.x - other.x)
    .map((mark) => ({ x: toX(mark.x), label: shortened(mark.label, area.labelCharacters) }))
    .filter(({ x }) => x >= area.left && x <= area.right)
    .map(({ x, label }): MarkLabel => {
      const width = label.length * area.character;
      const anchor = x + 4 + width > area.right ? 'end' : 'start';
      const from = anchor === 'start' ? x : x - width - 4;
      const free = ends.findIndex((end) => end < from);
      const row = free >= 0 ? free : ends.length;
      if (row >= MARK_ROWS) return { x, row: 0, anchor, textX: x, label: '' };
      ends[row] = from + width + 12;
      return { x, row, anchor, textX: anchor === 'start' ? x + 4 : x - 4, label };
    });
  return { rows: ends.length, labels };
}
