/** What can be read out of a line, by the names that stand in braces. */
export const TEMPLATE_FIELDS = ['signature', 'client', 'sender', 'recipient', 'device', 'protocol'] as const;
export type TemplateField = (typeof TEMPLATE_FIELDS)[number];
/** A place whose text is of no interest. */
const ANY = 'any';

export const MAX_TEMPLATE_CHARS = 500;

export type Captures = Partial<Record<TemplateField, string>>;

/** A pattern that cannot be used; its message says what to change. */
export class TemplateError extends Error {
  override readonly name = 'TemplateError';
}

/**
 * One line of a notice as people write it: `VIRUS ({signature}) in mail FROM [{client}]`.
 *
 * No regular expressions: those that go back can be made to run for hours by the text they are tried on. Here the text in
 * front of the first place must begin the line, each place takes the shortest text up to what follows it, and nothing is
 * ever tried twice, so that a line costs its length. What follows the end of the template is free.
 */
export class Template {
  readonly fields: ReadonlySet<TemplateField>;
  readonly #start: string;
  /** Places, each with the text that ends it; empty: the line does. */
  readonly #places: readonly { readonly field: TemplateField | typeof ANY; readonly until: string }[];

  /** @throws TemplateError */
  constructor(text: string) {
    if (text.length > MAX_TEMPLATE_CHARS) throw new TemplateError(`has more than ${MAX_TEMPLATE_CHARS} characters; a shorter part of the line will do`);
    // As the lines are that it is tried on.
    const pieces = text.replaceAll(/\s+/gu, ' ').split(/\{([^{}]*)\}/u);
    this.#start = (pieces[0] ?? '').trimStart();
    this.#places = Array.from({ length: (pieces.length - 1) / 2 }, (_, index) => {
      const isLast = index === (pieces.length - 3) / 2;
      const until = pieces[2 * index + 2] ?? '';
      return { field: fieldOf(pieces[2 * index + 1] ?? ''), until: isLast ? until.trimEnd() : until };
    });
    this.#check(text);
    this.fields = new Set(this.#places.map(({ field }) => field).filter((field) => field !== ANY));
  }

  /** What stands in the places; undefined if the line is another one. */
  match(line: string): Captures | undefined {
    if (!line.startsWith(this.#start)) return undefined;
    const captures: Captures = {};
    let at = this.#start.length;
    for (const { field, until } of this.#places) {
      const end = until === '' ? line.length : line.indexOf(until, at);
      if (end === -1) return undefined;
      if (field !== ANY) captures[field] = line.slice(at, end);
      at = end + until.length;
    }
    return captures;
  }

  #check(text: string): void {
    const named = this.#places.map(({ field }) => field).filter((field) => field !== ANY);
    if (new Set(named).size < named.length) throw new TemplateError('has a place twice; make two templates of it, or write {any}');
    if (this.#places.slice(0, -1).some(({ until }) => until === ''))
      throw new TemplateError('has two places with nothing between them, so nobody can tell where the first one ends');
    if (this.#start.trim() === '' && this.#places.every(({ until }) => until.trim() === ''))
      throw new TemplateError('has no text of its own, so it would match every line');
    if (/[{}]/u.test(text.replaceAll(/\{[^{}]*\}/gu, ''))) throw new TemplateError('has a brace without its partner; write {any} in the place of a brace');
  }
}

/** What is wrong with a template, in words for whoever wrote it. */
export function templateProblem(text: string): string | undefined {
  try {
    void new Template(text);
    return undefined;
  } catch (error) {
    if (error instanceof TemplateError) return error.message;
    throw error;
  }
}

function fieldOf(name: string): TemplateField | typeof ANY {
  const field = [...TEMPLATE_FIELDS, ANY].find((known) => known === name);
  if (field === undefined) throw new TemplateError(`has {${name}}, which is no place; there are ${[...TEMPLATE_FIELDS, ANY].map((known) => `{${known}}`).join(' ')}`);
  return field as TemplateField | typeof ANY;
}
