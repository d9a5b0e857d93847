import type { Plot, Report } from './report.ts';

/** For tests: one curve of a plot, with what a test is about in place of the rest. */
export function samplePlot(changes: Partial<Plot> = {}): Plot {
  return {
    title: 'Sessions',
    xKind: 'elapsed',
    xLabel: 'since the start',
    yLabel: 'sessions/s',
    xs: [0, 1, 2],
    series: [{ label: 's1', values: [1, 3, 2] }],
    ...changes,
  };
}

/** For tests: a report with one of everything. */
export function sampleReport(changes: Partial<Report> = {}): Report {
  return {
    title: 'A run',
    summary: 'All was well.',
    conditions: [{ label: 'Seed', value: '42' }],
    sections: [
      {
        heading: 'Result',
        text: 'First.\n\nSecond.',
        tables: [{ columns: [{ label: 'Relay' }, { label: 'Sessions', align: 'right' }], rows: [['s1', '1,000'], ['s2', '9']] }],
        plots: [samplePlot()],
      },
    ],
    ...changes,
  };
}
