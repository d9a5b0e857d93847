import type { Plot } from './report.ts';

/** Labels of marks that would overlap go into rows above each other; what does not fit into these has a line, but no label. */
export const MAX_MARK_ROWS = 3;

export interface MarkLabel {
  readonly x: number;
  readonly row: number;
  readonly anchor: 'start' | 'end';
  readonly textX: number;
  /** Empty where there is no room. */
  readonly label: string;
}

interface Area {
  readonly left: number;
  readonly right: number;
  /** Width of a character, about. */
  readonly character: number;
}

/** Where the marks of a plot go, and how many rows their labels take. Marks outside of the xs are left out. */
export function markLabels(plot: Plot, toX: (x: number) => number, area: Area): { readonly rows: number; readonly labels: readonly MarkLabel[] } {
  const ends: number[] = [];
  const labels = [...(plot.marks ?? [])]
    .sort((one, other) => one.x - other.x)
    .map((mark) => ({ x: toX(mark.x), label: mark.label }))
    .filter(({ x }) => x >= area.left && x <= area.right)
    .map(({ x, label }): MarkLabel => {
      const width = label.length * area.character;
      const anchor = x + 4 + width > area.right ? 'end' : 'start';
      const from = anchor === 'start' ? x : x - width - 4;
      const free = ends.findIndex((end) => end < from);
      const row = free >= 0 ? free : ends.length;
      if (row >= MAX_MARK_ROWS) return { x, row: 0, anchor, textX: x, label: '' };
      ends[row] = from + width + 12;
      return { x, row, anchor, textX: anchor === 'start' ? x + 4 : x - 4, label };
    });
  return { rows: ends.length, labels };
}
