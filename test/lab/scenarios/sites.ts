import type { Scenario } from '../scenario.ts';

const siteKilled: Scenario = {
  number: 1,
  name: 'a site is killed at once, then cold-started',
  async run(stage) {
    const site = stage.siteOf();
    stage.now(`${site.name}: SIGKILL to all of it`);
    await site.kill();
    await stage.relayedElsewhere([site], 15_000);
    await stage.flow(10_000);
    stage.now(`${site.name}: cold start`);
    await site.start();
    await stage.until('its relays are up', 30_000, async () => {
      const rows = await site.relayStates();
      return rows.length > 0 && rows.every(({ state }) => state === 'up');
    });
  },
};

const lineCut: Scenario = {
  number: 2,
  name: "a site's line is cut silently, and restored",
  async run(stage) {
    const site = stage.siteOf();
    stage.now(`${site.name}: all packets are dropped, nothing is reset`);
    await site.line.cut();
    await stage.relayedElsewhere([site], 20_000);
    await stage.flow(15_000);
    stage.now(`${site.name}: the line is back`);
    await site.line.restore();
    await stage.flow(5000);
  },
};

export const SITE_SCENARIOS: readonly Scenario[] = [siteKilled, lineCut];
