import type { Scenario } from '../scenario.ts';
import type { LabSite } from '../site.ts';
import type { Stage } from '../stage.ts';

/** Whole sites: killed, cut off, taken out of DNS, added, upgraded. */

async function relaysUp(stage: Stage, site: LabSite): Promise<void> {
  await stage.until(`the relays of ${site.name} are up`, 60_000, async () => {
    const rows = await site.relayStates();
    return rows.length === site.managers.length * site.relays.length && rows.every(({ state }) => state === 'up');
  });
}

const killed: Scenario = {
  number: 1,
  name: 'a site is killed at once, then cold-started',
  async run(stage) {
    const site = stage.siteOf();
    stage.now(`${site.name}: SIGKILL to all of it`);
    await site.kill();
    await stage.relayedElsewhere([site], 15_000);
    await stage.flow(25_000);
    stage.now(`${site.name}: cold start`);
    await site.start();
    await relaysUp(stage, site);
  },
};

const cut: Scenario = {
  number: 2,
  name: "a site's line is cut silently, and restored",
  async run(stage) {
    const site = stage.siteOf();
    stage.now(`${site.name}: all packets are dropped, nothing is reset`);
    await site.line.cut();
    await stage.relayedElsewhere([site], 20_000);
    // Longer than the operator's alert takes.
    await stage.flow(45_000);
    stage.now(`${site.name}: the line is back`);
    await site.line.restore();
    await stage.flow(5000);
  },
};

const zone: Scenario = {
  number: 6,
  name: 'a site is drained by deleting its address from the zone; a fourth site is added by one address',
  async run(stage) {
    const { lab } = stage;
    const site = stage.siteOf();
    stage.now(`${site.name}: its addresses are deleted from the zone`);
    await lab.publish(lab.sites.filter((one) => one !== site));
    await stage.relayedElsewhere([site], 20_000);
    await stage.until(`${site.name} has no session left`, 30_000, async () => (await site.relayStates()).every(({ sessions }) => sessions === 0));

    const fourth = await lab.makeSite('nagoya-1');
    try {
      await fourth.start();
      await relaysUp(stage, fourth);
      const address = fourth.managers[0]?.address ?? '';
      stage.now(`${fourth.name}: one address of it enters the zone`);
      await lab.publish(lab.sites, [address]);
      await stage.flow(8000);
      stage.now(`the addresses of all other sites are deleted`);
      await lab.publish([], [address]);
      await stage.relayedElsewhere(lab.sites, 20_000, `every office is relayed through ${fourth.name}`);
    } finally {
      stage.now('the zone is as it was');
      await lab.publish(lab.sites);
      await stage.relayedElsewhere([fourth], 30_000, `every office has left ${fourth.name}`);
      await fourth.stop();
    }
  },
};

const upgraded: Scenario = {
  number: 13,
  name: 'rolling upgrade of all sites under load',
  async run(stage) {
    stage.now('every server of every site is checked, drained, stopped, started and undrained, one server of a site at a time');
    await Promise.all(stage.lab.sites.map((site) => upgrade(stage, site)));
  },
  judge: ({ direct, later, broken }) => [
    ...(direct > 0 ? [`${direct} connections went directly`] : []),
    ...(later > 0 ? [`${later} conversations were refused`] : []),
    ...(broken > 0 ? [`${broken} conversations were reset`] : []),
  ],
};

const DRAINED_WITHIN_MS = 60_000;
const CHECK_PAUSE_MS = 1000;

async function upgrade(stage: Stage, site: LabSite): Promise<void> {
  const servers = stage.quick ? ['s1', 's3'] : [...new Set(site.units.map(({ server }) => server))];
  for (const server of servers) {
    const order = async (...args: string[]): Promise<boolean> => {
      const { code, output } = await site.run(...args);
      if (code !== 0) stage.fail(`sekisho ${args.join(' ')} at ${site.name}: ${output}`);
      return code === 0;
    };
    const deadline = performance.now() + DRAINED_WITHIN_MS;
    const poll = async (...args: string[]): Promise<boolean> => {
      for (;;) {
        const { code, output } = await site.run('upgrade-check', '--server', server, ...args);
        if (code === 0) return true;
        if (performance.now() > deadline) {
          stage.fail(`${site.name} ${server}: upgrade-check ${args.join(' ')} still says no: ${output}`);
          return false;
        }
        await new Promise((resolve) => setTimeout(resolve, CHECK_PAUSE_MS));
      }
    };
    if (!(await poll()) || !(await order('table', 'drain', server, '--site', site.name)) || !(await poll('--drained'))) return;
    const units = site.units.filter((unit) => unit.server === server);
    // Manager first, as the service manager stops what needs the others before them.
    for (const unit of units.toReversed()) await site.stopUnit(unit);
    for (const unit of units) await site.startUnit(unit);
    await relaysUpAgain(stage, site, server);
    await order('table', 'undrain', server, '--site', site.name);
  }
  stage.note(`${site.name} is upgraded`);
}

async function relaysUpAgain(stage: Stage, site: LabSite, server: string): Promise<void> {
  const deadline = performance.now() + DRAINED_WITHIN_MS;
  for (;;) {
    const rows = (await site.relayStates()).filter(({ relay }) => relay === server);
    if (rows.length > 0 && rows.every(({ state }) => state === 'draining')) return;
    if (performance.now() > deadline) return stage.fail(`${site.name}: ${server} is not seen again`);
  }
}

export const SITE_SCENARIOS: readonly Scenario[] = [killed, cut, zone, upgraded];
