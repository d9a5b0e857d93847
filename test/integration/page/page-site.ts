import type { PageSettings } from '../../../packages/manager/src/page/settings.ts';
import { digestOf } from '../../../packages/manager/src/page/sign-ins.ts';
import type { ManagerSettings } from '@sekisho/manager';
import type { RelayReport } from '@sekisho/wire';
import { FakeRelay, IDLE_REPORT, MiniSite } from '../control-plane/mini-site.ts';

export const TOKEN = 'a-token-that-only-these-tests-know-of';

export interface PageSiteInit {
  readonly relays: number;
  /** What all relays say of themselves from the start. */
  readonly report?: Partial<RelayReport>;
  readonly page?: Partial<PageSettings>;
  readonly manager?: Partial<ManagerSettings>;
}

/** A site on loopback whose manager serves its status page; relays say what they are told to say. */
export class PageSite {
  readonly site: MiniSite;
  /** What answers as the second manager of the site would. */
  readonly fellow: FakeRelay;
  readonly url: string;

  private constructor(site: MiniSite, fellow: FakeRelay) {
    this.site = site;
    this.fellow = fellow;
    this.url = `http://127.0.0.1:${site.manager?.pagePort}/`;
  }

  static async start({ relays, report = {}, page = {}, manager = {} }: PageSiteInit): Promise<PageSite> {
    const site = await MiniSite.make();
    await site.startAuth();
    await site.startAuth();
    await site.startRelays(relays);
    for (const relay of site.relays) relay.report = { ...IDLE_REPORT, ...report };
    const fellow = new FakeRelay({ name: 's2', credentials: site.credentials('manager') });
    await fellow.listen();
    await site.startManager({
      fellows: [{ name: 's2', host: '127.0.0.1', port: fellow.port }],
      page: { host: '127.0.0.1', port: 0, hosts: [], tokenDigest: digestOf(TOKEN), ...page },
      ...manager,
    });
    return new PageSite(site, fellow);
  }

  /** What a relay says of itself from now on. */
  say(relay: string, report: Partial<RelayReport>): void {
    const one = this.site.relays.find(({ name }) => name === relay);
    if (one === undefined) throw new Error(`there is no relay ${relay}`);
    one.report = { ...IDLE_REPORT, ...report };
  }

  async close(): Promise<void> {
    this.fellow.close();
    await this.site.close();
  }
}
