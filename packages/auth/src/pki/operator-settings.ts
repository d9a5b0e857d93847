import { PkiError } from './pki-error.ts';

const FORMAT = 1;

/** What `operator.json` says. */
export interface OperatorSettings {
  readonly name: string;
  /** The DNS name by which agents find the managers of all sites. */
  readonly managerName: string;
  readonly createdAt: Date;
}

/** Writes `operator.json`. */
export function formatSettings(settings: OperatorSettings): string {
  return `${JSON.stringify({ format: FORMAT, ...settings }, undefined, 2)}\n`;
}

/** Reads `operator.json`. Throws PkiError `DAMAGED`, `UNSUPPORTED_FORMAT`. */
export function parseSettings(text: string): OperatorSettings {
  const { format, name, managerName, createdAt } = parseObject(text);
  if (typeof format === 'number' && format !== FORMAT)
    throw new PkiError(
      'UNSUPPORTED_FORMAT',
      `the operator's directory has format ${format}, this sekisho knows ${FORMAT}: use the version that made it, or a newer one`,
    );
  const created = typeof createdAt === 'string' ? new Date(createdAt) : undefined;
  if (format !== FORMAT || typeof name !== 'string' || typeof managerName !== 'string' || !isTime(created))
    throw new PkiError('DAMAGED', 'operator.json is incomplete: restore it from a backup');
  return { name, managerName, createdAt: created };
}

function parseObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return { ...value };
  } catch (error) {
    throw new PkiError('DAMAGED', 'operator.json is not JSON: restore it from a backup', { cause: error });
  }
  throw new PkiError('DAMAGED', 'operator.json is not an object: restore it from a backup');
}

function isTime(date: Date | undefined): date is Date {
  return date !== undefined && !Number.isNaN(date.getTime());
}
