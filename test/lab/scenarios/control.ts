import { join } from 'node:path';
import { IMPOSTOR } from '../addresses.ts';
import { counted } from '../report.ts';
import { directAllowed, type Scenario } from '../scenario.ts';

/** What decides how mail goes: managers, DNS, stores, clocks. */

const SHIFT_MS = 600_000;
const IMPOSTOR_PROGRAM = join(import.meta.dirname, '../impostor.ts');
const SHIFTED_CLOCK = join(import.meta.dirname, '../shifted-clock.ts');
/** A lease in the lab lasts half a minute. */
const LEASES_END_MS = 60_000;
/** Longer than a lease of the lab. */
const POISONED_MS = 45_000;

const managersSilent: Scenario = {
  number: 7,
  name: 'all managers silent: direct, and back',
  async run(stage) {
    const { lab } = stage;
    stage.now('all managers of all sites stop dead (SIGSTOP)');
    for (const site of lab.sites) site.pause(site.managers);
    const since = Date.now();
    await stage.until('the leases have ended: every office goes directly', LEASES_END_MS, () =>
      lab.offices.every((office) => office.lastSession()?.route === 'direct'),
    );
    const { direct = 0, none = 0, ...relayed } = stage.sitesSince(since);
    stage.note(`until then ${Object.values(relayed).reduce((sum, count) => sum + count, 0)} sessions were relayed by the leases, ${direct} went directly, ${none} nowhere`);
    await stage.flow(5000);
    stage.now('the managers go on');
    for (const site of lab.sites) site.resume(site.managers);
    await stage.relayedElsewhere([], 60_000, 'every office is relayed again');
  },
  judge: directAllowed,
};

const dns: Scenario = {
  number: 8,
  name: 'DNS dead; DNS answering with a poisoned address',
  async run(stage) {
    const { lab } = stage;
    stage.now('DNS does not answer');
    lab.dns.pause();
    await stage.flow(15_000);
    stage.note(`sessions meanwhile: ${counted(stage.sitesSince(stage.faultAt ?? 0))}`);
    lab.dns.resume();
    const line = await lab.impostorLine();
    const impostor = await line.namespace.start({ command: process.execPath, args: [IMPOSTOR_PROGRAM] });
    await impostor.waitForOutput(/listening at 7026/u);
    stage.now('a poisoned address among the good ones');
    await lab.publish(lab.sites, [IMPOSTOR.address]);
    await stage.flow(12_000);
    stage.now('only the poisoned address is left');
    await lab.publish([], [IMPOSTOR.address]);
    // The managers in use are kept, since nobody of the zone gives a lease.
    await stage.flow(POISONED_MS);
    stage.note(`sessions meanwhile: ${counted(stage.sitesSince(stage.faultAt ?? 0))}`);
    const heard = JSON.parse(impostor.stdout.toString().trim().split('\n').at(-1)?.replace(/^listening.*/u, '{}') ?? '{}') as { connections?: number; bytes?: number };
    stage.note(`the impostor had ${heard.connections ?? 0} connections and heard ${heard.bytes ?? 0} bytes`);
    stage.expect((heard.connections ?? 0) > 0, 'nobody came to the impostor: this has shown nothing');
    stage.expect((heard.bytes ?? 0) === 0, `the impostor heard ${heard.bytes} bytes`);
    stage.now('the zone is right again');
    await lab.publish(lab.sites);
    await impostor.stop();
    await stage.relayedElsewhere([], 60_000, 'every office is relayed again');
  },
};

const redis: Scenario = {
  number: 11,
  name: 'Redis of a site stopped, paused, flushed',
  async run(stage) {
    const site = stage.siteOf();
    stage.now(`${site.name}: Redis is killed`);
    await site.redis.kill();
    await stage.flow(20_000);
    await site.redis.restart();
    await stage.flow(5000);
    stage.now(`${site.name}: Redis stops dead`);
    site.redis.pause();
    await stage.flow(20_000);
    site.redis.resume();
    await stage.flow(5000);
    stage.now(`${site.name}: Redis is flushed`);
    await site.redis.flush();
    await stage.flow(10_000);
    stage.note(`its sessions meanwhile: ${stage.sitesSince(stage.faultAt ?? 0)[site.name] ?? 0}`);
  },
};

const clock: Scenario = {
  number: 12,
  name: 'a clock 10 minutes off on one site',
  async run(stage) {
    const { lab } = stage;
    const site = stage.siteOf();
    for (const [how, shiftMs] of [
      ['ahead', SHIFT_MS],
      ['behind', -SHIFT_MS],
    ] as const) {
      stage.now(`${site.name}: all of it starts again with its clock 10 minutes ${how}`);
      await site.restart(site.units, { NODE_OPTIONS: `--import=${SHIFTED_CLOCK}`, LAB_CLOCK_SHIFT_MS: String(shiftMs) });
      await stage.flow(5000);
      // The others would carry everything: agents stay where they are well.
      stage.now(`${site.name} is the only one in the zone`);
      await lab.publish([site]);
      await stage.relayedElsewhere(lab.sites.filter((one) => one !== site), 30_000, `every office is relayed by the site whose clock is ${how}`);
      const since = Date.now();
      await stage.flow(15_000);
      stage.note(`sessions meanwhile: ${counted(stage.sitesSince(since))}`);
      await lab.publish(lab.sites);
      await stage.flow(8000);
    }
    stage.now(`${site.name}: its clock is right`);
    await site.restart(site.units, {});
  },
};

export const CONTROL_SCENARIOS: readonly Scenario[] = [managersSilent, dns, redis, clock];
