import { randomBytes } from 'node:crypto';

/** A name, a key for HMAC and one for AES, 16 bytes each: what Node calls `ticketKeys`. */
const KEY_LENGTH = 48;
/** Node holds one key at a time: sessions of a key end with it, and one in 24 before its time. */
const SESSION_KEY_LIFE_MS = 3_600_000;

/**
 * The key under which one port, whatever its number of processes, seals TLS sessions for its clients to keep: random, in
 * memory only, another one each hour. Who has it can be any device at that port, so it lives no longer than it is of use.
 */
export class SessionKeys {
  #current = randomBytes(KEY_LENGTH);
  readonly #timer: NodeJS.Timeout;

  /** @param components onChange: the key that counts from now on; the one before opens nothing any more */
  constructor(components: { readonly onChange: (key: Buffer) => void }) {
    this.#timer = setInterval(() => {
      this.#current = randomBytes(KEY_LENGTH);
      components.onChange(this.#current);
    }, SESSION_KEY_LIFE_MS).unref();
  }

  get current(): Buffer {
    return this.#current;
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
