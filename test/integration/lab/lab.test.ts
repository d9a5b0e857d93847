import { afterAll, beforeAll, expect, test } from 'vitest';
import { namespacesAllowed } from '../../kit/netns.ts';
import { Lab } from '../../lab/lab.ts';
import { play, type Scenario, type ScenarioResult } from '../../lab/scenario.ts';

/** The lab in its short form, with two small sites and one office; `npm run lab` has all of it (docs/resilience.md). */

const reason = namespacesAllowed();
let lab: Lab;

beforeAll(async () => {
  if (reason === undefined) lab = await Lab.create({ sites: 2, offices: 1, servers: 2, prometheus: false });
}, 60_000);

afterAll(async () => {
  await lab?.stop();
});

function run(scenario: Scenario): Promise<ScenarioResult> {
  return play(lab, scenario, { quick: true, say: () => undefined });
}

/** Nothing of this may depend on how busy the machine is. */
const well = { lost: 0, infectedDelivered: 0, altered: 0, refused: 0, abandoned: 0, problems: [] };

test.skipIf(reason !== undefined)(`a site is killed at once, the next one's line is cut${reason === undefined ? '' : ` (skipped: ${reason})`}`, async () => {
  const killed = await run({
    number: 1,
    name: 'killed',
    async run(stage) {
      const site = stage.siteOf();
      stage.now('killed');
      await site.kill();
      await stage.relayedElsewhere([site], 20_000);
    },
  });
  expect(killed).toMatchObject({ ...well, direct: 0 });
  expect(Object.keys(killed.sites).toSorted()).toEqual(['osaka-1', 'tokyo-1']);
  expect(killed.infectedRefused).toBeGreaterThan(0);

  const cut = await run({
    number: 2,
    name: 'cut',
    async run(stage) {
      const site = stage.siteOf();
      stage.now('cut');
      await site.line.cut();
      await stage.relayedElsewhere([site], 20_000);
    },
  });
  expect(cut).toMatchObject({ ...well, direct: 0 });
  // The agent's budget, and what a busy machine adds.
  expect(cut.maxDecisionMs).toBeLessThan(8000);
});
