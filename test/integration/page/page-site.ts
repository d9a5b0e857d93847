import type { PageSettings } from '../../../packages/manager/src/page/settings.ts';
import { digestOf } from '../../../packages/manager/src/page/sign-ins.ts';
import type { ManagerSettings } from '@sekisho/manager';
import type { RelayReport } from '@sekisho/wire';
import { IDLE_REPORT, MiniSite } from '../control-plane/mini-site.ts';

export const TOKEN = 'a-token-that-only-these-tests-know-of';

export interface PageSiteInit {
  readonly relays: number;
  readonly page?: Partial<PageSettings>;
  readonly manager?: Partial<ManagerSettings>;
}

/** A site on loopback whose manager serves its status page; relays say what they are told to say. */
export class PageSite {
  readonly site: MiniSite;
  readonly url: string;

  private constructor(site: MiniSite) {
    this.site = site;
    this.url = `http://127.0.0.1:${site.manager?.pagePort}/`;
  }

  static async start({ relays, page = {}, manager = {} }: PageSiteInit): Promise<PageSite> {
    const site = await MiniSite.make();
    await site.startAuth();
    await site.startAuth();
    await site.startRelays(relays);
    await site.startManager({
      page: { host: '127.0.0.1', port: 0, hosts: [], tokenDigest: digestOf(TOKEN), ...page },
      ...manager,
    });
    return new PageSite(site);
  }

  /** What a relay says of itself from now on. */
  say(relay: string, report: Partial<RelayReport>): void {
    const one = this.site.relays.find(({ name }) => name === relay);
    if (one === undefined) throw new Error(`there is no relay ${relay}`);
    one.report = { ...IDLE_REPORT, ...report };
  }

  close(): Promise<void> {
    return this.site.close();
  }
}
