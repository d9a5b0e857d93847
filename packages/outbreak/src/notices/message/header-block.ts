import type { LineCursor } from './line-cursor.ts';

/** A header block longer than this is not read to its end; what follows is not looked at. */
export const MAX_HEADER_LINES = 1000;
/** Characters of one header that are kept, folded lines and all. */
export const MAX_HEADER_CHARS = 4096;

/** The only headers that a notice is read for. */
const READ = ['from', 'subject', 'message-id', 'content-type', 'content-transfer-encoding', 'content-disposition'] as const;
type HeaderName = (typeof READ)[number];
/** The raw values, unfolded; of a header that stands there twice the first. */
export type Headers = Partial<Record<HeaderName, string>>;

const isRead = (name: string): name is HeaderName => (READ as readonly string[]).includes(name);

/**
 * Reads a header block (RFC 5322 2.2) and the empty line that ends it. A line that is no header is passed over; one that
 * begins with `--` belongs to the boundaries of MIME and ends the block, too.
 */
export function readHeaders(lines: LineCursor): Headers {
  const headers: Headers = {};
  let name: HeaderName | undefined;
  for (let count = 0; !lines.isAtEnd && count < MAX_HEADER_LINES; count += 1) {
    const line = lines.peek();
    if (line.startsWith('--')) break;
    lines.skip();
    if (line === '') break;
    if (line.startsWith(' ') || line.startsWith('\t')) {
      if (name !== undefined) headers[name] = `${headers[name] ?? ''}${line}`.slice(0, MAX_HEADER_CHARS);
      continue;
    }
    name = begin(headers, line);
  }
  return headers;
}

/** Takes the first line of a header; undefined if its folded lines are of no interest. */
function begin(headers: Headers, line: string): HeaderName | undefined {
  const colon = line.indexOf(':');
  if (colon < 1) return undefined;
  const name = line.slice(0, colon).trim().toLowerCase();
  if (!isRead(name) || headers[name] !== undefined) return undefined;
  headers[name] = line.slice(colon + 1, colon + 1 + MAX_HEADER_CHARS).trim();
  return name;
}

/** A parameter of a structured header, such as `boundary` of Content-Type; undefined if there is none. */
export function parameterOf(header: string, parameter: 'boundary' | 'charset'): string | undefined {
  const [, quoted, plain] = PARAMETERS[parameter].exec(header) ?? [];
  return quoted ?? plain;
}

/** RFC 2046 5.1.1 gives a boundary 70 characters; no charset has a longer name. */
const PARAMETERS = {
  boundary: /;\s*boundary\s*=\s*(?:"([^"]{1,200})"|([^\s;"]{1,200}))/iu,
  charset: /;\s*charset\s*=\s*(?:"([^"]{1,60})"|([^\s;"]{1,60}))/iu,
};
