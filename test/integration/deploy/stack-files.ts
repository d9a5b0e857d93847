import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';
import { loadConfig } from '../../../packages/cli/src/config/load.ts';
import { type SiteConfig, siteSchema } from '../../../packages/cli/src/config/site-schema.ts';

/** What deploy/ and the pages about it say, read for tests. */

export const root = join(import.meta.dirname, '../../..');

export function read(file: string): string {
  return readFileSync(join(root, file), 'utf8');
}

export function readYaml(file: string): unknown {
  return parse(read(file), { merge: true });
}

/** Every document of a text. */
export function parseAllYaml(text: string): unknown[] {
  return parseAllDocuments(text, { merge: true }).map((document) => document.toJS() as unknown);
}

/** A site.yaml as the roles read it. @throws ConfigError */
export function site(file: string, environment: Readonly<Record<string, string>> = {}): SiteConfig {
  return loadConfig(join(root, file), siteSchema, environment);
}

/** The arguments of every `sekisho` that a page tells people to type, of those the image runs as well. */
export function typedCommands(page: string): string[][] {
  const blocks = [...read(page).matchAll(/^```\n([\s\S]*?)^```$/gmu)].map(([, text = '']) => text.replaceAll('\\\n', ' '));
  const lines = blocks.flatMap((block) => block.split('\n'));
  const pattern = /(?:^|\s)(?<!user )(?:sekisho(?:\.mjs|:[a-z]+)?|run --rm (?:--no-deps relay|check)) (?=[a-z-])([^#;&|]+)/gu;
  return lines.flatMap((line) => [...line.matchAll(pattern)].map(([, args = '']) => args.trim().split(/\s+/u)));
}
