import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

/** Operators who may give orders at the page at once; the oldest is signed out for a new one. */
export const MAX_SIGN_INS = 16;
/** A shift. */
export const SIGN_IN_MS = 8 * 60 * 60_000;
const SECRET_BYTES = 32;

/** Who has shown the token, by the secret in a cookie. Only digests are kept, so that a memory dump signs nobody in. */
export class SignIns {
  readonly #clock: { now(): number };
  #open: { readonly digest: Buffer; readonly untilMs: number }[] = [];

  constructor({ clock }: { readonly clock: { now(): number } }) {
    this.#clock = clock;
  }

  /** Returns the secret for a new cookie. */
  open(): string {
    const secret = randomBytes(SECRET_BYTES).toString('base64url');
    this.#open.push({ digest: digestOf(secret), untilMs: this.#clock.now() + SIGN_IN_MS });
    if (this.#open.length > MAX_SIGN_INS) this.#open.shift();
    return secret;
  }

  has(secret: string): boolean {
    const digest = digestOf(secret);
    const now = this.#clock.now();
    return this.#open.some((one) => timingSafeEqual(one.digest, digest) && one.untilMs > now);
  }

  close(secret: string): void {
    const digest = digestOf(secret);
    this.#open = this.#open.filter((one) => !timingSafeEqual(one.digest, digest));
  }
}

/** SHA-256: a token has 256 random bits, which no slow hash would make harder to guess. */
export function digestOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}
