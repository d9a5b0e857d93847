/** Lists of addresses in ascending order of their code units, each once. Pure. */

/** Whether a list is one of them as it is. */
export function isSorted(addresses: readonly string[]): boolean {
  for (let index = 1; index < addresses.length; index += 1)
    if (!((addresses[index - 1] ?? '') < (addresses[index] ?? ''))) return false;
  return true;
}

export function contains(sorted: readonly string[], address: string): boolean {
  let from = 0;
  let to = sorted.length;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if ((sorted[middle] ?? '') < address) from = middle + 1;
    else to = middle;
  }
  return sorted[from] === address;
}

/** Those of the first list that the second does not have, in one walk through both. */
export function missingFrom(sorted: readonly string[], other: readonly string[]): string[] {
  let at = 0;
  return sorted.filter((address) => {
    while (at < other.length && (other[at] ?? '') < address) at += 1;
    return other[at] !== address;
  });
}
