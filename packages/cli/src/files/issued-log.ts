import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

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
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as IssuedEntry)
      .filter((entry) => entry.mac === mac && Date.parse(entry.expiresAt) > nowMs)
      .map(({ serial }) => serial);
  }
}
