import { existsSync } from 'node:fs';
import { runProcess } from '../../test/kit/process.ts';
import { Unavailable } from './lane.ts';

/** Not in everybody's PATH. */
const SBIN = '/usr/sbin';

/** The path of a program of Debian's. @throws Unavailable with the package that has it */
export function debianProgram(name: string, debianPackage: string): string {
  const file = `${SBIN}/${name}`;
  if (!existsSync(file)) throw new Unavailable(`${name} is not here: apt-get install ${debianPackage}`);
  return file;
}

/** The first version number that a program says of itself. */
export async function versionOf(command: string, flag: string): Promise<string> {
  const { output } = await runProcess({ command, args: [flag] });
  return /\d+\.[\w.-]+/u.exec(output)?.[0] ?? 'unknown';
}
