// Runs in the page. It finds there: uPlot, formatValue, formatX (format.ts) and PLOT_STYLE (page.ts).
'use strict';

const SECONDS_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800];
const MARK_ROW_PX = 16;
const MARK_FONT = '12px system-ui, sans-serif';
const PLOT_HEIGHT_PX = 260;

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function seriesColour(index) {
  return colour(`--series-${index % PLOT_STYLE.colours}`);
}

function seriesDash(index) {
  return PLOT_STYLE.dashes[Math.min(PLOT_STYLE.dashes.length - 1, Math.floor(index / PLOT_STYLE.colours))];
}

function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

function swatch(index) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  const line = document.createElementNS('http://www.w3.org/2000/svg', 'line');
  svg.setAttribute('viewBox', '0 0 20 6');
  svg.setAttribute('aria-hidden', 'true');
  for (const [name, value] of Object.entries({ x1: 0, x2: 20, y1: 3, y2: 3, 'stroke-width': 2.5 })) line.setAttribute(name, value);
  line.setAttribute('stroke-dasharray', seriesDash(index).join(' '));
  line.classList.add(`series-${index % PLOT_STYLE.colours}`);
  svg.append(line);
  return svg;
}

/** The curves by name with a value each: the highest, or the one at the cursor. */
class Legend {
  #plot;
  #head = element('p', 'legend-head');
  #values = [];
  #entries = [];
  #highest;

  constructor(plot, onToggle) {
    this.#plot = plot;
    this.#highest = plot.series.map(({ values }) => values.reduce((high, value) => (value === null || (high !== null && high >= value) ? high : value), null));
    const list = element('ul', 'legend-list');
    plot.series.forEach(({ label }, index) => {
      const value = element('span', 'legend-value');
      const button = element('button', '', swatch(index), element('span', 'legend-label', label), value);
      button.type = 'button';
      button.setAttribute('aria-pressed', 'true');
      button.addEventListener('click', () => {
        const shown = button.getAttribute('aria-pressed') !== 'true';
        button.setAttribute('aria-pressed', String(shown));
        onToggle(index, shown);
      });
      const entry = element('li', index < PLOT_STYLE.legendEntries ? '' : 'legend-rest', button);
      this.#values.push(value);
      this.#entries.push(entry);
      list.append(entry);
    });
    this.element = element('div', 'legend', this.#head, list);
    const more = plot.series.length - PLOT_STYLE.legendEntries;
    if (more > 0) list.append(this.#moreEntry(more));
    this.show(null, null);
  }

  /** Values at an index of the xs (or the highest ones), and the curve that is nearest to the cursor. */
  show(index, nearest) {
    const plot = this.#plot;
    const near = nearest === null || index === null ? '' : this.#nearText(index, nearest);
    this.#head.textContent = index === null ? 'Highest' : `${formatX(plot.xKind, plot.xs[index])}${near}`;
    plot.series.forEach(({ values }, series) => {
      const value = index === null ? this.#highest[series] : values[index];
      this.#values[series].textContent = value === null ? '–' : formatValue(value);
      this.#entries[series].classList.toggle('is-near', series === nearest);
    });
  }

  #nearText(index, nearest) {
    const { label, values } = this.#plot.series[nearest];
    return this.#plot.series.length <= PLOT_STYLE.legendEntries || values[index] === null ? '' : ` · ${label} ${formatValue(values[index])}`;
  }

  #moreEntry(more) {
    const button = element('button', 'legend-more', `and ${more} more`);
    button.type = 'button';
    button.setAttribute('aria-expanded', 'false');
    button.addEventListener('click', () => {
      const open = this.element.classList.toggle('is-open');
      button.setAttribute('aria-expanded', String(open));
      button.textContent = open ? 'fewer' : `and ${more} more`;
    });
    return element('li', '', button);
  }
}

/** Labels of marks from the top row down, as svg-marks.ts has them; `marks` have their place `at` and their `width` in pixels. */
function placeMarks(marks, right, maxRows) {
  const ends = [];
  const placed = marks.map(({ at, label, width }) => {
    const end = at + 4 + width > right;
    const from = end ? at - width - 4 : at;
    const free = ends.findIndex((edge) => edge < from);
    const row = free >= 0 ? free : ends.length;
    if (row >= maxRows) return { at, row: 0, label: '', end };
    ends[row] = from + width + 12;
    return { at, row, label, end };
  });
  return { placed, rows: ends.length };
}

function marksAt(plot, context, low, high, toPixels) {
  context.font = MARK_FONT;
  return [...(plot.marks ?? [])]
    .sort((one, other) => one.x - other.x)
    .filter(({ x }) => x >= low && x <= high)
    .map(({ x, label }) => ({ at: toPixels(x), label, width: context.measureText(label).width }));
}

/** Rows that the labels will take in a plot of this width: needed before there is a plot. */
function markRows(plot, width) {
  const context = document.createElement('canvas').getContext('2d');
  const [low, high] = [plot.xs[0], plot.xs.at(-1)];
  const inner = width - 80;
  const marks = marksAt(plot, context, low, high, (x) => ((x - low) / (high - low || 1)) * inner);
  return placeMarks(marks, inner, PLOT_STYLE.markRows).rows;
}

