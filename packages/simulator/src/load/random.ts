/** Numbers from 0 up to 1. */
export type Random = () => number;

/** Numbers that are the same for the same seed (mulberry32: 32 bits of state, enough to draw sizes and pauses with). */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A pause with this mean, as between people who know nothing of each other. */
export function exponential(mean: number, random: Random): number {
  return -mean * Math.log(1 - random());
}
