import { InvalidArgumentError } from 'commander';

const MAX_DAYS = 3650;

/** A number of days on the command line. */
export function days(value: string): number {
  const number = Number(value);
  if (!Number.isInteger(number) || number < 1 || number > MAX_DAYS)
    throw new InvalidArgumentError(`A number of days from 1 to ${MAX_DAYS} is needed here.`);
  return number;
}
