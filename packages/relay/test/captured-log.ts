import { createLogger, type Logger } from '@sekisho/telemetry';

export interface CapturedLog {
  readonly log: Logger;
  readonly lines: Record<string, unknown>[];
}

/** A logger whose lines are kept. */
export function captureLog(): CapturedLog {
  const lines: Record<string, unknown>[] = [];
  const write = (line: string): void => {
    lines.push(JSON.parse(line) as Record<string, unknown>);
  };
  return { log: createLogger({ role: 'relay', destination: { write } }), lines };
}
