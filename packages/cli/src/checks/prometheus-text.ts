/** One time series of a page in Prometheus' text format. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const LINE = /^(?<name>[a-z_:][a-z0-9_:]*)(?:\{(?<labels>.*)\})? (?<value>\S+)$/iu;
const LABEL = /(?<label>[a-z_][a-z0-9_]*)="(?<value>(?:[^"\\]|\\.)*)"/giu;

/** Reads what a role exports at /metrics; lines of another form are left out. */
export function parseSamples(text: string): Sample[] {
  return text.split('\n').flatMap((line) => {
    const groups = LINE.exec(line)?.groups;
    if (groups === undefined) return [];
    const labels = [...(groups['labels'] ?? '').matchAll(LABEL)].map(({ groups: one }) => [one?.['label'] ?? '', one?.['value'] ?? ''] as const);
    return [{ name: groups['name'] ?? '', labels: Object.fromEntries(labels), value: Number(groups['value']) }];
  });
}

/** The sum of the series of a name with these labels, or undefined when there is none. */
export function sumOf(samples: readonly Sample[], name: string, labels: Readonly<Record<string, string>> = {}): number | undefined {
  const found = samples.filter((sample) => sample.name === name && Object.entries(labels).every(([label, value]) => sample.labels[label] === value));
  return found.length === 0 ? undefined : found.reduce((sum, { value }) => sum + value, 0);
}
