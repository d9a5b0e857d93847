import type { PlanProgress } from '@sekisho/simulator';

/** Where no line is overwritten, one is written so often; a plan that takes less than that writes none. */
const EVERY_MS = 10_000;
const REDRAW_MS = 200;
const CLEAR_LINE = '\r\u001b[K';

/** Says on standard error how far a plan is: in a line that is overwritten on a terminal, in a new one now and then elsewhere. */
export function planProgressLine(clock: () => number = () => performance.now()): { show: (progress: PlanProgress, perSite?: number) => void; end: () => void } {
  const isTerminal = process.stderr.isTTY;
  let saidAtMs = clock();
  return {
    show: (progress, perSite) => {
      const nowMs = clock();
      if (nowMs - saidAtMs < (isTerminal ? REDRAW_MS : EVERY_MS)) return;
      saidAtMs = nowMs;
      const text = planProgressText(progress, perSite);
      // A line that wraps cannot be overwritten.
      process.stderr.write(isTerminal ? `${CLEAR_LINE}${text.slice(0, process.stderr.columns - 1)}` : `${text}\n`);
    },
    end: () => {
      if (isTerminal) process.stderr.write(CLEAR_LINE);
    },
  };
}

export function planProgressText({ startMs, atMs, endMs }: PlanProgress, perSite?: number): string {
  const trying = perSite === undefined ? '' : `${perSite} ${perSite === 1 ? 'server' : 'servers'} at each site: `;
  return atMs < startMs ? `${trying}clients start ...` : `${trying}${timeOfDay(atMs)}, until ${timeOfDay(endMs)} ...`;
}

function timeOfDay(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}
