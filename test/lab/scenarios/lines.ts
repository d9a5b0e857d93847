import { counted } from '../report.ts';
import type { Scenario } from '../scenario.ts';
import type { Stage } from '../stage.ts';

/** Lines that are bad and not dead. */

const slow: Scenario = {
  number: 3,
  name: "a site's line falls to 1/10 of its rate",
  async run(stage) {
    const site = stage.siteOf();
    const before = await shareOf(stage, site.name);
    stage.now(`${site.name}: a tenth of its line is left`);
    await site.line.slow(0.1);
    await stage.relayedElsewhere([site], 60_000, 'the offices go through sites that are fast');
    const since = Date.now();
    await stage.flow(15_000);
    const shares = stage.sitesSince(since);
    const total = Object.values(shares).reduce((sum, count) => sum + count, 0);
    stage.note(`its share of sessions fell from ${before} % to ${Math.round((100 * (shares[site.name] ?? 0)) / Math.max(total, 1))} %`);
    stage.now(`${site.name}: the line is fast again`);
    await site.line.restore();
    await stage.flow(5000);
  },
};

async function shareOf(stage: Stage, site: string): Promise<number> {
  const since = Date.now();
  await stage.flow(4000);
  const counts = stage.sitesSince(since);
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  return Math.round((100 * (counts[site] ?? 0)) / Math.max(total, 1));
}

const lossy: Scenario = {
  number: 4,
  name: '5 % packet loss towards one site',
  async run(stage) {
    const site = stage.siteOf();
    stage.now(`${site.name}: one packet in twenty is lost, in both directions`);
    await site.line.lose(5);
    const since = Date.now();
    await stage.flow(30_000);
    stage.note(`sessions meanwhile: ${counted(stage.sitesSince(since))}`);
  },
};

const CYCLES = 6;
const DEAD_MS = 2000;
const ALIVE_MS = 3000;
/** An office may leave the bad line, come back once, and leave it for good. */
const MOST_MOVES = 3;

const flapping: Scenario = {
  number: 5,
  name: 'a link that dies and heals every few seconds',
  async run(stage) {
    const site = stage.siteOf();
    const there = new Set(stage.lab.offices.filter((office) => office.lastSession()?.site === site.name));
    const since = Date.now();
    stage.now(`${site.name}: cut for ${DEAD_MS / 1000} s, ${CYCLES} times, with ${ALIVE_MS / 1000} s between`);
    for (let cycle = 0; cycle < (stage.quick ? 3 : CYCLES); cycle += 1) {
      await site.line.cut();
      await new Promise((resolve) => setTimeout(resolve, DEAD_MS));
      await site.line.restore();
      await new Promise((resolve) => setTimeout(resolve, ALIVE_MS));
    }
    for (const office of stage.lab.offices) {
      const moves = office.movesSince(since);
      stage.note(`${office.name} ${there.has(office) ? 'was there' : 'was elsewhere'} and moved ${moves.length} times`);
      stage.expect(moves.length <= (there.has(office) ? MOST_MOVES : 0), `${office.name} moved ${moves.length} times: ${moves.join(', ')}`);
    }
  },
};

export const LINE_SCENARIOS: readonly Scenario[] = [slow, lossy, flapping];
