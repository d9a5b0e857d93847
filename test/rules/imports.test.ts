import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { expect, test } from 'vitest';

/** Who may import whom (docs/architecture.md). Held here, not by good will. */

const packages = join(import.meta.dirname, '../../packages');
const PURE_FORBIDDEN = /^node:(?:net|tls|fs|http|https|http2|dgram|dns|child_process|cluster|worker_threads)(?:\/|$)/u;
const PROCESSES = ['auth', 'manager', 'relay', 'agent', 'outbreak'];
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  wire: [],
  scheduler: [],
  inspect: [],
  store: [],
  telemetry: [],
  channel: ['wire'],
  auth: ['channel', 'store', 'telemetry', 'wire'],
  manager: ['channel', 'scheduler', 'store', 'telemetry', 'wire'],
  relay: ['channel', 'inspect', 'telemetry', 'wire'],
  outbreak: ['store', 'telemetry'],
  agent: ['channel', 'telemetry', 'wire'],
  simulator: ['agent', 'channel', 'scheduler', 'telemetry', 'wire'],
  cli: ['agent', 'auth', 'channel', 'manager', 'outbreak', 'relay', 'scheduler', 'simulator', 'store', 'telemetry', 'wire'],
};
const PURE = ['wire', 'scheduler', 'inspect'];

interface Source {
  readonly owner: string;
  readonly file: string;
  readonly text: string;
  readonly imports: readonly string[];
}

const isTest = (file: string): boolean => /(?:\.test\.ts$|\/testing\/|samples\.ts$)/u.test(file);

const sources: Source[] = readdirSync(packages).flatMap((owner) =>
  readdirSync(join(packages, owner, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => {
      const path = join(packages, owner, 'src', file);
      const text = readFileSync(path, 'utf8');
      const imports = [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/gu)].map((match) => match[1] ?? '');
      return { owner, file: relative(packages, path), text, imports };
    }),
);
const shipped = sources.filter(({ file }) => !isTest(file));

test('every package is known here', () => {
  expect(readdirSync(packages).sort()).toEqual(Object.keys(MAY_IMPORT).sort());
  expect(shipped.length).toBeGreaterThan(50);
});

test('a package imports only the packages it may', () => {
  const violations = shipped.flatMap(({ owner, file, imports }) =>
    imports
      .filter((name) => name.startsWith('@sekisho/') && !MAY_IMPORT[owner]?.includes(name.slice('@sekisho/'.length)))
      .map((name) => `${file} imports ${name}`),
  );
  expect(violations).toEqual([]);
});

test('a package is entered by its index only', () => {
  const violations = shipped.flatMap(({ owner, file, imports }) =>
    imports
      .filter((name) => name.startsWith('.') && !join('/', file, '..', name).startsWith(`/${owner}/`))
      .map((name) => `${file} imports ${name}`),
  );
  expect(violations).toEqual([]);
});

test('the pure packages have no I/O, no clock and no chance', () => {
  const pure = shipped.filter(({ owner }) => PURE.includes(owner));
  const io = pure.flatMap(({ file, imports }) =>
    imports.filter((name) => PURE_FORBIDDEN.test(name)).map((name) => `${file} imports ${name}`),
  );
  const clocks = pure
    .filter(({ text }) => /\b(?:Date\.now|Math\.random|setTimeout|setInterval|setImmediate|performance\.now)\b/u.test(text))
    .map(({ file }) => `${file} looks at a clock or throws dice`);
  expect([...io, ...clocks]).toEqual([]);
});

test('only cli reads arguments and the environment', () => {
  const violations = shipped
    .filter(({ owner }) => owner !== 'cli')
    // Whether a terminal wants colour is no setting of ours.
    .filter(({ text }) => /process\.(?:argv|env)\b/u.test(text.replaceAll("process.env['NO_COLOR']", '')))
    .map(({ file }) => file);
  expect(violations).toEqual([]);
});

test('the processes do not import each other', () => {
  for (const process of PROCESSES)
    expect(MAY_IMPORT[process]?.filter((name) => PROCESSES.includes(name)), process).toEqual([]);
});
