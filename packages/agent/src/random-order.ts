/**
 * The items in random order (Fisher and Yates), each drawn when it is asked for: of hundreds of managers, one or two are.
 * @param random numbers from 0 up to 1
 */
export function* inRandomOrder<T>(items: readonly T[], random: () => number): Generator<T, void, undefined> {
  /** What an earlier draw has put in the place of what it took. */
  const moved = new Map<number, T | undefined>();
  const at = (place: number): T | undefined => (moved.has(place) ? moved.get(place) : items[place]);
  for (let place = 0; place < items.length; place += 1) {
    const pick = place + Math.floor(random() * (items.length - place));
    const item = at(pick);
    moved.set(pick, at(place));
    if (item !== undefined) yield item;
  }
}
