import { type Logger, printable } from '@sekisho/telemetry';
import type { RelayInspection } from '@sekisho/wire';
import type { EventLog } from './event-log.ts';

export interface InspectionWatchComponents {
  readonly log: Logger;
  readonly events: EventLog;
}

/** What the relays have last said of their inspection; tells when one has lost a scanner, or has all of them again. */
export class InspectionWatch {
  readonly #components: InspectionWatchComponents;
  readonly #latest = new Map<string, RelayInspection>();
  /** Scanners that a relay could not use when it last spoke of them, as told. */
  readonly #toldDown = new Map<string, number>();

  constructor(components: InspectionWatchComponents) {
    this.#components = components;
  }

  /** @param inspection undefined: the relay inspects nothing, or does not know yet */
  report(relay: string, inspection: RelayInspection | undefined): void {
    if (inspection === undefined) {
      this.#latest.delete(relay);
      return;
    }
    const { scanners, scannersUp, why = '' } = inspection;
    const latest = { ...inspection, why: printable(why) };
    this.#latest.set(relay, latest);
    const down = scanners - scannersUp;
    if (down === (this.#toldDown.get(relay) ?? 0)) return;
    this.#toldDown.set(relay, down);
    this.#tell(relay, latest);
  }

  /** Null when the relay has said nothing of inspection. */
  of(relay: string): RelayInspection | null {
    return this.#latest.get(relay) ?? null;
  }

  /** Scanners that the relay cannot use. */
  down(relay: string): number {
    const { scanners = 0, scannersUp = 0 } = this.#latest.get(relay) ?? {};
    return scanners - scannersUp;
  }

  #tell(relay: string, { scanners, scannersUp, why }: RelayInspection): void {
    const { log, events } = this.#components;
    const isFull = scannersUp >= scanners;
    const event = isFull ? 'scanners_up' : 'scanners_down';
    const text = `${relay}: ${scannersUp} of ${scanners} scanners${isFull ? '' : `; ${why}`}`;
    events.add(event, text);
    if (isFull) log.info({ event, relay, scanners, scannersUp }, `relay ${relay} can use all of its scanners again`);
    else
      log[scannersUp === 0 ? 'error' : 'warn'](
        { event, relay, scanners, scannersUp, why },
        `relay ${relay} can use ${scannersUp} of its ${scanners} scanners: look at clamd there`,
      );
  }
}
