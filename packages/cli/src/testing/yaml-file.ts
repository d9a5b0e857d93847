import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll } from 'vitest';
import type { z } from 'zod';
import { makeTempDir, type TempDir } from '../../../../test/kit/temp-dir.ts';
import { ConfigError, type Problem } from '../config/config-error.ts';
import { loadConfig } from '../config/load.ts';

/** A file `test.yaml` in a directory that goes when the test file is done. */
export interface YamlFile {
  readonly path: string;
  write(text: string | Buffer): void;
  /** Loads the file as it stands. */
  load<S extends z.ZodType>(schema: S, environment?: Readonly<Record<string, string>>): z.output<S>;
  /** What is wrong with `text`; the file of a problem is left away when it is this one. */
  problems(text: string, schema: z.ZodType, environment?: Readonly<Record<string, string>>): Partial<Problem>[];
}

export function yamlFile(): YamlFile {
  let directory: TempDir;
  beforeAll(async () => {
    directory = await makeTempDir('config');
  });
  afterAll(() => directory.remove());
  const file: YamlFile = {
    get path() {
      return `${directory.path}/test.yaml`;
    },
    write: (text) => writeFileSync(file.path, text, { mode: 0o600 }),
    load: (schema, environment = {}) => loadConfig(file.path, schema, environment),
    problems: (text, schema, environment = {}) => {
      file.write(text);
      try {
        file.load(schema, environment);
        return [];
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        return error.problems.map(({ file: where, ...problem }) => (where === file.path ? problem : { file: where, ...problem }));
      }
    },
  };
  return file;
}
