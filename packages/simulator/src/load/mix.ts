import type { Random } from './random.ts';

const KIB = 1024;
const MIB = 1024 * 1024;

/** Sizes of mails, each with its share of the mails; the shares sum up to 1. */
export interface Mix {
  readonly sizes: readonly { readonly share: number; readonly bytes: number }[];
  /** Of the sessions, those that fetch by POP3; the others send by SMTP. */
  readonly fetchShare: number;
}

/** What docs/load.md describes. Sizes are classes and not a curve, so that a figure can be traced to them. */
export const MIXES = {
  office: {
    sizes: [
      { share: 0.6, bytes: 4 * KIB },
      { share: 0.25, bytes: 32 * KIB },
      { share: 0.12, bytes: 200 * KIB },
      { share: 0.03, bytes: 2 * MIB },
    ],
    fetchShare: 0.6,
  },
  notices: {
    sizes: [
      { share: 0.9, bytes: 2 * KIB },
      { share: 0.1, bytes: 16 * KIB },
    ],
    fetchShare: 0,
  },
  attachments: {
    sizes: [
      { share: 0.5, bytes: 100 * KIB },
      { share: 0.4, bytes: MIB },
      { share: 0.1, bytes: 10 * MIB },
    ],
    fetchShare: 0.5,
  },
} as const satisfies Readonly<Record<string, Mix>>;

export type MixName = keyof typeof MIXES;

/** Draws the size of the next mail, in bytes. */
export function drawSize(mix: Mix, random: Random): number {
  let left = random();
  for (const { share, bytes } of mix.sizes) {
    left -= share;
    if (left < 0) return bytes;
  }
  // Shares such as 0.1 do not sum up to 1 exactly.
  return mix.sizes.at(-1)?.bytes ?? 0;
}

/** The mean size of its mails, in bytes. */
export function meanBytes(mix: Mix): number {
  return mix.sizes.reduce((sum, { share, bytes }) => sum + share * bytes, 0);
}
