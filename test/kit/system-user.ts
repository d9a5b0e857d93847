import { readFile } from 'node:fs/promises';

export interface SystemUser {
  uid: number;
  gid: number;
}

/** A user of this machine. @throws when there is none of that name */
export async function systemUser(name: string): Promise<SystemUser> {
  const [, , uid, gid] = await entry('/etc/passwd', name);
  return { uid: Number(uid), gid: Number(gid) };
}

/** The number of a group of this machine. @throws when there is none of that name */
export async function systemGroup(name: string): Promise<number> {
  const [, , gid] = await entry('/etc/group', name);
  return Number(gid);
}

async function entry(file: string, name: string): Promise<string[]> {
  const rows = (await readFile(file, 'utf8')).split('\n').map((line) => line.split(':'));
  const found = rows.find((row) => row[0] === name);
  if (found === undefined) throw new Error(`no ${name} in ${file}; is its package installed?`);
  return found;
}
