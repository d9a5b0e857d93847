import type { Logger, Metrics } from '@sekisho/telemetry';
import { DIFFER_ALARM_MS, SignatureAgreement } from '../inspect/signature-agreement.ts';
import type { WorkerInspection } from '../worker.ts';
import { InspectionMetrics, type InspectionNow } from './inspection-metrics.ts';

const HOUR_MS = 3_600_000;

/** What the workers tell of inspection, as metrics, and whether their scanners know the same viruses. */
export class InspectionBoard {
  readonly #log: Logger;
  readonly #now: () => number;
  readonly #reports: () => readonly WorkerInspection[];
  readonly #addresses: readonly string[];
  readonly #metrics: InspectionMetrics;
  readonly #agreement = new SignatureAgreement();

  /** @param components now: monotonic milliseconds; reports: the last of each worker that is ready */
  constructor(
    components: { readonly log: Logger; readonly metrics: Metrics; readonly now: () => number; readonly reports: () => readonly WorkerInspection[] },
    init: { readonly scanners: readonly string[] },
  ) {
    this.#log = components.log;
    this.#now = components.now;
    this.#reports = components.reports;
    this.#addresses = init.scanners;
    this.#metrics = new InspectionMetrics(components.metrics, () => this.#present(), { scanners: init.scanners.length });
  }

  /** A worker has reported. */
  add({ counts }: WorkerInspection): void {
    this.#metrics.add(counts);
    const versions = this.#present().scanners.filter(({ up }) => up).map(({ signatures }) => signatures);
    const change = this.#agreement.update(versions, this.#now());
    if (change === 'alarm')
      this.#log.error(
        { event: 'scanners_differ', versions },
        `the scanners have had different signatures for ${DIFFER_ALARM_MS / HOUR_MS} h: see freshclam of the one with the lower version`,
      );
    else if (change === 'over') this.#log.info({ event: 'scanners_agree', versions }, 'the scanners have the same signatures again');
  }

  #present(): InspectionNow {
    const reports = this.#reports();
    const scanners = this.#addresses.map((address) => {
      const told = reports.flatMap((report) => report.scanners.filter((scanner) => scanner.address === address));
      const newest = told.toSorted((a, b) => b.signatures - a.signatures)[0];
      return {
        up: told.length > 0 && told.every(({ up }) => up),
        signatures: newest?.signatures ?? 0,
        signaturesAt: newest?.signaturesAt ?? 0,
      };
    });
    return {
      scanners,
      spoolBytes: reports.reduce((sum, { spoolBytes }) => sum + spoolBytes, 0),
      differsForMs: this.#agreement.differsForMs(this.#now()),
    };
  }
}
