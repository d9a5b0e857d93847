import { type BrowserContext, chromium, type Page } from 'playwright-core';
import { makeTempDir, type TempDir } from './temp-dir.ts';

const CHROMIUM = '/usr/bin/chromium';
const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export interface BrowserInit {
  readonly colorScheme?: 'dark' | 'light';
  readonly width?: number;
  readonly height?: number;
}

/** A headless Chromium with a profile of its own, that keeps what its pages complain of. */
export class Browser {
  /** Errors and warnings of the console, exceptions, refusals of the content security policy, and files that did not come. */
  readonly complaints: string[] = [];
  readonly #context: BrowserContext;
  readonly #profile: TempDir;

  private constructor(context: BrowserContext, profile: TempDir) {
    this.#context = context;
    this.#profile = profile;
  }

  static async start({ colorScheme = 'light', width = 1360, height = 900 }: BrowserInit = {}): Promise<Browser> {
    const profile = await makeTempDir('chromium');
    const context = await chromium.launchPersistentContext(profile.path, {
      executablePath: CHROMIUM,
      args: ARGUMENTS,
      headless: true,
      colorScheme,
      viewport: { width, height },
    });
    return new Browser(context, profile);
  }

  /** @param options `scripts` false: as for a visitor who has switched them off */
  async open(url: string, { scripts = true }: { readonly scripts?: boolean } = {}): Promise<Page> {
    const page = await this.#context.newPage();
    if (!scripts) await (await this.#context.newCDPSession(page)).send('Emulation.setScriptExecutionDisabled', { value: true });
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') this.complaints.push(message.text());
    });
    page.on('pageerror', (error) => this.complaints.push(String(error)));
    await page.goto(url);
    return page;
  }

  async stop(): Promise<void> {
    await this.#context.close();
    await this.#profile.remove();
  }
}
