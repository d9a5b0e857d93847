import { StoreError, type StoreErrorCode } from './store-error.ts';

/** A record as it came from a caller or from a row: nothing is known of it yet. */
export type Fields = Readonly<Record<string, unknown>>;

/** Reads the fields of one record and refuses, by name, the first that is not what it should be. */
export class FieldReader {
  readonly #fields: Fields;
  readonly #what: string;
  readonly #code: StoreErrorCode;

  /** `what` names the record in errors; `code` is INVALID for a caller's record and CORRUPT for a stored one. */
  constructor(value: unknown, what: string, code: StoreErrorCode) {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw new StoreError(code, `${what} is not a record`);
    this.#fields = value as Fields;
    this.#what = what;
    this.#code = code;
  }

  /** Refuses fields that are not in the list, so that a misspelt one is not lost silently. */
  only(names: readonly string[]): this {
    const unknown = Object.keys(this.#fields).find((name) => !names.includes(name));
    if (unknown !== undefined) throw this.#refuse(JSON.stringify(unknown.slice(0, 40)), 'is not a known field');
    return this;
  }

  text(name: string, maxChars: number, pattern?: RegExp): string {
    const value = this.#fields[name];
    if (typeof value !== 'string' || value.length > maxChars || pattern?.test(value) === false)
      throw this.#refuse(name, `is a text of at most ${maxChars} characters${pattern ? ' in its own form' : ''}`);
    return value;
  }

  textOrNull(name: string, maxChars: number, pattern?: RegExp): string | null {
    return this.#fields[name] === null ? null : this.text(name, maxChars, pattern);
  }

  choice<const T extends string>(name: string, choices: readonly T[]): T {
    const choice = choices.find((one) => one === this.#fields[name]);
    if (choice === undefined) throw this.#refuse(name, `is one of ${choices.join(', ')}`);
    return choice;
  }

  flag(name: string): boolean {
    const value = this.#fields[name];
    if (typeof value !== 'boolean') throw this.#refuse(name, 'is true or false');
    return value;
  }

  /** Milliseconds since 1970. */
  time(name: string): number {
    const value = this.#fields[name];
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
      throw this.#refuse(name, 'is a whole number of milliseconds since 1970');
    return value;
  }

  timeOrNull(name: string): number | null {
    return this.#fields[name] === null ? null : this.time(name);
  }

  numberOrNull(name: string, max: number): number | null {
    const value = this.#fields[name];
    if (value === null) return null;
    if (typeof value !== 'number' || !(value >= 0 && value <= max))
      throw this.#refuse(name, `is null or a number from 0 to ${max}`);
    return value;
  }

  textList(name: string, maxItems: number, item: RegExp): string[] {
    const value: unknown = this.#fields[name];
    if (!Array.isArray(value) || value.length > maxItems)
      throw this.#refuse(name, `is a list of at most ${maxItems} texts`);
    return value.map((one: unknown) => {
      if (typeof one !== 'string' || !item.test(one)) throw this.#refuse(name, 'has an item that is not allowed');
      return one;
    });
  }

  #refuse(name: string, rule: string): StoreError {
    return new StoreError(this.#code, `${this.#what}: ${name} ${rule}`);
  }
}

/** Parses stored JSON. Throws CORRUPT that names `what`, never the content. */
export function parseStoredJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new StoreError('CORRUPT', `${what} is not valid JSON`);
  }
}
