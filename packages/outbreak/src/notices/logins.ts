import { createHmac, randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { MAX_SCRYPT_BYTES, type NoticeUser, type ScryptHash } from './users.ts';

/** Passwords that are checked at once; each takes a thread, and memory, for a tenth of a second. */
export const MAX_CHECKS = 2;
/** Passwords that wait to be checked; more are told to come again. */
export const MAX_CHECKS_WAITING = 16;

/** Stands in for a user that does not exist, so that the answer takes as long as for one that does. */
const NOBODY: ScryptHash = { cost: 2 ** 15, blockSize: 8, parallelization: 1, salt: randomBytes(16), digest: randomBytes(32) };

/** Too many logins at once: neither right nor wrong. */
export class LoginsBusyError extends Error {
  override readonly name = 'LoginsBusyError';
}

/**
 * Passwords of gateways. A gateway that connects anew for each notice would cost a scrypt each, so the last right password
 * of each user is remembered, as an HMAC under a key of this process.
 */
export class Logins {
  readonly #users: ReadonlyMap<string, NoticeUser>;
  readonly #key = randomBytes(32);
  readonly #right = new Map<string, Buffer>();
  readonly #waiting: (() => void)[] = [];
  #checks = 0;

  constructor(init: { readonly users: readonly NoticeUser[] }) {
    this.#users = new Map(init.users.map((user) => [user.name, user]));
  }

  /** Whether this is the password of the user. @throws LoginsBusyError */
  async check(name: string, password: string): Promise<boolean> {
    const user = this.#users.get(name);
    const mark = createHmac('sha256', this.#key).update(JSON.stringify([name, password])).digest();
    const remembered = this.#right.get(name);
    if (user !== undefined && remembered !== undefined && timingSafeEqual(remembered, mark)) return true;
    const isRight = await this.#inTurn(() => verify(password, user?.hash ?? NOBODY));
    if (!isRight || user === undefined) return false;
    this.#right.set(name, mark);
    return true;
  }

  async #inTurn(work: () => Promise<boolean>): Promise<boolean> {
    if (this.#checks >= MAX_CHECKS) {
      if (this.#waiting.length >= MAX_CHECKS_WAITING) throw new LoginsBusyError('too many logins at once');
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.push(resolve);
      await promise;
    } else this.#checks += 1;
    try {
      return await work();
    } finally {
      // The place goes to the next one, if there is one.
      const next = this.#waiting.shift();
      if (next === undefined) this.#checks -= 1;
      else next();
    }
  }
}

function verify(password: string, { cost, blockSize, parallelization, salt, digest }: ScryptHash): Promise<boolean> {
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  // OpenSSL asks for a little more than 128 N r.
  const options = { cost, blockSize, parallelization, maxmem: 2 * MAX_SCRYPT_BYTES };
  scrypt(password, salt, digest.length, options, (error, derived) => {
    if (error === null) resolve(timingSafeEqual(derived, digest));
    else reject(error);
  });
  return promise;
}
