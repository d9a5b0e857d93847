import type { Row } from './row.ts';

/**
 * The row with the lowest load per weight, hand-outs since its last report counted. A row that has waited past its
 * least share goes first. Null when all are excluded from pick number `pick`.
 */
export function leastLoaded(rows: readonly Row[], pick: number, handOuts: number): Row | null {
  let best: Row | null = null;
  let bestKey = Number.POSITIVE_INFINITY;
  for (const row of rows) {
    if (row.excludedIn === pick) continue;
    if (handOuts - row.lastHandOut > row.starvesAfter) return row;
    if (row.key < bestKey) {
      best = row;
      bestKey = row.key;
    }
  }
  return best;
}

/**
 * Smooth weighted round robin (the algorithm nginx made known): every row gains its weight, the one with most is chosen
 * and pays the sum. Exact over each cycle, and without runs of the same row.
 */
export function nextByWeight(rows: readonly Row[], pick: number): Row | null {
  let best: Row | null = null;
  let total = 0;
  for (const row of rows) {
    if (row.excludedIn === pick) continue;
    row.current += row.effectiveWeight;
    total += row.effectiveWeight;
    if (best === null || row.current > best.current) best = row;
  }
  if (best !== null) best.current -= total;
  return best;
}

/**
 * Appends up to `count` names, drawn by fallback weight without repetition from the rows that pick number `pick` does
 * not exclude. `scratch` is working space. Drawn, because in a rotation the same row would always follow the same one:
 * the death of a relay would send all its agents to one other.
 */
export function drawFallbacks(
  into: string[],
  count: number,
  from: { rows: readonly Row[]; pick: number; scratch: Row[]; random: () => number },
): void {
  const { rows, pick, scratch, random } = from;
  scratch.length = 0;
  let total = 0;
  for (const row of rows) {
    if (row.excludedIn === pick) continue;
    scratch.push(row);
    total += row.fallbackWeight;
  }
  for (let drawn = 0; drawn < count && scratch.length > 0; drawn += 1) {
    let rest = random() * total;
    let index = 0;
    for (; index < scratch.length - 1; index += 1) {
      rest -= scratch[index]?.fallbackWeight ?? 0;
      if (rest < 0) break;
    }
    const row = scratch[index];
    const last = scratch.pop();
    if (row === undefined || last === undefined) return;
    if (row !== last) scratch[index] = last;
    total -= row.fallbackWeight;
    into.push(row.name);
  }
}
