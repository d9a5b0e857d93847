/**
 * Told apart also by those who see fewer colours: any two are 9 or more apart (OKLab, times 100) as seen with protanopia,
 * deuteranopia and tritanopia (Machado 2009). More series than these repeat them, in dashes.
 */
export const LIGHT_SERIES = ['#0069b8', '#dc8a0c', '#0b4f1f', '#a83279', '#7a6800', '#23a8e8', '#4b2380', '#8a8d93'] as const;
/** Hues like these in the same order and as far apart, on a dark ground. */
export const DARK_SERIES = ['#2386ae', '#c65d08', '#93f09b', '#f091b8', '#b2a814', '#1fc8fa', '#9583ec', '#f3f0f4'] as const;

/** Of the first, second and third round through the colours; later ones stay with the last. In pixels. */
export const DASHES = [[], [6, 3], [2, 3]] as const;

/** A plot of more series than these draws them thin: it is the crowd that is looked at, not the one. */
export const THICK_SERIES = 8;
/** A legend names these, and says how many more there are. */
export const LEGEND_ENTRIES = 12;

export function seriesColour(index: number): string {
  return LIGHT_SERIES[index % LIGHT_SERIES.length] ?? LIGHT_SERIES[0];
}

export function seriesDash(index: number): readonly number[] {
  return DASHES[Math.min(DASHES.length - 1, Math.floor(index / LIGHT_SERIES.length))] ?? [];
}
