/** What the process says when it ends: 0 done, 1 failed, and of sysexits.h the ones that scripts look for. */
export const EXIT = { failed: 1, usage: 2, unavailable: 69 } as const;

/** A failure that is told in words and not with a stack. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly exitCode: number;

  constructor(message: string, exitCode: number = EXIT.failed) {
    super(message);
    this.exitCode = exitCode;
  }
}
