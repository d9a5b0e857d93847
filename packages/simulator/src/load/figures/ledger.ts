import { Bitmap, compareBits, mergeBits } from './bitmap.ts';

/** Mails of one process in one run: 8 MiB of marks. At 5,000 mails a second that is over three hours. */
export const MAX_MAILS = 2 ** 26;

/** The books of one load process, as they go to the one that closes them. */
export interface LedgerParts {
  readonly worker: number;
  /** Mails of this process whose last byte was sent, or that were broken off before. */
  readonly sent: number;
  /** To which somebody said 250, a bit each. */
  readonly accepted: Uint8Array;
  /** What its servers stored intact, by the process that sent it, a bit each. */
  readonly stored: readonly { readonly worker: number; readonly bits: Uint8Array }[];
  readonly duplicate: number;
  readonly altered: number;
  readonly foreign: number;
  readonly asked: number;
  readonly served: number;
  readonly fetched: number;
  readonly fetchedAltered: number;
}

/** What became of all mails. `up` is mail that was sent, `down` mail that was fetched. */
export interface Balance {
  readonly up: {
    /** Begun by a client. */
    readonly sent: number;
    /** A client got its 250. */
    readonly accepted: number;
    /** Whole and unaltered at a server, each counted once. */
    readonly stored: number;
    /** Accepted and not stored: never. */
    readonly lost: number;
    /** Stored more than once. */
    readonly duplicate: number;
    /** Arrived at a server with other bytes than were sent. */
    readonly altered: number;
    /** Stored, but the 250 did not reach the client, which would send it again. */
    readonly unconfirmed: number;
    /** Arrived at a server and not of this run; not stored. */
    readonly foreign: number;
  };
  readonly down: {
    readonly asked: number;
    /** Handed out whole by a server. */
    readonly served: number;
    /** Whole and unaltered at a client. */
    readonly fetched: number;
    readonly altered: number;
  };
}

/** What one load process knows: what its clients were promised, and what its servers have stored. */
export class Ledger {
  asked = 0;
  served = 0;
  fetched = 0;
  fetchedAltered = 0;
  altered = 0;
  foreign = 0;
  readonly #worker: number;
  readonly #accepted = new Bitmap({ maxNumbers: MAX_MAILS });
  readonly #stored = new Map<number, Bitmap>();
  #sent = 0;
  #duplicate = 0;

  constructor(init: { readonly worker: number }) {
    this.#worker = init.worker;
  }

  /** The number of the next mail. Throws RangeError after MAX_MAILS. */
  send(): number {
    if (this.#sent >= MAX_MAILS) throw new RangeError(`a run has at most ${MAX_MAILS} mails a process`);
    this.#sent += 1;
    return this.#sent - 1;
  }

  accepted(sequence: number): void {
    this.#accepted.add(sequence);
  }

  stored(worker: number, sequence: number): void {
    let marks = this.#stored.get(worker);
    if (marks === undefined) {
      marks = new Bitmap({ maxNumbers: MAX_MAILS });
      this.#stored.set(worker, marks);
    }
    if (!marks.add(sequence)) this.#duplicate += 1;
  }

  parts(): LedgerParts {
    const { asked, served, fetched, fetchedAltered, altered, foreign } = this;
    return {
      worker: this.#worker,
      sent: this.#sent,
      accepted: this.#accepted.bytes,
      stored: [...this.#stored].map(([worker, marks]) => ({ worker, bits: marks.bytes })),
      duplicate: this.#duplicate,
      altered,
      foreign,
      asked,
      served,
      fetched,
      fetchedAltered,
    };
  }
}

/** Closes the books of all processes of a run. */
export function balance(books: readonly LedgerParts[]): Balance {
  const up = { sent: 0, accepted: 0, stored: 0, lost: 0, duplicate: 0, altered: 0, unconfirmed: 0, foreign: 0 };
  for (const { worker, sent, accepted } of books) {
    let stored: Uint8Array = new Uint8Array();
    for (const { bits } of books.flatMap((other) => other.stored.filter((one) => one.worker === worker))) {
      const merged = mergeBits(stored, bits);
      stored = merged.bytes;
      up.duplicate += merged.both;
    }
    const { both, first, second } = compareBits(accepted, stored);
    up.sent += sent;
    up.accepted += both + first;
    up.stored += both + second;
    up.lost += first;
    up.unconfirmed += second;
  }
  const sum = (of: (one: LedgerParts) => number): number => books.reduce((total, one) => total + of(one), 0);
  up.duplicate += sum(({ duplicate }) => duplicate);
  up.altered = sum(({ altered }) => altered);
  up.foreign = sum(({ foreign }) => foreign);
  return {
    up,
    down: {
      asked: sum(({ asked }) => asked),
      served: sum(({ served }) => served),
      fetched: sum(({ fetched }) => fetched),
      altered: sum(({ fetchedAltered }) => fetchedAltered),
    },
  };
}
