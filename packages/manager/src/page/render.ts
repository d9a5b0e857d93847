import { type Html, html } from './html.ts';
import { clockTime, count, rate } from './quantities.ts';
import { relayTable } from './render-relays.ts';
import type { ShownStatus } from './shown-status.ts';
import { gravestFirst, type Level, type Subject, subjectsOf, worstOf } from './subjects.ts';

/** Whether this visitor may give orders: not at all, not over this way, after signing in, or now. */
export type Rights = 'none' | 'plain' | 'visitor' | 'operator';

export interface PageInput {
  readonly status: ShownStatus;
  readonly rights: Rights;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** By the clock of the table, to which `sinceMs` of its relays belongs. */
  readonly nowMs: number;
  /** What a relay carries, or null. */
  readonly rateOf: (relay: string) => number | null;
}

const LEVEL_WORDS: Readonly<Record<Level, string>> = { ok: 'OK', note: 'NOTE', lost: 'LOST', out: 'OUT' };
const EVENTS_SHOWN = 20;

/** The whole page. Our own script fetches it again every two seconds and takes over what has changed. */
export function renderPage(input: PageInput): string {
  const { status, at } = input;
  const subjects = subjectsOf(status);
  const troubles = subjects.filter(({ level }) => level === 'lost' || level === 'out');
  const sign = troubles.length === 0 ? '' : `(${troubles.length}) `;
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${sign}${status.site} ${status.name} - sekisho</title>
<link rel="icon" href="favicon.svg" type="image/svg+xml">
<link rel="stylesheet" href="uplot.css">
<link rel="stylesheet" href="page.css">
<script src="theme.js"></script>
<script src="uplot.js" defer></script>
<script src="page.js" defer></script>
<noscript><meta http-equiv="refresh" content="5"></noscript>
</head>
<body>
<div id="silent" class="silent" role="alert" hidden></div>
<div id="live" data-site="${status.site}" data-at="${at}" data-time="${clockTime(at)}">
${header(input)}
<main>
${headline(status, subjects)}
${status.table.panic ? panicBanner() : null}
${subjectLine(subjects)}
${relayTable(input)}
${events(status)}
</main>
</div>
${dialogs()}
<output id="said" class="said" hidden></output>
</body>
</html>
`;
  return page.text;
}

function header({ status: { site, name, address, port, table, stopping }, rights, at, rateOf }: PageInput): Html {
  const sessions = table.relays.reduce((sum, relay) => sum + (relay.sessions ?? 0), 0);
  const bytesPerSecond = table.relays.reduce((sum, relay) => sum + (rateOf(relay.name) ?? 0), 0);
  return html`<header>
<h1>${site}</h1>
<p class="who">manager <b>${name}</b> <span class="dim">${address}:${port} · policy ${table.policy}</span>${stopping ? html` <b class="word note">STOPPING</b>` : null}</p>
<p class="carries"><b>${count(sessions)}</b> <span class="dim">sessions</span> <b>${rate(bytesPerSecond)}</b></p>
<p class="when"><span class="pulse" aria-hidden="true"></span><time>${clockTime(at)}</time> <span class="dim">UTC</span></p>
<p class="tools">${signing(rights)}<button type="button" data-do="theme" class="js" title="dark, light, or as the system has it">theme</button></p>
</header>`;
}

function signing(rights: Rights): Html {
  if (rights === 'none') return html`<span class="dim" title="page.tokenFile is not set in site.yaml: there are no orders here">read-only</span> `;
  if (rights === 'plain') return html`<span class="dim" title="A token would go over the network in the clear. Open the page over TLS, or through a tunnel: ssh -L">read-only without TLS</span> `;
  return rights === 'operator'
    ? html`<span class="word note">SIGNED IN</span> <button type="button" data-do="sign-out" class="js">sign out</button> `
    : html`<button type="button" data-do="sign-in" class="js">sign in</button> `;
}

/** What is the matter, in words for somebody who was asleep a minute ago. */
function headline(status: ShownStatus, subjects: readonly Subject[]): Html {
  const troubles = gravestFirst(subjects.filter(({ next }) => next !== null));
  const level = worstOf([status.table.panic ? 'out' : 'ok', ...subjects.map((subject) => subject.level)]);
  const texts: Readonly<Record<Level, string>> = {
    ok: 'All is well.',
    note: 'Mail flows. There is something to know.',
    lost: 'Mail flows, and redundancy is lost: the next failure will be felt.',
    out: 'Mail is affected.',
  };
  return html`<section class="headline ${level}" role="status">
<h2><span class="word ${level}">${LEVEL_WORDS[level]}</span> ${texts[level]}</h2>
<ul>${troubles.map((subject) => html`<li><span class="word ${subject.level}">${LEVEL_WORDS[subject.level]}</span> <b>${subject.name} ${subject.value}.</b> ${subject.next}</li>`)}</ul>
</section>`;
}

function panicBanner(): Html {
  return html`<section class="panic" role="alert"><b>PANIC</b> Nearly all relays are marked, so marks of load are distrusted and these relays share the load all the same. Add servers, or find what slows all of them at once: docs/operations.md, PANIC.</section>`;
}

function subjectLine(subjects: readonly Subject[]): Html {
  return html`<section class="subjects" aria-label="redundancy">${subjects.map(
    ({ name, value, level }) => html`<div class="subject ${level}"><span class="name">${name}</span><span class="word ${level}">${LEVEL_WORDS[level]}</span><b>${value}</b></div>`,
  )}</section>`;
}

function events({ events: all }: ShownStatus): Html {
  const newest = all.slice(-EVENTS_SHOWN).reverse();
  return html`<section class="events"><h2>Last events <span class="dim">of this manager, newest first, UTC; its log has all</span></h2>
<ol>${newest.map(({ at, event, text }) => html`<li><time>${clockTime(at)}</time> <b class="${eventLevel(event)}">${event}</b> <span>${text}</span></li>`)}</ol></section>`;
}

function eventLevel(event: string): string {
  if (/_(?:lost|down|marked|drift|differs)$/u.test(event)) return 'bad';
  return /_(?:up|reached|back|agrees)$/u.test(event) ? 'good' : 'plain';
}

/** Stand outside of what is renewed, so that nobody loses what he was typing. */
function dialogs(): Html {
  return html`<dialog id="sign-in"><form method="dialog">
<h2>Sign in</h2><p>The token that <code>sekisho page token</code> has printed. It is not kept in the browser.</p>
<p><label>Token <input name="token" type="password" autocomplete="off" spellcheck="false" required></label></p>
<p class="refusal" hidden></p><p class="ends"><button value="cancel" formnovalidate>cancel</button> <button value="go" class="go">sign in</button></p>
</form></dialog>
<dialog id="order"><form method="dialog">
<h2></h2><p class="what"></p>
<p class="weight" hidden><label>Weight, 0 to 1000 <input name="weight" type="number" min="0" max="1000" step="1"></label> <span class="dim">empty: as in site.yaml</span></p>
<p class="refusal" hidden></p>
<p class="confirm" hidden><label>Type the name of the site to do it all the same <input name="confirm" autocomplete="off" spellcheck="false"></label></p>
<p class="ends"><button value="cancel" formnovalidate>cancel</button> <button value="go" class="go"></button></p>
</form></dialog>`;
}
