import { setTimeout as sleep } from 'node:timers/promises';
import { sitesOf } from './ledger.ts';
import type { Lab } from './lab.ts';
import type { AgentSession, LabOffice } from './office.ts';
import type { LabSite } from './site.ts';

/** Something that was waited for, and how long it took since the last fault; or a fact. */
export interface Observation {
  readonly what: string;
  /** Only of what was waited for. */
  readonly afterMs?: number;
}

export interface StageInit {
  /** Shorter waits, for trying things out. */
  readonly quick: boolean;
  readonly say: (text: string) => void;
}

const POLL_MS = 200;
const QUICK = 0.4;

/** What a scenario acts on: the lab, the clock since its fault, and what it finds. */
export class Stage {
  readonly lab: Lab;
  readonly quick: boolean;
  readonly observations: Observation[] = [];
  readonly problems: string[] = [];
  /** Of the first fault, Unix time in ms. */
  faultAt: number | undefined;
  readonly #say: (text: string) => void;
  #clockMs = performance.now();

  constructor(components: { lab: Lab }, init: StageInit) {
    this.lab = components.lab;
    this.quick = init.quick;
    this.#say = init.say;
  }

  /** Says what goes wrong now, or is put right; times count from here. */
  now(what: string): void {
    this.faultAt ??= Date.now();
    this.#clockMs = performance.now();
    this.#say(what);
  }

  /** Lets traffic flow for so long, less with `--quick`. */
  async flow(ms: number): Promise<void> {
    await sleep(this.quick ? Math.min(ms, Math.max(1000, ms * QUICK)) : ms);
  }

  /** Waits until something is so, and notes after how long; a problem when it is not in time. */
  async until(what: string, withinMs: number, isSo: () => boolean | Promise<boolean>): Promise<boolean> {
    for (;;) {
      const afterMs = Math.round(performance.now() - this.#clockMs);
      if (await isSo()) {
        this.observations.push({ what, afterMs });
        this.#say(`  ${what}: after ${(afterMs / 1000).toFixed(1)} s`);
        return true;
      }
      if (afterMs > withinMs) {
        this.fail(`not within ${withinMs / 1000} s: ${what}`);
        return false;
      }
      await sleep(POLL_MS);
    }
  }

  /** A fact for the report. */
  note(what: string): void {
    this.observations.push({ what });
    this.#say(`  ${what}`);
  }

  fail(problem: string): void {
    this.problems.push(problem);
    this.#say(`  PROBLEM: ${problem}`);
  }

  expect(isSo: boolean, problem: string): void {
    if (!isSo) this.fail(problem);
  }

  /** Sessions that ended since a time, of all offices or one. */
  sessionsSince(time: number, office?: LabOffice): AgentSession[] {
    return (office === undefined ? this.lab.offices : [office]).flatMap((one) => one.sessionsSince(time));
  }

  /** How many of them went through each site, or `direct`. */
  sitesSince(time: number, office?: LabOffice): Record<string, number> {
    return sitesOf(this.sessionsSince(time, office));
  }

  /** The site that an office's mail goes through. @throws when it goes directly */
  siteOf(office: LabOffice | undefined = this.lab.offices[0]): LabSite {
    const session = office?.lastSession();
    if (session?.site === undefined) throw new Error(`the mail of ${office?.name ?? 'no office'} goes ${session?.route ?? 'nowhere'}`);
    return this.lab.site(session.site);
  }

  /** Waits until the clients of every office have had a new connection relayed through a site that is none of these, since now. */
  async relayedElsewhere(than: readonly LabSite[], withinMs: number, what = 'every office is relayed through another site'): Promise<boolean> {
    const since = Date.now();
    const away = new Set(than.map(({ name }) => name));
    return this.until(what, withinMs, () =>
      this.lab.offices.every((office) => {
        const last = office.sessionsSince(since).findLast(({ route }) => route !== 'none');
        return last?.route === 'relayed' && !away.has(last.site ?? '');
      }),
    );
  }

  /** Waits until all relays of all sites are up and every office is relayed. */
  async allWell(withinMs = 60_000): Promise<boolean> {
    let troubles: string[] = [];
    const well = await this.until('all is well', withinMs, async () => {
      troubles = await this.lab.troubles();
      return troubles.length === 0;
    });
    for (const trouble of well ? [] : troubles) this.fail(trouble);
    return well;
  }
}
