/** Lists of addresses in ascending order of their code units, each once. Pure. */

const inOrder = new WeakMap<readonly string[], readonly string[]>();

/** The addresses in order, each once. One list that is given out many times, as to simulated agents, is sorted once. */
export function sorted(addresses: readonly string[]): readonly string[] {
  const known = inOrder.get(addresses);
  if (known !== undefined) return known;
  const result = [...new Set(addresses)].sort();
  inOrder.set(addresses, result);
  return result;
}

export function contains(list: readonly string[], address: string): boolean {
  let from = 0;
  let to = list.length;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if ((list[middle] ?? '') < address) from = middle + 1;
    else to = middle;
  }
  return list[from] === address;
}

/** Those of the first list that the second does not have, in one walk through both. */
export function missingFrom(list: readonly string[], other: readonly string[]): readonly string[] {
  if (list === other || list.length === 0) return [];
  if (other.length === 0) return list;
  let at = 0;
  return list.filter((address) => {
    while (at < other.length && (other[at] ?? '') < address) at += 1;
    return other[at] !== address;
  });
}
