import type { Random } from '../load/random.ts';

/** Above this mean (or this many trials) a normal distribution is near enough. */
const NORMAL_FROM = 30;

/** How many of something that happens so often on average, all independent of each other. */
export function poisson(mean: number, random: Random): number {
  if (mean <= 0) return 0;
  if (mean > NORMAL_FROM) return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal(random)));
  let left = Math.exp(-mean);
  let share = random();
  let count = 0;
  while (share > left) {
    share -= left;
    count += 1;
    left *= mean / count;
    if (left < Number.EPSILON) break;
  }
  return count;
}

/** How many of `trials`, each with this chance. */
export function binomial(trials: number, chance: number, random: Random): number {
  if (trials <= 0 || chance <= 0) return 0;
  if (chance >= 1) return trials;
  if (chance > 0.5) return trials - binomial(trials, 1 - chance, random);
  const mean = trials * chance;
  if (mean > NORMAL_FROM) {
    const drawn = Math.round(mean + Math.sqrt(mean * (1 - chance)) * normal(random));
    return Math.min(trials, Math.max(0, drawn));
  }
  if (trials > NORMAL_FROM) return inverted(trials, chance, random);
  let count = 0;
  for (let trial = 0; trial < trials; trial += 1) if (random() < chance) count += 1;
  return count;
}

/** Few of many: by walking up the distribution. */
function inverted(trials: number, chance: number, random: Random): number {
  const odds = chance / (1 - chance);
  let left = (1 - chance) ** trials;
  let share = random();
  let count = 0;
  while (share > left && count < trials) {
    share -= left;
    count += 1;
    left *= (odds * (trials - count + 1)) / count;
    if (left < Number.EPSILON && count > trials * chance) break;
  }
  return count;
}

/** Mean 0 and deviation 1 (Box and Muller). */
function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
