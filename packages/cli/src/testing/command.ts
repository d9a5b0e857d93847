import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll } from 'vitest';
import { runProcess } from '../../../../test/kit/process.ts';
import { makeTempDir, type TempDir } from '../../../../test/kit/temp-dir.ts';

const COMMAND = fileURLToPath(new URL('../../bin/sekisho.js', import.meta.url));

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A directory in which `sekisho` is run as people do, in a process of its own; it goes when the test file is done. */
export interface Workplace {
  /** Runs `sekisho` with these arguments. */
  readonly sekisho: (...args: string[]) => Promise<Outcome>;
  /** The same with more of an environment. */
  readonly sekishoWith: (env: Readonly<Record<string, string>>, ...args: string[]) => Promise<Outcome>;
  readonly path: (name: string) => string;
  readonly read: (name: string) => string;
  readonly write: (name: string, text: string) => void;
  readonly exists: (name: string) => boolean;
  readonly chmod: (name: string, mode: number) => void;
  readonly mode: (name: string) => string;
  /** Every file below a directory, with its text. */
  readonly tree: (name: string) => Record<string, string>;
}

export function workplace(): Workplace {
  let directory: TempDir;
  beforeAll(async () => {
    directory = await makeTempDir('cli');
  });
  afterAll(() => directory.remove());
  const place: Workplace = {
    sekisho: (...args) => place.sekishoWith({}, ...args),
    sekishoWith: async (env, ...args) => {
      const { code, stdout, stderr } = await runProcess({ command: process.execPath, args: [COMMAND, ...args], cwd: directory.path, env: { NO_COLOR: '1', ...env } });
      return { code, stdout: stdout.toString(), stderr };
    },
    path: (name) => join(directory.path, name),
    read: (name) => readFileSync(place.path(name), 'utf8'),
    write: (name, text) => writeFileSync(place.path(name), text),
    exists: (name) => existsSync(place.path(name)),
    chmod: (name, mode) => chmodSync(place.path(name), mode),
    mode: (name) => (statSync(place.path(name)).mode & 0o777).toString(8),
    tree: (name) =>
      Object.fromEntries(
        readdirSync(place.path(name), { recursive: true, withFileTypes: true })
          .filter((entry) => entry.isFile())
          .map((entry) => [join(entry.parentPath, entry.name), readFileSync(join(entry.parentPath, entry.name), 'latin1')]),
      ),
  };
  return place;
}
