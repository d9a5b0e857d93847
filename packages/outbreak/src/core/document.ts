/** A document of the store that is not what it should be: damaged, or of another version of this program. */
export class DocumentError extends Error {
  override readonly name = 'DocumentError';
}

type Json = Readonly<Record<string, unknown>>;

/** Reads the fields of a document that may hold anything. Throws DocumentError. */
export class DocumentReader {
  readonly #fields: Json;

  constructor(value: unknown) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new DocumentError('not a record');
    this.#fields = value as Json;
  }

  /** Throws DocumentError when the text is no JSON record. */
  static parse(text: string): DocumentReader {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      throw new DocumentError('not JSON');
    }
    return new DocumentReader(value);
  }

  text(name: string): string {
    const value = this.#fields[name];
    if (typeof value !== 'string') throw new DocumentError(`${name} is no text`);
    return value;
  }

  textOrNull(name: string): string | null {
    return this.#fields[name] === null ? null : this.text(name);
  }

  choice<const T extends string>(name: string, choices: readonly T[]): T {
    const choice = choices.find((one) => one === this.#fields[name]);
    if (choice === undefined) throw new DocumentError(`${name} is none of ${choices.join(', ')}`);
    return choice;
  }

  whole(name: string): number {
    return wholeNumber(this.#fields[name], name);
  }

  wholeOrNull(name: string): number | null {
    return this.#fields[name] === null ? null : this.whole(name);
  }

  record(name: string): DocumentReader {
    return new DocumentReader(this.#fields[name]);
  }

  recordOrNull(name: string): DocumentReader | null {
    return this.#fields[name] === null ? null : this.record(name);
  }

  list<T>(name: string, read: (item: unknown) => T): T[] {
    const value: unknown = this.#fields[name];
    if (!Array.isArray(value)) throw new DocumentError(`${name} is no list`);
    return value.map((item) => read(item));
  }

  /** Every field, by its name. */
  entries<T>(read: (value: unknown, name: string) => T): [string, T][] {
    return Object.entries(this.#fields).map(([name, value]) => [name, read(value, name)]);
  }
}

/** Throws DocumentError. */
export function wholeNumber(value: unknown, name: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw new DocumentError(`${name} is no whole number`);
  return value;
}
