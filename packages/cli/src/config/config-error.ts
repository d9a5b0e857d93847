/** One thing that is wrong with a configuration, and where. */
export interface Problem {
  readonly file: string;
  /** From 1; undefined when the mistake is not in the file (an environment variable, a missing file). */
  readonly line?: number | undefined;
  /** Dotted, as in `relay.maxSessions`; empty for the file as a whole. */
  readonly key: string;
  /** What is wrong and what is allowed. */
  readonly message: string;
}

/** A configuration that cannot be used: every problem at once, so that it takes one round to mend. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(problems.map((problem) => describe(problem)).join('\n'));
    this.problems = problems;
  }
}

function describe({ file, line, key, message }: Problem): string {
  const place = line === undefined ? file : `${file}:${line}`;
  return key === '' ? `${place}: ${message}` : `${place}: ${key}: ${message}`;
}
