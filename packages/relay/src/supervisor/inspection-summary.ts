import { MAX_TEXT_BYTES, type RelayInspection } from '@sekisho/wire';
import type { WorkerInspection } from '../worker.ts';
import { fitText } from './fit-text.ts';

/** Of one worker. */
export type Told = Pick<WorkerInspection, 'verdicts'> & {
  readonly scanners: readonly Pick<WorkerInspection['scanners'][number], 'address' | 'up' | 'why'>[];
};
type Scanners = Pick<RelayInspection, 'scanners' | 'scannersUp' | 'why'>;

/** What the workers' inspection has done in all, and which scanners every one of them can use. */
export class InspectionSummary {
  readonly #totals = { clean: 0, infected: 0, unscannable: 0, uninspected: 0 };
  #scanners: Scanners | undefined;

  /** Counts what a worker has done since its last report. */
  add({ verdicts }: Pick<Told, 'verdicts'>): void {
    this.#totals.clean += verdicts.clean;
    this.#totals.infected += verdicts.infected;
    this.#totals.unscannable += verdicts.unscannable;
    this.#totals.uninspected += verdicts.uninspected;
  }

  /** @param latest the last report of each worker that is ready. @returns undefined while none has told of inspection */
  report(latest: readonly (Told | undefined)[]): RelayInspection | undefined {
    const told = latest.filter((inspection) => inspection !== undefined);
    // While all workers are being replaced, nobody knows better than before.
    if (told.length > 0) this.#scanners = scannersOf(told);
    return this.#scanners === undefined ? undefined : { ...this.#totals, ...this.#scanners };
  }
}

function scannersOf(told: readonly Told[]): Scanners {
  const addresses = [...new Set(told.flatMap(({ scanners }) => scanners.map(({ address }) => address)))];
  const down = addresses.flatMap((address) =>
    told.flatMap(({ scanners }) => scanners.filter((scanner) => scanner.address === address && !scanner.up)).slice(0, 1),
  );
  const [first] = down;
  return {
    scanners: addresses.length,
    scannersUp: addresses.length - down.length,
    ...(first === undefined ? {} : { why: fitText(`${first.address}: ${first.why}`, MAX_TEXT_BYTES) }),
  };
}
