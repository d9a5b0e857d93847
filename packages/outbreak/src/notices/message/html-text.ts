/** Elements that end a line of text. */
const BREAKS = /^\/?(?:br|p|div|tr|table|li|ul|ol|h[1-6]|pre|blockquote|hr)$/iu;
/** Cells of a row are told apart by a space. */
const CELLS = /^\/?t[dh]$/iu;
/** Elements whose content is not text. */
const HIDDEN: ReadonlyMap<string, RegExp> = new Map([
  ['script', /<\/script/giu],
  ['style', /<\/style/giu],
  ['head', /<\/head/giu],
]);
const ENTITIES: ReadonlyMap<string, string> = new Map([
  ['amp', '&'],
  ['lt', '<'],
  ['gt', '>'],
  ['quot', '"'],
  ['apos', "'"],
  ['nbsp', ' '],
]);
const MAX_CODE_POINT = 0x10_ff_ff;

/**
 * The text of an HTML part, roughly as it would be seen: tags and comments gone, blocks and rows on lines of their own. Each
 * character is looked at a bounded number of times; what follows a tag that never ends is lost.
 */
export function htmlToText(html: string): string {
  const pieces: string[] = [];
  let at = 0;
  while (at < html.length) {
    const open = html.indexOf('<', at);
    pieces.push(html.slice(at, open === -1 ? html.length : open));
    if (open === -1) break;
    const { end, text } = tagAt(html, open);
    pieces.push(text);
    at = end;
  }
  return decodeEntities(pieces.join(''));
}

/** What stands in the place of the tag or comment at `open`, and where it ends. */
function tagAt(html: string, open: number): { end: number; text: string } {
  if (html.startsWith('<!--', open)) return { end: after(html, '-->', open), text: '' };
  const end = after(html, '>', open);
  const [, name = ''] = /^<(\/?[a-z][a-z0-9]{0,15})/iu.exec(html.slice(open, open + 18)) ?? [];
  const hidden = HIDDEN.get(name.toLowerCase());
  if (hidden !== undefined) return { end: closing(html, hidden, end), text: '' };
  return { end, text: BREAKS.test(name) ? '\n' : CELLS.test(name) ? ' ' : '' };
}

function after(html: string, mark: string, from: number): number {
  const at = html.indexOf(mark, from);
  return at === -1 ? html.length : at + mark.length;
}

function closing(html: string, mark: RegExp, from: number): number {
  const search = new RegExp(mark);
  search.lastIndex = from;
  return search.exec(html)?.index ?? html.length;
}

function decodeEntities(text: string): string {
  return text.replaceAll(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|([a-z]{2,6}));/giu, (whole, decimal?: string, hex?: string, name?: string) => {
    if (name !== undefined) return ENTITIES.get(name.toLowerCase()) ?? whole;
    const code = decimal === undefined ? Number.parseInt(hex ?? '', 16) : Number(decimal);
    return code <= MAX_CODE_POINT ? String.fromCodePoint(code) : whole;
  });
}
