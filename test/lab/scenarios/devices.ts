import { join } from 'node:path';
import { counted } from '../report.ts';
import type { Scenario } from '../scenario.ts';
import type { Stage } from '../stage.ts';
import type { Attempt } from '../traffic/events.ts';
import type { LabOffice } from '../office.ts';

/** Devices: one MAC address in two places, one that is disabled. */

const ONE_MAIL = join(import.meta.dirname, '../traffic/one-mail.ts');
const PORT = 2525;
const DISABLED_MAC = '02:00:5e:15:00:77';
/** auth.ticketTtl of the lab and a minute, as docs/operations.md says. */
const LOCKED_OUT_WITHIN_MS = 120_000;

const devices: Scenario = {
  number: 14,
  name: 'two devices with the same MAC; a disabled device',
  async run(stage) {
    const { lab } = stage;
    const [first, second] = lab.offices;
    if (first === undefined || second === undefined) throw new Error('this needs two offices');
    stage.now(`a second device has the MAC of ${first.name}, and a certificate of its own`);
    const double = await second.startExtraAgent({ mac: first.plan.mac, port: PORT, name: 'double', how: 'renew', operator: join(lab.directory, 'operator') });
    const since = Date.now();
    const sent = await sendThrough(stage, second, 5);
    stage.expect(sent.every(({ outcome }) => outcome === 'accepted'), `the second device got ${sent.map(({ outcome, reply }) => `${outcome} ${reply}`).join('; ')}`);
    await stage.flow(15_000);
    stage.note(`sessions of ${first.name} meanwhile: ${counted(stage.sitesSince(since, first))}`);
    double.kill('SIGKILL');
    await double.exited;

    const guest = await second.startExtraAgent({ mac: DISABLED_MAC, port: PORT, name: 'guest', how: 'enroll', operator: join(lab.directory, 'operator') });
    const [before] = await sendThrough(stage, second, 1);
    stage.expect(before?.outcome === 'accepted', `before it is disabled a device gets ${before?.reply}`);
    stage.now('a device is disabled at every site');
    for (const site of lab.sites) {
      const { code, output } = await site.run('device', 'disable', DISABLED_MAC);
      if (code !== 0) stage.fail(`device disable at ${site.name}: ${output}`);
    }
    let answer: Attempt | undefined;
    await stage.until('its clients are told no', LOCKED_OUT_WITHIN_MS, async () => {
      [answer] = await sendThrough(stage, second, 1);
      return answer?.outcome === 'later' || answer?.outcome === 'refused';
    });
    stage.note(`they hear: ${answer?.reply}`);
    guest.kill('SIGKILL');
    await guest.exited;
  },
};

let mails = 0;

/** Mails that are no part of the ledger's counts: each is told by what its client saw. */
async function sendThrough(stage: Stage, office: LabOffice, count: number): Promise<Attempt[]> {
  const attempts: Attempt[] = [];
  for (let index = 0; index < count; index += 1) {
    mails += 1;
    const args = [ONE_MAIL, office.plan.lan.router, String(PORT), String(900_000_000 + mails), stage.lab.mail.recipient];
    const { stdout } = await office.lan.run(process.execPath, args);
    const attempt = JSON.parse(stdout.toString()) as Attempt;
    attempts.push(attempt);
    // They go to the same mailbox: the ledger must know of them, and a refusal is what was asked for.
    if (attempt.outcome !== 'accepted') continue;
    stage.lab.ledger.record({ report: 'sent', id: attempt.id ?? '', hash: attempt.hash ?? '', infected: false });
    stage.lab.ledger.record({ report: 'attempt', attempt });
  }
  return attempts;
}

export const DEVICE_SCENARIOS: readonly Scenario[] = [devices];
