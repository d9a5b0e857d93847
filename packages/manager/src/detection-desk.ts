import { type Detection, MAX_DETECTIONS_PER_CALL, type Store, StoreError } from '@sekisho/store';
import type { Logger } from '@sekisho/telemetry';
import { formatMac, IdentityError, MAIL_PROTOCOLS, type Message } from '@sekisho/wire';
import type { ManagerMetrics } from './manager-metrics.ts';

export interface DetectionDeskComponents {
  readonly log: Logger;
  readonly store: Pick<Store, 'recordDetections'>;
  readonly metrics: Pick<ManagerMetrics, 'detections'>;
}

interface Waiting {
  readonly detection: Detection;
  readonly onNoted: () => void;
}

/** What 32 relays may have under way, and the same once more, sent again while the store was slow. */
const MAX_WAITING = 4096;
/** As the store has it. */
const KEY = /^[A-Za-z0-9_-]+$/u;

/**
 * Records what relays have found in the store of the site, many at once, one call after the other. A relay hears that it is
 * noted once the store has it; what the store does not take is forgotten here, and the relay sends it again.
 */
export class DetectionDesk {
  readonly #components: DetectionDeskComponents;
  #waiting: Waiting[] = [];
  #isRecording = false;
  #isFailureTold = false;

  constructor(components: DetectionDeskComponents) {
    this.#components = components;
  }

  /** @param onNoted the store has it */
  take(relay: string, message: Message<'detection'>, onNoted: () => void): void {
    const { metrics } = this.#components;
    const detection = detectionOf(relay, message);
    if (detection === undefined) return metrics.detections.inc({ outcome: 'refused' });
    if (this.#waiting.length >= MAX_WAITING) return metrics.detections.inc({ outcome: 'failed' });
    this.#waiting.push({ detection, onNoted });
    // In the next turn: what came in one chunk is recorded in one call.
    if (this.#isRecording) return;
    this.#isRecording = true;
    setImmediate(() => void this.#recordAll());
  }

  async #recordAll(): Promise<void> {
    while (this.#waiting.length > 0) await this.#record(this.#waiting.splice(0, MAX_DETECTIONS_PER_CALL));
    this.#isRecording = false;
  }

  async #record(batch: readonly Waiting[]): Promise<void> {
    const { log, store, metrics } = this.#components;
    try {
      const recorded = await store.recordDetections(batch.map(({ detection }) => detection));
      metrics.detections.inc({ outcome: 'recorded' }, recorded);
      metrics.detections.inc({ outcome: 'known' }, batch.length - recorded);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      metrics.detections.inc({ outcome: 'failed' }, batch.length + this.#waiting.length);
      // They would fail as well, each after the store's time-out.
      this.#waiting = [];
      if (!this.#isFailureTold)
        log.warn({ event: 'detections_not_recorded', code: error.code, reason: error.message }, 'viruses found wait at the relays until the store takes them');
      this.#isFailureTold = true;
      return;
    }
    this.#isFailureTold = false;
    for (const { onNoted } of batch) onNoted();
  }
}

/** Undefined for what no relay of ours says. The other fields have passed the limits of the wire, which are the store's. */
function detectionOf(relay: string, message: Message<'detection'>): Detection | undefined {
  const { key, at, signature, protocol, client, destination } = message;
  const mac = deviceOf(message);
  if (!KEY.test(key) || mac === undefined) return undefined;
  return {
    key,
    at,
    source: 'relay',
    reporter: relay,
    mac,
    signature,
    // A newer relay may know more protocols.
    protocol: MAIL_PROTOCOLS[protocol] ?? null,
    client,
    destination,
    contact: null,
  };
}

function deviceOf({ mac }: Message<'detection'>): string | undefined {
  try {
    return formatMac(mac);
  } catch (error) {
    if (!(error instanceof IdentityError)) throw error;
    return undefined;
  }
}
