import { createHash } from 'node:crypto';
import { Script } from 'node:vm';
import { expect, test } from 'vitest';
import { renderPage } from './page.ts';
import type { Plot } from './report.ts';
import { samplePlot, sampleReport } from './samples.ts';

const EVIL = `</script><script>alert(1)</script><!--"'&\u202e`;

function parts(page: string) {
  const scripts = [...page.matchAll(/<script>([\s\S]*?)<\/script>/gu)].map((match) => match[1] ?? '');
  const styles = [...page.matchAll(/<style>([\s\S]*?)<\/style>/gu)].map((match) => match[1] ?? '');
  const data = /<script type="application\/json" id="plots">([\s\S]*?)<\/script>/u.exec(page)?.[1] ?? '';
  return { scripts, styles, plots: JSON.parse(data) as Omit<Plot, 'title' | 'yLabel'>[] };
}

const pageOf = (plot: Plot): string => renderPage(sampleReport({ sections: [{ heading: 'h', plots: [plot] }] }));

test('one script, one style, and a policy that allows these two and nothing else', () => {
  const page = renderPage(sampleReport());
  const { scripts, styles } = parts(page);
  expect([scripts.length, styles.length]).toEqual([1, 1]);
  const hash = (text = ''): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
  const policy = /http-equiv="Content-Security-Policy" content="([^"]+)"/u.exec(page)?.[1];
  expect(policy).toBe(
    `default-src 'none'; style-src ${hash(styles[0])}; script-src ${hash(scripts[0])}; base-uri 'none'; form-action 'none'`,
  );
  // What the policy would refuse, so that it is not there in vain.
  expect(page.replaceAll(/<(script|style)>[\s\S]*?<\/\1>/gu, '')).not.toMatch(/\s(?:style|on\w+|src|href)=/u);
  expect(styles[0]).not.toMatch(/url\(|@import/u);
});

test('the script is one that compiles, with the plotter and its licence', () => {
  const [script = ''] = parts(renderPage(sampleReport())).scripts;
  expect(() => new Script(script)).not.toThrow();
  expect(script).toContain('Permission is hereby granted, free of charge');
  expect(script).toContain('var uPlot=');
});

test('nothing from outside becomes markup, wherever it stands', () => {
  const page = renderPage({
    title: EVIL,
    summary: EVIL,
    conditions: [{ label: EVIL, value: EVIL }],
    sections: [
      {
        heading: EVIL,
        text: EVIL,
        tables: [{ columns: [{ label: EVIL }, { label: EVIL }], rows: [[EVIL, EVIL]] }],
        plots: [samplePlot({ title: EVIL, xLabel: EVIL, yLabel: EVIL, series: [{ label: EVIL, values: [1, 2, 3] }], marks: [{ x: 1, label: EVIL }] })],
      },
    ],
  });
  expect(page).not.toContain('alert(1)</script>');
  expect(page).not.toContain('<!--');
  expect(page).not.toContain('\u202e');
  expect(page.match(/<script/gu)).toHaveLength(2);
  const { plots } = parts(page);
  expect(plots[0]?.series[0]?.label).toBe(EVIL.replace('\u202e', '\\u202e'));
});

test('tables are tables, facts are a list, and a plot is told in words, too', () => {
  const page = renderPage(sampleReport());
  expect(page).toContain('<div><dt>Seed</dt><dd>42</dd></div>');
  expect(page).toContain('<thead><tr><th scope="col">Relay</th><th scope="col" class="right">Sessions</th></tr></thead>');
  expect(page).toContain('<tr><th scope="row">s1</th><td class="right">1,000</td></tr>');
  expect(page).toContain('aria-label="Sessions, sessions/s: 1 curve over since the start, 0 s to 2 s. Highest: 3 (s1) at 1 s."');
  expect(page).toContain('<tr><th scope="row">s1</th><td class="right">1</td><td class="right">2</td><td class="right">3</td><td class="right">1 s</td><td class="right">2</td></tr>');
  expect(page).toContain('<p class="prose">First.</p>\n<p class="prose">Second.</p>');
});

test('each plot has its own data and its static picture', () => {
  const one = samplePlot();
  const other = samplePlot({ title: 'Errors', series: [{ label: 's1', values: [0, null, 1 / 3] }] });
  const page = renderPage(sampleReport({ sections: [{ heading: 'a', plots: [one] }, { heading: 'b', plots: [other] }] }));
  expect(parts(page).plots.map(({ series }) => series[0]?.values)).toEqual([
    [1, 3, 2],
    [0, null, 0.3333333],
  ]);
  expect(page).toMatch(/<strong>Errors<\/strong>[\s\S]*data-plot="1"[\s\S]*<svg /u);
  expect(page.match(/<svg /gu)).toHaveLength(2);
});

test('100,000 points become 2,000, and of 200 curves 500 each; never without the highest', () => {
  const xs = Array.from({ length: 100_000 }, (_, index) => index);
  const few = parts(pageOf(samplePlot({ xs, series: [{ label: 's', values: xs.map((x) => (x === 77_777 ? 1000 : 1)) }] }))).plots[0];
  expect(few?.xs).toHaveLength(2000);
  expect(few?.series[0]?.values).toContain(1000);
  const fewer = xs.slice(0, 3000);
  const series = Array.from({ length: 200 }, (_, s) => ({ label: `${s}`, values: fewer.map((x) => (x === 7 * s ? 1000 : 1)) }));
  const many = parts(pageOf(samplePlot({ xs: fewer, series }))).plots[0];
  expect(many?.xs).toHaveLength(500);
  for (const { values } of many?.series ?? []) expect(values).toContain(1000);
});

test('a plot of nothing is said to be one', () => {
  const page = pageOf(samplePlot({ xs: [], series: [] }));
  expect(page).toContain('<p class="empty">no values</p>');
  expect(page).not.toContain('data-plot="');
});

test('a series with a value that is no number is refused', () => {
  expect(() => pageOf(samplePlot({ series: [{ label: 's9', values: [1, Number.NaN, 2] }] }))).toThrow(/series "s9": value 1 is NaN/u);
});
