import type { ProcessFigures } from '../figures/load-result.ts';
import { ProcessWatch, type Usage } from './process-watch.ts';

interface Entry {
  readonly watch: ProcessWatch;
  before: Usage | undefined;
  after: Usage | undefined;
  last: Usage | undefined;
  maxResidentBytes: number;
}

type Children = Parameters<ProcessWatch['look']>[0];

/** What each watched process uses: second by second, and between begin() and end(). */
export class UsageLog {
  readonly #entries: Entry[];

  constructor(watched: readonly { readonly name: string; readonly pid: number }[]) {
    this.#entries = watched.map((one) => ({
      watch: new ProcessWatch(one),
      before: undefined,
      after: undefined,
      last: undefined,
      maxResidentBytes: 0,
    }));
  }

  /** CPU seconds of each since the last look. */
  look(children: Children): Record<string, number> {
    return Object.fromEntries(
      this.#entries.map((entry) => {
        const { last } = entry;
        const usage = this.#lookAt(entry, children);
        return [entry.watch.name, last === undefined ? 0 : usage.cpuSeconds - last.cpuSeconds];
      }),
    );
  }

  begin(children: Children): void {
    for (const entry of this.#entries) {
      entry.maxResidentBytes = 0;
      entry.before = this.#lookAt(entry, children, false);
    }
  }

  end(children: Children): void {
    for (const entry of this.#entries) entry.after = this.#lookAt(entry, children, false);
  }

  figures(): Pick<ProcessFigures, 'name' | 'cpuSeconds' | 'residentBytes' | 'processes'>[] {
    return this.#entries.map(({ watch, before, after, maxResidentBytes }) => ({
      name: watch.name,
      cpuSeconds: (after?.cpuSeconds ?? 0) - (before?.cpuSeconds ?? 0),
      residentBytes: { start: before?.residentBytes ?? 0, max: maxResidentBytes, end: after?.residentBytes ?? 0 },
      processes: after?.processes ?? 0,
    }));
  }

  #lookAt(entry: Entry, children: Children, isTick = true): Usage {
    const usage = entry.watch.look(children);
    if (isTick || entry.last === undefined) entry.last = usage;
    if (entry.after === undefined) entry.maxResidentBytes = Math.max(entry.maxResidentBytes, usage.residentBytes);
    return usage;
  }
}
