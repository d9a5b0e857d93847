import { printable } from '@sekisho/telemetry';

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

/** For the text and the quoted attributes of HTML and SVG. */
export function escapeMarkup(text: string): string {
  return text.replaceAll(/[&<>"']/gu, (character) => ENTITIES[character] ?? '');
}

/** The same for what may come from outside: also without what would reorder or hide its neighbours. */
export function markup(text: string): string {
  return escapeMarkup(printable(text));
}

/** JSON that no tag or comment can begin or end in, wherever in HTML it stands. */
export function scriptJson(value: unknown): string {
  return JSON.stringify(value).replaceAll('<', '\\u003c').replaceAll('>', '\\u003e');
}
