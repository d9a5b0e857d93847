import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CommandError } from '../exit-codes.ts';

/** One certificate that the operator issued to a device. */
export interface IssuedEntry {
  readonly mac: string;
  readonly serial: string;
  readonly issuedAt: string;
  readonly expiresAt: string;
}

/**
 * Every certificate ever issued, one JSON line each, in the operator's directory. The registry knows a device's latest
 * certificate only; to revoke a device, all that are still valid must be revoked.
 */
export class IssuedLog {
  readonly #path: string;

  constructor(operatorDirectory: string) {
    this.#path = join(operatorDirectory, 'issued.jsonl');
  }

  append(entry: IssuedEntry): void {
    appendFileSync(this.#path, `${JSON.stringify(entry)}\n`, { mode: 0o600 });
  }

  /** The serial numbers of a device's certificates that have not expired at `nowMs`. */
  validSerials(mac: string, nowMs: number): string[] {
    if (!existsSync(this.#path)) return [];
    return readFileSync(this.#path, 'utf8')
      .split('\n')
      .flatMap((line, index) => (line === '' ? [] : [this.#entry(line, index + 1)]))
      .filter((entry) => entry.mac === mac && Date.parse(entry.expiresAt) > nowMs)
      .map(({ serial }) => serial);
  }

  // An entry that cannot be read may be of the very certificate that must be revoked.
  #entry(line: string, number: number): IssuedEntry {
    try {
      return JSON.parse(line) as IssuedEntry;
    } catch {
      throw new CommandError(`${this.#path}:${number} is damaged: restore it from a backup, or mend that line by hand.`);
    }
  }
}
