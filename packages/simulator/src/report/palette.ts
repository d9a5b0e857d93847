/** Told apart also by those who see fewer colours; more series than these repeat them, in dashes. */
export const LIGHT_SERIES = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#6a3d9a', '#4d4d4d'] as const;
/** The same hues in the same order, on a dark ground. */
export const DARK_SERIES = ['#3d9ee0', '#f0803c', '#2cc79a', '#e79cc6', '#f5c04a', '#9ad8ff', '#a98be8', '#c4c9cf'] as const;

/** Of the first, second and third round through the colours; later ones stay with the last. In pixels. */
export const DASHES = [[], [6, 3], [2, 3]] as const;

/** A plot of more series than these draws them thin: it is the crowd that is looked at, not the one. */
export const MAX_THICK_SERIES = 8;
/** A legend names these, and says how many more there are. */
export const MAX_LEGEND_ENTRIES = 12;

export function seriesColour(index: number): string {
  return LIGHT_SERIES[index % LIGHT_SERIES.length] ?? LIGHT_SERIES[0];
}

export function seriesDash(index: number): readonly number[] {
  return DASHES[Math.min(DASHES.length - 1, Math.floor(index / LIGHT_SERIES.length))] ?? [];
}
