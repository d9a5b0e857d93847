/** What a run has to say, before it is text or a page: both are made of the same facts. */
export interface Report {
  readonly title: string;
  /** One sentence: the answer to the question that was asked. */
  readonly summary: string;
  /** Everything that decides the result, so that the run can be repeated: parameters, seed, machine, versions. */
  readonly conditions: readonly Fact[];
  readonly sections: readonly Section[];
}

export interface Fact {
  readonly label: string;
  /** With its unit. */
  readonly value: string;
}

export interface Section {
  readonly heading: string;
  readonly text?: string;
  readonly tables?: readonly Table[];
  readonly plots?: readonly Plot[];
}

export interface Table {
  readonly columns: readonly Column[];
  /** Cells as they are to be read; as many in each row as there are columns. */
  readonly rows: readonly (readonly string[])[];
}

export interface Column {
  readonly label: string;
  readonly align?: 'left' | 'right';
}

/** A curve for each series, over the same `xs`, which rise. */
export interface Plot {
  readonly title: string;
  /** Of `xs`: seconds since the start of the run, seconds since midnight, or numbers without a meaning of time. */
  readonly xKind: 'elapsed' | 'timeOfDay' | 'number';
  readonly xLabel: string;
  readonly yLabel: string;
  readonly xs: readonly number[];
  readonly series: readonly Series[];
  /** Moments worth a line across the plot. */
  readonly marks?: readonly { readonly x: number; readonly label: string }[];
}

export interface Series {
  readonly label: string;
  /** As many as there are `xs`; null is a gap. */
  readonly values: readonly (number | null)[];
}
