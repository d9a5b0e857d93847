import { readFileSync } from 'node:fs';
import { isAlias, isCollection, isMap, isScalar, LineCounter, parseDocument, type Document, type Node } from 'yaml';
import type { z } from 'zod';
import { ConfigError, type Problem } from './config-error.ts';

/** A configuration file larger than this is not one. */
const MAX_FILE_BYTES = 1024 * 1024;
const ENVIRONMENT_PREFIX = 'SEKISHO__';
const MAX_PROBLEMS = 20;

type Environment = Readonly<Record<string, string | undefined>>;
type Path = readonly PropertyKey[];

/**
 * Reads a YAML file, lays the environment over it (`SEKISHO__relay__maxSessions=900` is the key `relay.maxSessions`) and
 * checks it against `schema`.
 * @throws ConfigError with every problem: file, line, key, what is allowed
 */
export function loadConfig<S extends z.ZodType>(file: string, schema: S, environment: Environment): z.output<S> {
  const lines = new LineCounter();
  const document = parseDocument(readText(file), { lineCounter: lines, uniqueKeys: true, version: '1.2' });
  const [syntax] = document.errors;
  if (syntax !== undefined) {
    const { line } = lines.linePos(syntax.pos[0]);
    throw new ConfigError([{ file, line, key: '', message: firstLine(syntax.message) }]);
  }
  // Aliases are a way to make a small file huge, and nothing here needs them.
  if (hasAlias(document)) throw new ConfigError([{ file, key: '', message: 'YAML aliases (*name) are not used here' }]);
  const overridden = applyEnvironment(document, environment);
  const result = schema.safeParse(document.toJS());
  if (result.success) return result.data;
  const problems = result.error.issues.flatMap((issue) => explain(issue));
  throw new ConfigError(
    problems.slice(0, MAX_PROBLEMS).map(({ path, message }) => place(path, message, { file, document, lines, overridden })),
  );
}

function readText(file: string): string {
  try {
    const bytes = readFileSync(file);
    if (bytes.length > MAX_FILE_BYTES)
      throw new ConfigError([{ file, key: '', message: `the file has ${bytes.length} bytes, more than ${MAX_FILE_BYTES}` }]);
    return bytes.toString('utf8');
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    throw new ConfigError([{ file, key: '', message: `cannot be read: ${code ?? String(error)}` }]);
  }
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? text;
}

function hasAlias(document: Document): boolean {
  const visit = (node: unknown): boolean => {
    if (isAlias(node)) return true;
    if (!isCollection(node)) return false;
    return node.items.some((item: unknown) =>
      typeof item === 'object' && item !== null && 'value' in item && 'key' in item ? visit(item.value) : visit(item),
    );
  };
  return visit(document.contents);
}

/** Sets the keys that the environment names and returns them with the variable's name. */
function applyEnvironment(document: Document, environment: Environment): Map<string, string> {
  const overridden = new Map<string, string>();
  for (const [variable, value] of Object.entries(environment)) {
    if (!variable.startsWith(ENVIRONMENT_PREFIX) || value === undefined) continue;
    const path = variable.slice(ENVIRONMENT_PREFIX.length).split('__');
    // The value is YAML, too, so that numbers, booleans and [lists] can be given.
    document.setIn(path, parseDocument(value).toJS());
    overridden.set(path.join('.'), variable);
  }
  return overridden;
}

interface Explained {
  readonly path: Path;
  readonly message: string;
}

function explain(issue: z.core.$ZodIssue): Explained[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: [...issue.path, key], message: 'there is no such key; see docs/configuration.md' }));
  }
  // Of a union, the alternative that got furthest into the value is the one that was meant.
  if (issue.code === 'invalid_union') {
    const furthest = issue.errors
      .map((issues) => issues[0])
      .filter((inner) => inner !== undefined && inner.path.length > 0)
      .at(0);
    if (furthest !== undefined) return explain({ ...furthest, path: [...issue.path, ...furthest.path] });
  }
  if (issue.code === 'invalid_type' && issue.input === undefined && issue.message.includes('received undefined'))
    return [{ path: issue.path, message: `is missing: ${issue.expected} expected` }];
  return [{ path: issue.path, message: issue.message }];
}

interface Source {
  readonly file: string;
  readonly document: Document;
  readonly lines: LineCounter;
  readonly overridden: ReadonlyMap<string, string>;
}

function place(path: Path, message: string, { file, document, lines, overridden }: Source): Problem {
  const key = path.join('.');
  const variable = overridden.get(key);
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
