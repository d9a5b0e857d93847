import { eicarInBody } from '../../kit/virus-mails.ts';
import { seededRandom, type TestMail, textMail } from '../../kit/mails.ts';

/** Weight and size of the mails that an office sends; most are small, the biggest has 1 MB. */
const SIZES = [
  [60, 2_000],
  [25, 30_000],
  [12, 200_000],
  [3, 1_000_000],
] as const;
const INFECTED_PER_HUNDRED = 5;
/** Mails of one office have numbers of its own. */
const NUMBERS_PER_OFFICE = 10_000_000;

export interface OrderedMail extends TestMail {
  readonly id: string;
  readonly infected: boolean;
}

/** The mails of an office, one after the other, no two alike; the same seed makes the same ones. */
export class MailOrder {
  readonly #office: number;
  readonly #random: () => number;
  #made = 0;

  constructor(init: { office: number; seed: number }) {
    this.#office = init.office;
    this.#random = seededRandom(init.seed);
  }

  /** @param limits `small`: of the smallest size; `clean`: without a virus */
  next(limits: { small?: boolean; clean?: boolean } = {}): OrderedMail {
    this.#made += 1;
    const number = this.#office * NUMBERS_PER_OFFICE + this.#made;
    const infected = limits.clean !== true && this.#random() * 100 < INFECTED_PER_HUNDRED;
    const mail = infected ? eicarInBody(number) : textMail(number, limits.small === true ? SIZES[0][1] : this.#size());
    return { ...mail, id: String(number), infected };
  }

  #size(): number {
    let at = this.#random() * 100;
    for (const [weight, bytes] of SIZES) {
      at -= weight;
      if (at < 0) return bytes;
    }
    return SIZES[0][1];
  }
}
