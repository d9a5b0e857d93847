import type { RelayState } from '@sekisho/scheduler';
import { type Html, html } from './html.ts';
import { age, clockTime, count, percent, rate } from './quantities.ts';
import { adviceOn, heaviest, LOAD_WORDS, missingScanners, STATE_WORDS, worstFirst } from './relay-advice.ts';
import type { PageInput } from './render.ts';
import type { LoadComponent, ShownRelay } from './shown-status.ts';

/** A sign for each state beside its word and its colour. */
const SIGNS: Readonly<Record<RelayState, string>> = { up: '●', overloaded: '▲', full: '■', draining: '▽', down: '✕', stale: '?' };
/** From this part of its limit on, a figure is shown as a warning. */
const WARN_AT = 0.8;

type Column = readonly [key: string, head: string, title: string];

const COLUMNS: readonly Column[] = [
  ['name', 'Relay', 'its name in site.yaml'],
  ['state', 'State', 'and for how long'],
  ['load', 'Load', 'the largest of its loads, in percent of the limit; 100 % marks it OVERLOADED'],
  ['sessions', 'Sessions', 'mail sessions, and its cap'],
  ['line', 'Line', 'what it carries'],
  ['past', 'Last hour', ''],
  ['share', 'Share', 'of new agents'],
  ['weight', 'Weight', 'as in force; in brackets that of site.yaml'],
  ['scanners', 'Scanners', 'that the relay can use'],
  ['clean', 'Clean', 'messages since the relay was started'],
  ['infected', 'Infected', 'messages since the relay was started'],
  ['unscannable', 'Unscannable', 'messages since the relay was started'],
];

/** The table of the relays, the worst first. */
export function relayTable(input: PageInput): Html {
  const { relays } = input.status.table;
  const mayOrder = input.rights === 'operator';
  return html`<section class="relays"><table>
<thead><tr>${COLUMNS.map(([key, head, title]) => html`<th class="${key}" scope="col" title="${title}">${head}${key === 'past' ? seriesChoice() : null}</th>`)}${mayOrder ? html`<th class="orders" scope="col">Orders</th>` : null}</tr></thead>
<tbody>${worstFirst(relays).map((relay) => row(relay, input))}</tbody>
</table></section>`;
}

function seriesChoice(): Html {
  return html`<span class="choice js" data-keep role="group" aria-label="what the last hour shows"><button type="button" data-series="sessions" aria-pressed="true">sessions</button><button type="button" data-series="bytesPerSecond" aria-pressed="false">line</button><button type="button" data-series="load" aria-pressed="false">load</button></span>`;
}

function row(relay: ShownRelay, input: PageInput): Html {
  const { name, state, share, sessions, maxSessions, inspection } = relay;
  const bytes = input.rateOf(name);
  const missing = missingScanners(relay);
  const figures: Readonly<Record<string, Html>> = {
    name: html`<b>${name}</b><span class="dim">${relay.host}</span>`,
    state: html`<span class="badge ${state}"><i aria-hidden="true">${SIGNS[state]}</i>${STATE_WORDS[state]}</span><span class="dim">${age(input.nowMs - relay.sinceMs)}</span>`,
    load: loadCell(relay),
    sessions: html`${sessions === null ? '-' : count(sessions)}${maxSessions === null || maxSessions === 0 ? null : html`<span class="dim">/${count(maxSessions)}</span>`}`,
    line: html`${bytes === null ? '-' : rate(bytes)}`,
    past: html`<div class="spark" data-keep data-relay="${name}"></div>`,
    share: html`${percent(share)}`,
    weight: weightCell(relay),
    scanners: inspection === null ? html`<span class="dim">none</span>` : html`<span class="${missing > 0 ? 'bad' : 'good'}">${inspection.scannersUp}/${inspection.scanners}${missing > 0 ? ' LOST' : null}</span>`,
    clean: verdict(inspection?.clean),
    infected: verdict(inspection?.infected),
    unscannable: verdict(inspection?.unscannable),
  };
  const why = whyOf(relay);
  return html`<tr id="relay-${name}" class="relay ${state}${missing > 0 ? ' poor' : null}${why === null ? null : ' explained'}">${COLUMNS.map(
    ([key, head]) => html`<td class="${key}" data-head="${head}">${figures[key] ?? null}</td>`,
  )}${input.rights === 'operator' ? html`<td class="orders">${orders(relay)}</td>` : null}</tr>${why === null ? null : html`
<tr id="why-${name}" class="why ${state}${missing > 0 ? ' poor' : null}"><td colspan="${COLUMNS.length + 1}">${why}</td></tr>`}
`;
}

function loadCell(relay: ShownRelay): Html {
  const { load, score } = relay;
  const by = heaviest(relay);
  if (load === null || score === null || by === null) return html`-`;
  const all = (Object.keys(LOAD_WORDS) as LoadComponent[]).map((each) => `${LOAD_WORDS[each]} ${percent(load[each])}`).join(', ');
  const level = score >= 1 ? 'over' : score >= WARN_AT ? 'near' : 'calm';
  return html`<span title="${all}"><span class="figure">${percent(score)} <span class="dim">${LOAD_WORDS[by]}</span></span><svg class="bar ${level}" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true"><rect class="rest" width="100" height="4"/><rect class="load" width="${Math.round(Math.min(1, score) * 100)}" height="4"/></svg></span>`;
}

function weightCell({ weight }: ShownRelay): Html {
  const { configured, override, effective } = weight;
  const wanted = override ?? configured;
  // A relay that comes back gets its weight little by little.
  const rising = effective > 0 && effective < wanted ? html`<span class="dim">at ${percent(effective / wanted)}</span>` : null;
  return html`${wanted}${override === null ? null : html` <span class="dim">(${configured})</span>`}${rising}`;
}

function verdict(messages: number | undefined): Html {
  return messages === undefined ? html`<span class="dim">-</span>` : html`${count(messages)}`;
}

/** Why the relay is as it is, and what to do next; null for one that is simply up. */
function whyOf(relay: ShownRelay): Html | null {
  const { override, reason, state } = relay;
  const advice = adviceOn(relay);
  if (state === 'up' && override === null && advice === null) return null;
  const ordered = override === null ? null : html` <span class="dim">ordered by ${override.by} at ${clockTime(override.at)} UTC</span>`;
  return html`${state === 'up' ? null : reason}${ordered} ${advice === null ? null : html`<span class="next">${advice}</span>`}`;
}

function orders({ name, override }: ShownRelay): Html {
  const kind = override?.drain === true ? 'undrain' : 'drain';
  return html`<button type="button" data-do="${kind}" data-relay="${name}" class="js">${kind}</button> <button type="button" data-do="weight" data-relay="${name}" class="js">weight</button>`;
}
