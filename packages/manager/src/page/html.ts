import { printable } from '@sekisho/telemetry';

/** Text that is HTML already. Only {@link html} makes it, so that nothing reaches a page without being escaped. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

type Value = string | number | Html | readonly Html[] | null;

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

/** A template whose values are escaped, for element content and for attributes in double quotes; null is nothing. */
export function html(strings: TemplateStringsArray, ...values: readonly Value[]): Html {
  return new Html(strings.map((text, index) => (index === 0 ? text : show(values[index - 1] ?? null) + text)).join(''));
}

function show(value: Value): string {
  if (value === null) return '';
  if (value instanceof Html) return value.text;
  if (typeof value === 'object') return value.map(({ text }) => text).join('');
  return printable(String(value)).replaceAll(/[&<>"']/gu, (character) => ENTITIES[character] ?? '');
}
