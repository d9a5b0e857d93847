import { closeSync, openSync, readSync } from 'node:fs';
import { type Document, isCollection, isMap, isScalar, isSeq, LineCounter, type Node, type Pair, parseDocument, visit, type YAMLError } from 'yaml';
import type { z } from 'zod';
import { ConfigError, type Problem } from './config-error.ts';

/** A configuration file larger than this is not one. */
const MAX_FILE_BYTES = 1024 * 1024;
const ENVIRONMENT_PREFIX = 'SEKISHO__';
const MAX_PROBLEMS = 20;
const NO_ALIASES = 'YAML aliases (*name) are not used here; write the value out';

type Environment = Readonly<Record<string, string | undefined>>;
type Path = readonly PropertyKey[];

/**
 * Reads a YAML file, lays the environment over it (`SEKISHO__relay__maxSessions=900` is the key `relay.maxSessions`) and
 * checks it against `schema`.
 * @throws ConfigError with every problem: file, line, key, what is allowed
 */
export function loadConfig<S extends z.ZodType>(file: string, schema: S, environment: Environment): z.output<S> {
  const lines = new LineCounter();
  const document = parse(file, lines);
  const overridden = applyEnvironment(document, environment);
  const result = schema.safeParse(document.toJS());
  if (result.success) return result.data;
  const problems = result.error.issues
    .flatMap((issue) => explain(issue))
    .map(({ path, message }) => place(path, message, { file, document, lines, overridden }));
  const more = problems.length - MAX_PROBLEMS;
  if (more > 0) problems.splice(MAX_PROBLEMS, more, { file, key: '', message: `and ${more} more; mend these first` });
  throw new ConfigError(problems);
}

function parse(file: string, lines: LineCounter): Document {
  const document = parseDocument(readText(file), { lineCounter: lines, uniqueKeys: true, version: '1.2', prettyErrors: false });
  const problem = (offset: number, key: string, message: string): ConfigError =>
    new ConfigError([{ file, line: lines.linePos(offset).line, key, message }]);
  const [syntax] = document.errors;
  if (syntax?.code === 'DUPLICATE_KEY')
    throw problem(syntax.pos[0], keyAt(document, syntax.pos[0]), 'stands here for the second time; remove one of the two');
  if (syntax !== undefined) throw problem(syntax.pos[0], '', notYaml(syntax));
  // Aliases are a way to make a small file huge, and nothing here needs them.
  const alias = aliasIn(document);
  if (alias !== undefined) throw problem(alias, '', NO_ALIASES);
  if (document.contents === null)
    throw problem(0, '', 'is empty; `sekisho site init` and `sekisho device enroll` write such files');
  if (!isMap(document.contents)) throw problem(rangeStart(document.contents) ?? 0, '', 'must be keys with values, one `key: value` a line');
  return document;
}

function notYaml(error: YAMLError): string {
  return `is not valid YAML: ${error.message}`;
}

// Not more than the limit is read, even of a file that has no end.
function readText(file: string): string {
  const bytes = Buffer.alloc(MAX_FILE_BYTES + 1);
  let length = 0;
  try {
    const descriptor = openSync(file, 'r');
    try {
      for (let more = -1; more !== 0 && length < bytes.length; length += more)
        more = readSync(descriptor, bytes, length, bytes.length - length, null);
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new ConfigError([{ file, key: '', message: UNREADABLE[code ?? ''] ?? `cannot be read: ${code ?? String(error)}` }]);
  }
  if (length > MAX_FILE_BYTES)
    throw new ConfigError([{ file, key: '', message: `is larger than ${MAX_FILE_BYTES} bytes, so it is not a configuration; is it the right file?` }]);
  return bytes.toString('utf8', 0, length);
}

const UNREADABLE: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file; `sekisho site init` and `sekisho device enroll` write one',
  EACCES: 'may not be read by this user: run this as its owner',
  EISDIR: 'is a directory; name the file in it',
};

/** Where the first alias is. */
function aliasIn(document: Document): number | undefined {
  let offset: number | undefined;
  visit(document, {
    Alias: (_key, node) => {
      offset = rangeStart(node) ?? 0;
      return visit.BREAK;
    },
  });
  return offset;
}

/** The dotted key that is written at an offset. */
function keyAt(document: Document, offset: number): string {
  let found = '';
  visit(document, {
    Pair: (_key, pair, ancestors) => {
      if (rangeStart(pair.key) !== offset) return undefined;
      found = [...ancestors, pair].flatMap((node, index, path) => nameIn(node, path[index - 1])).join('.');
      return visit.BREAK;
    },
  });
  return found;
}

function nameIn(node: unknown, parent: unknown): string[] {
  if (isCollection(parent) && !isMap(parent)) return [String(parent.items.indexOf(node))];
  const key = (node as Partial<Pair>).key;
  return isScalar(key) ? [String(key.value)] : [];
}

