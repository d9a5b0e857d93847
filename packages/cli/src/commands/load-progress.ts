import type { Progress } from '@sekisho/simulator';

/** Where no line is overwritten, one is written so often, and when something new begins. */
const EVERY_SECONDS = 10;
const CLEAR_LINE = '\r\u001b[K';

/** A line on standard error that says how a run goes: overwritten on a terminal, a new one now and then elsewhere. */
export function progressLine(): { show: (progress: Progress) => void; end: () => void } {
  const isTerminal = process.stderr.isTTY;
  let lastSeconds = Number.NEGATIVE_INFINITY;
  let lastPhase = '';
  return {
    show: (progress) => {
      // A line that wraps cannot be overwritten.
      if (isTerminal) process.stderr.write(`${CLEAR_LINE}${progressText(progress).slice(0, process.stderr.columns - 1)}`);
      // Timers are a little early or late.
      else if (progress.phase !== lastPhase || progress.elapsedSeconds - lastSeconds >= EVERY_SECONDS - 0.5) {
        lastPhase = progress.phase;
        lastSeconds = progress.elapsedSeconds;
        process.stderr.write(`${progressText(progress)}\n`);
      }
    },
    end: () => {
      if (isTerminal) process.stderr.write(CLEAR_LINE);
    },
  };
}

export function progressText({ phase, elapsedSeconds, last }: Progress): string {
  if (last === undefined) return `${phase} ...`;
  const { sessions, active, failed, bytesUp, bytesDown, timeToRelayMs } = last;
  const megabits = (bytes: number): string => ((bytes * 8) / 1e6).toFixed(1);
  const relay = timeToRelayMs === null ? '' : `time to relay ${timeToRelayMs.p50.toFixed(1)} ms, p99 ${timeToRelayMs.p99.toFixed(1)} ms  `;
  return `${phase} ${elapsedSeconds.toFixed(0)} s  ${sessions} sessions/s  ${active} running  ${relay}up ${megabits(bytesUp)} down ${megabits(bytesDown)} Mbit/s  ${failed} failed`;
}
