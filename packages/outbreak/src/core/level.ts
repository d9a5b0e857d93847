/** What detections are counted by. The first that has an outbreak takes them: a machine before a customer before a virus. */
export const LEVELS = ['device', 'contact', 'signature'] as const;
export type Level = (typeof LEVELS)[number];

/** A detection that a level has taken counts only towards the levels above it. */
export const RANK: Readonly<Record<Level, number>> = { device: 3, contact: 2, signature: 1 };
