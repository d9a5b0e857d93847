import type { NoticeMail } from '../message/notice-mail.ts';
import { ipAddressIn, macIn, mailAddressIn, protocolIn, signaturesIn } from './field-values.ts';
import { type Captures, Template, TemplateError, type TemplateField } from './template.ts';

export const MAX_PATTERNS = 64;
/** Templates of one pattern, in each of its lists. */
export const MAX_TEMPLATES = 32;
/** Detections of one notice; what it lists beyond is not recorded. */
export const MAX_DETECTIONS_PER_NOTICE = 256;

/** How the notices of one kind of gateway are read, as the operator writes it. */
export interface NoticePattern {
  /** Stands in reports, with the address of the gateway. */
  readonly name: string;
  /** The sender's address in From, with `*` for any text; not set: any. */
  readonly from?: string | undefined;
  /** Templates that must each match some line. */
  readonly requires?: readonly string[] | undefined;
  /** Templates of the lines with something to be read; one at least has `{signature}`. */
  readonly lines: readonly string[];
  /** Templates of lines from which on nothing is read: where a gateway quotes what the virus wrote. */
  readonly until?: readonly string[] | undefined;
}

/** What a notice says about one virus. */
export interface Finding {
  readonly signature: string;
  readonly client: string | null;
  readonly sender: string | null;
  readonly recipient: string | null;
  readonly device: string | null;
  readonly protocol: string | null;
}

type Values = Partial<Record<TemplateField, string>>;

/** A pattern ready for use. */
export class CompiledPattern {
  readonly name: string;
  readonly #from: readonly string[] | undefined;
  readonly #requires: readonly Template[];
  readonly #lines: readonly Template[];
  readonly #until: readonly Template[];

  /** @throws TemplateError */
  constructor({ name, from, requires = [], lines, until = [] }: NoticePattern) {
    this.name = name;
    this.#from = from?.toLowerCase().split('*');
    this.#requires = requires.map((text) => new Template(text));
    this.#lines = lines.map((text) => new Template(text));
    this.#until = until.map((text) => new Template(text));
    if (!this.#lines.some(({ fields }) => fields.has('signature')))
      throw new TemplateError('has no template with {signature}; without the name of a virus there is no detection');
  }

  /** What the notice says, none twice; empty if it is not one of these. */
  read({ from, lines }: NoticeMail): Finding[] {
    if (this.#from !== undefined && !matchesGlob(from, this.#from)) return [];
    const end = lines.findIndex((line) => this.#until.some((template) => template.match(line) !== undefined));
    const readable = end === -1 ? lines : lines.slice(0, end);
    if (!this.#requires.every((template) => readable.some((line) => template.match(line) !== undefined))) return [];
    return findingsIn(this.#recordsIn(readable));
  }

  /**
   * The values of the lines, put together: a record ends where a line says something else of what is known already. So
   * both `Client, Virus, Virus` and `Client, Virus, Client, Virus` are read as they are meant.
   */
  #recordsIn(lines: readonly string[]): Values[] {
    const records: Values[] = [];
    let current: Values = {};
    for (const line of lines) {
      const values = this.#valuesIn(line);
      const isOther = (Object.keys(values) as TemplateField[]).some((field) => current[field] !== undefined && current[field] !== values[field]);
      if (isOther) {
        records.push(current);
        current = {};
      }
      Object.assign(current, values);
    }
    return [...records, current];
  }

  #valuesIn(line: string): Values {
    for (const template of this.#lines) {
      const captures = template.match(line);
      if (captures === undefined) continue;
      const values = valuesOf(captures);
      if (values.signature !== undefined || !template.fields.has('signature')) return values;
    }
    return {};
  }
}

/** What is not what its place says is left out; the rest of the line counts all the same. */
function valuesOf({ signature, client, sender, recipient, device, protocol }: Captures): Values {
  const values: Record<TemplateField, string | null> = {
    signature: signaturesIn(signature ?? '').join(', ') || null,
    client: ipAddressIn(client ?? ''),
    sender: mailAddressIn(sender ?? ''),
    recipient: mailAddressIn(recipient ?? ''),
    device: macIn(device ?? ''),
    protocol: protocolIn(protocol ?? ''),
  };
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null)) as Values;
}

function findingsIn(records: readonly Values[]): Finding[] {
  const found = new Map<string, Finding>();
  let before: Values = {};
  for (const record of records) {
    // A name by itself is one more virus of the same mail.
    const whole = Object.keys(record).join() === 'signature' ? { ...before, ...record } : record;
    before = whole;
    for (const signature of signaturesIn(whole.signature ?? '')) {
      const { client = null, sender = null, recipient = null, device = null, protocol = null } = whole;
      const finding = { signature, client, sender, recipient, device, protocol };
      found.set(JSON.stringify(finding), finding);
      if (found.size === MAX_DETECTIONS_PER_NOTICE) return [...found.values()];
    }
  }
  return [...found.values()];
}

/** Whether `text` is the pieces with any text between them. */
function matchesGlob(text: string, [first = '', ...rest]: readonly string[]): boolean {
  const last = rest.pop();
  if (last === undefined) return text === first;
  if (!text.startsWith(first)) return false;
  let at = first.length;
  for (const piece of rest) {
    const found = text.indexOf(piece, at);
    if (found === -1) return false;
    at = found + piece.length;
  }
  return text.length - last.length >= at && text.endsWith(last);
}
