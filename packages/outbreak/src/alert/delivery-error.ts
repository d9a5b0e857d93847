import { printable } from '@sekisho/telemetry';

/** A message that could not be handed over. */
export class DeliveryError extends Error {
  override readonly name = 'DeliveryError';
  /** Whether it concerns one recipient only, and others may be tried. */
  readonly ofRecipient: boolean;

  constructor(reason: string, ofRecipient: boolean) {
    super(printable(reason));
    this.ofRecipient = ofRecipient;
  }
}
