import { userInfo } from 'node:os';

/** Who gives an order, for logs and `status`: a container's user need not be in its /etc/passwd. */
export function orderedBy(): string {
  const { SUDO_USER: person } = process.env;
  if (person !== undefined) return person;
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.getuid?.() ?? 'unknown'}`;
  }
}