function drawMarks(u, plot, rows) {
  const ratio = uPlot.pxRatio;
  const context = u.ctx;
  const [top, bottom, right] = [u.bbox.top / ratio, (u.bbox.top + u.bbox.height) / ratio, (u.bbox.left + u.bbox.width) / ratio];
  context.save();
  context.scale(ratio, ratio);
  const marks = marksAt(plot, context, u.scales.x.min, u.scales.x.max, (x) => Math.round(u.valToPos(x, 'x', true) / ratio));
  context.fillStyle = colour('--muted');
  context.strokeStyle = colour('--mark');
  context.lineWidth = 1;
  context.setLineDash([3, 3]);
  for (const { at, row, label, end } of placeMarks(marks, right, rows).placed) {
    const baseline = top - 8 - (rows - row - 1) * MARK_ROW_PX;
    context.beginPath();
    context.moveTo(at, label === '' ? top : baseline - 9);
    context.lineTo(at, bottom);
    context.stroke();
    context.textAlign = end ? 'right' : 'left';
    context.fillText(label, at + (end ? -4 : 4), baseline);
  }
  context.restore();
}

/** Values between two gaps, which a line would not show. */
function lonelyPoints(values) {
  const lonely = [];
  values.forEach((value, index) => {
    if (value !== null && (values[index - 1] ?? null) === null && (values[index + 1] ?? null) === null) lonely.push(index);
  });
  return lonely;
}

function axes(plot) {
  const shared = () => ({
    stroke: colour('--muted'),
    font: '12px system-ui, sans-serif',
    grid: { stroke: colour('--grid'), width: 1 },
    ticks: { stroke: colour('--grid'), width: 1, size: 5 },
  });
  return [
    {
      ...shared(),
      grid: { show: false },
      size: 32,
      space: 84,
      ...(plot.xKind === 'number' ? {} : { incrs: [0.001, 0.01, 0.1, 0.5, ...SECONDS_STEPS] }),
      values: (_, xs) => xs.map((x) => formatX(plot.xKind, x)),
    },
    {
      ...shared(),
      size: (_, values) => 20 + 7 * Math.max(3, ...(values ?? []).map((value) => value.length)),
      values: (_, values) => values.map(formatValue),
    },
  ];
}

function options(plot, width, legend) {
  const thick = plot.series.length <= PLOT_STYLE.thickSeries;
  const rows = markRows(plot, width);
  const markSpace = rows === 0 ? 8 : 12 + MARK_ROW_PX * rows;
  let nearest = null;
  return {
    width,
    height: PLOT_HEIGHT_PX + markSpace,
    padding: [markSpace, 30, 0, 0],
    legend: { show: false },
    focus: { alpha: plot.series.length > 1 ? 0.3 : 1 },
    cursor: {
      y: false,
      focus: { prox: 24 },
      points: { size: 7 },
      sync: { key: `${plot.xKind} ${plot.xLabel}`, setSeries: false, scales: ['x', null] },
    },
    scales: {
      x: { time: false },
      y: { range: (_, low, high) => yRange(low, high) },
    },
    axes: axes(plot),
    series: [
      {},
      ...plot.series.map(({ label }, index) => ({
        label,
        stroke: seriesColour(index),
        width: thick ? 1.75 : 1,
        dash: seriesDash(index),
        points: {
          size: 5,
          filter: (_, index, shown) => (shown ? null : lonelyPoints(plot.series[index - 1].values)),
        },
      })),
    ],
    hooks: {
      drawAxes: [(u) => drawMarks(u, plot, rows)],
      setCursor: [(u) => legend.show(u.cursor.idx ?? null, nearest)],
      setSeries: [
        (u, series, change) => {
          if (!('focus' in change)) return;
          nearest = series === null || series < 1 ? null : series - 1;
          legend.show(u.cursor.idx ?? null, nearest);
        },
      ],
    },
  };
}

function yRange(low, high) {
  const bottom = Math.min(0, low ?? 0);
  const top = Math.max(0, high ?? 0);
  return bottom === top ? [0, 1] : uPlot.rangeNum(bottom, top, { min: { pad: 0.05, soft: 0, mode: 1 }, max: { pad: 0.08, soft: 0, mode: 1 } });
}

/** One plot of the page: made anew for another width or other colours. */
function livePlot(host, plot) {
  const hidden = new Set();
  let chart;
  const legend = new Legend(plot, (index, shown) => {
    if (shown) hidden.delete(index);
    else hidden.add(index);
    chart?.setSeries(index + 1, { show: shown });
  });
  const canvas = element('div', 'canvas');
  host.append(canvas, element('p', 'x-label', plot.xLabel), legend.element);
  const draw = () => {
    chart?.destroy();
    chart = new uPlot(options(plot, canvas.clientWidth, legend), [plot.xs, ...plot.series.map(({ values }) => values)], canvas);
    for (const index of hidden) chart.setSeries(index + 1, { show: false });
  };
  host.addEventListener('keydown', (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step === undefined || event.target !== host) return;
    event.preventDefault();
    const index = Math.min(plot.xs.length - 1, Math.max(0, (chart.cursor.idx ?? (step > 0 ? -1 : plot.xs.length)) + step));
    chart.setCursor({ left: chart.valToPos(plot.xs[index], 'x'), top: 10 });
  });
  return { draw, resize: () => chart?.setSize({ width: canvas.clientWidth, height: chart.height }) };
}

const plots = JSON.parse(document.getElementById('plots').textContent);
const live = [...document.querySelectorAll('[data-plot]')].map((host) => {
  host.closest('figure').classList.add('is-live');
  const made = livePlot(host, plots[Number(host.dataset.plot)]);
  made.draw();
  new ResizeObserver(() => made.resize()).observe(host);
  return made;
});
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => live.forEach(({ draw }) => draw()));