/** Sets the keys that the environment names and returns them with the variable's name. */
function applyEnvironment(document: Document, environment: Environment): Map<string, string> {
  const overridden = new Map<string, string>();
  const variables = Object.entries(environment)
    .filter(([name]) => name.startsWith(ENVIRONMENT_PREFIX))
    .map(([name, value]) => ({ name, value, path: name.slice(ENVIRONMENT_PREFIX.length).split('__') }))
    // A whole section before a key in it, whatever their order.
    .toSorted((a, b) => a.path.length - b.path.length);
  for (const { name, value = '', path } of variables) {
    const key = path.join('.');
    const fail = (message: string): ConfigError => new ConfigError([{ file: `environment ${name}`, key, message }]);
    // The value is YAML, too, so that numbers, booleans and [lists] can be given.
    const parsed = parseDocument(value, { uniqueKeys: true, version: '1.2', prettyErrors: false });
    const [syntax] = parsed.errors;
    if (syntax !== undefined) throw fail(`${notYaml(syntax)}; a text with signs in it needs quotes within the value`);
    if (aliasIn(parsed) !== undefined) throw fail(NO_ALIASES);
    if (!canHold(document, path)) throw fail('there is no such key: what stands before the last __ is a single value');
    const list = missedList(document, path);
    if (list !== undefined) throw fail(`there is no such place: that list has ${list} entries, counted from 0; one more may be added behind them`);
    document.setIn(path, document.createNode(parsed.toJS()));
    overridden.set(key, name);
  }
  return overridden;
}

function canHold(document: Document, path: readonly string[]): boolean {
  return path.slice(0, -1).every((_, index) => {
    const node = document.getIn(path.slice(0, index + 1), true);
    return node === undefined || isCollection(node) || (isScalar(node) && node.value === null);
  });
}

/** The length of the list in which the path names a place that is neither in it nor right behind it. */
function missedList(document: Document, path: readonly string[]): number | undefined {
  for (const [index, part] of path.entries()) {
    const node = document.getIn(path.slice(0, index), true);
    if (isSeq(node) && !(/^\d{1,4}$/u.test(part) && Number(part) <= node.items.length)) return node.items.length;
  }
  return undefined;
}

interface Explained {
  readonly path: Path;
  readonly message: string;
}

function explain(issue: z.core.$ZodIssue): Explained[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: [...issue.path, key], message: 'there is no such key; see docs/configuration.md' }));
  }
  if (issue.code === 'invalid_union') return explainUnion(issue);
  if (issue.code === 'invalid_type' && issue.input === undefined && issue.message.includes('received undefined'))
    return [{ path: issue.path, message: `is missing: ${issue.expected} expected` }];
  // YAML takes 02005e100001 for a number.
  const quotes = issue.code === 'invalid_type' && issue.expected === 'string' && /received (?:number|boolean|null|Infinity)$/u.test(issue.message);
  return [{ path: issue.path, message: quotes ? `${issue.message}; put it in quotes` : issue.message }];
}

/** Of a union, the alternative whose form the value has is the one that was meant; else all of them are named. */
function explainUnion({ path, errors }: z.core.$ZodIssueInvalidUnion): Explained[] {
  const isOfOtherForm = (issue: z.core.$ZodIssue): boolean =>
    issue.path.length === 0 && (issue.code === 'invalid_type' || issue.code === 'invalid_value');
  const meant = errors.find((issues) => !issues.some((issue) => isOfOtherForm(issue)));
  if (meant !== undefined) return meant.flatMap((issue) => explain({ ...issue, path: [...path, ...issue.path] }));
  return [{ path, message: errors.map((issues) => issues[0]?.message).join('; or ') }];
}

interface Source {
  readonly file: string;
  readonly document: Document;
  readonly lines: LineCounter;
  readonly overridden: ReadonlyMap<string, string>;
}

function place(path: Path, message: string, { file, document, lines, overridden }: Source): Problem {
  const key = path.join('.');
  const variable = path.map((_, index) => overridden.get(path.slice(0, path.length - index).join('.'))).find((name) => name !== undefined);
  if (variable !== undefined) return { file: `environment ${variable}`, key, message };
  const offset = offsetOf(document, path);
  return { file, line: offset === undefined ? undefined : lines.linePos(offset).line, key, message };
}

/** Where in the file a path is; for a missing key, where its nearest existing parent is. */
function offsetOf(document: Document, path: Path): number | undefined {
  let node: unknown = document.contents;
  let offset: number | undefined = rangeStart(node);
  for (const part of path) {
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(part));
      if (pair === undefined) return offset;
      offset = rangeStart(pair.key) ?? offset;
      node = pair.value;
    } else if (isCollection(node)) {
      node = node.items[Number(part)];
      offset = rangeStart(node) ?? offset;
    } else return offset;
  }
  return offset;
}

function rangeStart(node: unknown): number | undefined {
  return (node as Node | null | undefined)?.range?.[0];
}
