import { expect, test } from 'vitest';
import { samplePlot } from './samples.ts';
import { renderSvg } from './svg.ts';

const count = (text: string, part: string): number => text.split(part).length - 1;

test('a picture that stands alone: white ground, no script, no style, no request', () => {
  const svg = renderSvg(samplePlot());
  expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" width="880" height="\d+" viewBox="0 0 880 \d+" role="img"/u);
  expect(svg).toContain('rx="6" fill="#fff"/>');
  expect(svg).toContain('aria-label="Sessions, sessions/s: 1 curve over since the start, 0 s to 2 s. Highest: 3 (s1) at 1 s."');
  expect(svg).not.toMatch(/<script|<style|style=|href|url\(/u);
  expect(count(svg, '<path')).toBe(1);
});

test('every text is escaped', () => {
  const evil = `</text><script>"'&`;
  const svg = renderSvg(samplePlot({ title: evil, xLabel: evil, yLabel: evil, series: [{ label: evil, values: [1, 2, 3] }], marks: [{ x: 1, label: evil }] }));
  expect(svg).not.toContain('<script');
  expect(count(svg, '&lt;/text&gt;&lt;script&gt;&quot;&#39;&amp;')).toBe(5 + 4);
});

test('a gap parts a line, and a value between gaps is a dot', () => {
  const svg = renderSvg(samplePlot({ xs: [0, 1, 2, 3, 4], series: [{ label: 's1', values: [1, 2, null, 2, null] }] }));
  expect(/<path d="([^"]+)"/u.exec(svg)?.[1]).toBe('M72 188L268 68');
  expect(svg).toContain('<circle cx="660" cy="68"');
});

test('one point is seen, no point is said', () => {
  const one = renderSvg(samplePlot({ xs: [5], series: [{ label: 's1', values: [0] }] }));
  expect(one).toContain('<circle cx="464"');
  const none = renderSvg(samplePlot({ xs: [], series: [{ label: 's1', values: [] }] }));
  expect(none).toContain('>no values</text>');
  expect(one + none).not.toContain('NaN');
});

test('100,000 points: few are drawn, the highest among them', () => {
  const xs = Array.from({ length: 100_000 }, (_, index) => index);
  const svg = renderSvg(samplePlot({ xs, series: [{ label: 's1', values: xs.map((x) => (x === 77_777 ? 1000 : 1)) }] }));
  const path = /<path d="([^"]+)"/u.exec(svg)?.[1] ?? '';
  expect(path.split('L')).toHaveLength(1200);
  expect(path).toMatch(/ 68(?:L|$)/u);
});

test('a crowd has thin lines in every colour, and a legend that says how many more there are', () => {
  const series = Array.from({ length: 30 }, (_, index) => ({ label: `relay-${index}`, values: [1, 2, 3] }));
  const svg = renderSvg(samplePlot({ series }));
  expect(count(svg, 'stroke-width="1"')).toBe(30);
  expect(svg).toContain('>relay-11</text>');
  expect(svg).not.toContain('>relay-12</text>');
  expect(svg).toContain('>and 18 more</text>');
  const styles = [...svg.matchAll(/<path [^>]*stroke="([^"]+)"[^>]*?(stroke-dasharray="[^"]+")?\/>/gu)].map((match) => `${match[1]} ${match[2]}`);
  expect(new Set(styles).size).toBe(24);
});

test('values below zero have a place, and zero has one', () => {
  const svg = renderSvg(samplePlot({ series: [{ label: 's1', values: [-10, 0, 10] }] }));
  expect(svg).toContain('>-10</text>');
  expect(/<path d="([^"]+)"/u.exec(svg)?.[1]).toBe('M72 308L464 188L856 68');
});

test('a series with a value that is no number is refused', () => {
  expect(() => renderSvg(samplePlot({ series: [{ label: 's9', values: [1, Number.NaN, 2] }] }))).toThrow(/series "s9": value 1 is NaN/u);
});
