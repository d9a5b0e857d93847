import { counted } from '../report.ts';
import { directAllowed, type Scenario } from '../scenario.ts';
import { RandomKiller } from '../random-killer.ts';

/** Single parts: relays, scanners, any process. */

const relays: Scenario = {
  number: 9,
  name: 'relays killed one after the other, the last one overloaded',
  async run(stage) {
    const { lab } = stage;
    const site = stage.siteOf();
    const last = site.unit('s5', 'relay');
    // What every line carries is more, so this one is at its limit with the first mail.
    await site.restart([last], { SEKISHO__relay__bytesPerSecondLimit: '2KB' });
    stage.now('one relay after the other is killed, at every site');
    for (const one of lab.sites)
      for (const unit of one.relays) {
        if (unit === last) continue;
        await one.killUnit(unit);
        await stage.flow(1000);
      }
    stage.now(`only ${site.name} s5 is left, and its line is at its limit`);
    const since = Date.now();
    await stage.until('every office is relayed by the last relay', 30_000, () =>
      lab.offices.every((office) => office.sessionsSince(since).some(({ route, relay }) => route === 'relayed' && relay === 's5')),
    );
    await stage.flow(10_000);
    const tables = await site.tables();
    stage.note(`its managers say it is ${tables.map(({ table }) => table?.relays.find(({ name }) => name === 's5')?.state).join(', ')}; panic: ${tables.map(({ table }) => table?.panic).join(', ')}`);
    const before = stage.sitesSince(since);
    stage.expect((before['direct'] ?? 0) === 0, `${before['direct']} connections went directly while a relay was there`);
    stage.now('the last relay is killed');
    await site.killUnit(last);
    await stage.until('every office goes directly', 30_000, () => lab.offices.every((office) => office.lastSession()?.route === 'direct'));
    await stage.flow(3000);
    last.env = {};
    stage.now('all relays are started again');
    await Promise.all(lab.sites.map((one) => one.start()));
    await stage.relayedElsewhere([], 60_000, 'every office is relayed again');
  },
  judge: directAllowed,
};

const scanners: Scenario = {
  number: 10,
  name: 'one clamd of each pair killed; both of one site killed',
  async run(stage) {
    const { lab } = stage;
    stage.now('the first clamd of every site is killed');
    await Promise.all(lab.sites.flatMap((site) => site.scanners.slice(0, 1)).map((scanner) => scanner.kill()));
    await stage.flow(20_000);
    const deferred = lab.ledger.attemptsSince(stage.faultAt ?? 0).filter(({ outcome }) => outcome === 'later').length;
    stage.note(`${deferred} mails were deferred meanwhile`);
    await Promise.all(lab.sites.flatMap((site) => site.scanners.slice(0, 1)).map((scanner) => scanner.restart()));
    await stage.flow(5000);
    const site = stage.siteOf();
    stage.now(`both clamds of ${site.name} are killed`);
    await Promise.all(site.scanners.map((scanner) => scanner.kill()));
    const since = Date.now();
    await stage.flow(15_000);
    const later = lab.ledger.attemptsSince(since).filter(({ outcome }) => outcome === 'later').length;
    stage.note(`${later} attempts were answered 451 meanwhile; sessions: ${counted(stage.sitesSince(since))}`);
    stage.now(`the clamds of ${site.name} are back`);
    await Promise.all(site.scanners.map((scanner) => scanner.restart()));
    const again = Date.now();
    await stage.until('mail is accepted again', 30_000, () => {
      const accepted = lab.ledger.attemptsSince(again).filter(({ outcome, kind }) => kind === 'submission' && outcome === 'accepted');
      return accepted.length > 0;
    });
  },
};

const EVERY_MS = 1000;
const FIVE_MINUTES_MS = 300_000;
const QUICK_MS = 30_000;

const random: Scenario = {
  number: 15,
  name: 'kill -9 of a random process every second for five minutes',
  async run(stage) {
    const killer = new RandomKiller(stage.lab.sites, { seed: 15 });
    stage.now('SIGKILL to a random process of a random site, every second');
    const until = performance.now() + (stage.quick ? QUICK_MS : FIVE_MINUTES_MS);
    while (performance.now() < until) {
      killer.killOne();
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    }
    await killer.settle();
    stage.note(`killed: ${killer.told}`);
  },
};

export const PART_SCENARIOS: readonly Scenario[] = [relays, scanners, random];
