/** Gateways that log in; a site has a handful. */
export const MAX_USERS = 100;
/** log2 of scrypt's N: below, guessing is too cheap; above, one login takes seconds. */
const MIN_SCRYPT_LOG_COST = 12;
const MAX_SCRYPT_LOG_COST = 17;
const MAX_SCRYPT_BLOCK_SIZE = 16;
const MAX_SCRYPT_PARALLELIZATION = 4;
/** Memory of one check, 128 N r. */
export const MAX_SCRYPT_BYTES = 128 * 1024 * 1024;

/** A gateway that may log in, with what proves its password. */
export interface NoticeUser {
  readonly name: string;
  readonly hash: ScryptHash;
}

export interface ScryptHash {
  readonly cost: number;
  readonly blockSize: number;
  readonly parallelization: number;
  readonly salt: Uint8Array;
  readonly digest: Uint8Array;
}

/** A users file that cannot be used. It never repeats what stands in the line. */
export class UsersError extends Error {
  override readonly name = 'UsersError';
}

// `NAME:$scrypt$ln=15,r=8,p=1$SALT$HASH`, the PHC string format, base64 without padding.
const LINE = /^([\w.@+-]{1,64}):\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d)\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$/u;

/**
 * Reads a users file: a name and a scrypt hash a line; empty lines and those that begin with `#` do not count.
 * @throws UsersError with the number of the line
 */
export function parseUsers(text: string): readonly NoticeUser[] {
  const users: NoticeUser[] = [];
  for (const [index, line] of text.split(/\r?\n/u).entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const user = parseLine(line.trim(), index + 1);
    if (users.some(({ name }) => name === user.name)) throw new UsersError(`line ${index + 1}: the name stands there twice; remove one of the two`);
    users.push(user);
  }
  if (users.length > MAX_USERS) throw new UsersError(`has ${users.length} users; ${MAX_USERS} is the most`);
  return users;
}

function parseLine(line: string, number: number): NoticeUser {
  const [, name, ln, r, p, salt = '', digest = ''] = LINE.exec(line) ?? [];
  if (name === undefined) throw new UsersError(`line ${number}: is not NAME:$scrypt$ln=15,r=8,p=1$SALT$HASH; docs/notices.md says how to make one`);
  const [logCost, blockSize, parallelization] = [Number(ln), Number(r), Number(p)];
  const isBounded =
    logCost >= MIN_SCRYPT_LOG_COST &&
    logCost <= MAX_SCRYPT_LOG_COST &&
    blockSize >= 1 &&
    blockSize <= MAX_SCRYPT_BLOCK_SIZE &&
    parallelization >= 1 &&
    parallelization <= MAX_SCRYPT_PARALLELIZATION &&
    128 * 2 ** logCost * blockSize <= MAX_SCRYPT_BYTES;
  if (!isBounded)
    throw new UsersError(
      `line ${number}: scrypt with ln from ${MIN_SCRYPT_LOG_COST} to ${MAX_SCRYPT_LOG_COST}, r to ${MAX_SCRYPT_BLOCK_SIZE}, p to ${MAX_SCRYPT_PARALLELIZATION} and no more than ${MAX_SCRYPT_BYTES / 1024 / 1024} MiB is accepted`,
    );
  return { name, hash: { cost: 2 ** logCost, blockSize, parallelization, salt: Buffer.from(salt, 'base64'), digest: Buffer.from(digest, 'base64') } };
}
