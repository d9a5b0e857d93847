export interface LinePath {
  /** The `d` of a path; empty when no two values are neighbours. */
  readonly line: string;
  /** Values between two gaps, which a line would not show. */
  readonly dots: readonly (readonly [number, number])[];
}

/** A line through points in pixels; a null parts it. */
export function linePath(xs: readonly number[], ys: readonly (number | null)[]): LinePath {
  const parts: string[] = [];
  const dots: [number, number][] = [];
  let run: [number, number][] = [];
  const endRun = () => {
    const [only] = run;
    if (run.length === 1 && only !== undefined) dots.push(only);
    else if (run.length > 1) parts.push(`M${run.map(([x, y]) => `${x} ${y}`).join('L')}`);
    run = [];
  };
  ys.forEach((y, index) => {
    if (y === null) endRun();
    else run.push([xs[index] ?? 0, y]);
  });
  endRun();
  return { line: parts.join(''), dots };
}
