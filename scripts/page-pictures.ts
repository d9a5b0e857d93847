// Makes the pictures of the status page for docs/pictures: a site with an hour of history, well and in trouble.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RelayReport } from '@sekisho/wire';
import type { Page } from 'playwright-core';
import { PageSite, TOKEN } from '../test/integration/page/page-site.ts';
import { Browser } from '../test/kit/browser.ts';

// Into another directory all of them, to be looked at.
const isForDocuments = process.argv[2] === undefined;
const directory = process.argv[2] ?? join(import.meta.dirname, '../docs/pictures');
const RELAYS = 5;
const STEP_MS = 20;
const STEPS = 320;

mkdirSync(directory, { recursive: true });
const site = await PageSite.start({
  relays: RELAYS,
  page: { historyStepMs: STEP_MS },
  manager: { probeIntervalMs: 20, table: { entries: Array.from({ length: RELAYS }, (_, index) => `s${index + 1}`), scheduler: { slowStartMs: 500 } } },
});

// The tide goes on while the pictures are taken.
const troubles = new Map<string, Partial<RelayReport>>();
let step = 0;
const tide = setInterval(() => {
  step += 1;
  for (let relay = 1; relay <= RELAYS; relay += 1) site.say(`s${relay}`, { ...usual(relay, step), ...troubles.get(`s${relay}`) });
}, STEP_MS);

try {
  await sleep(STEPS * STEP_MS);
  await take('status-page-well', { colorScheme: 'light' });
  await trouble();
  await take('status-page-trouble', { colorScheme: 'dark', signIn: true });
  if (!isForDocuments) {
    await take('status-page-light', { colorScheme: 'light', signIn: true });
    await take('status-page-phone', { colorScheme: 'dark', width: 390, height: 1500 });
    await takeDialogs();
  }
} finally {
  clearInterval(tide);
  await site.close();
}

function usual(relay: number, step: number): RelayReport {
  const level = 0.55 + 0.25 * Math.sin(step / 60 + relay / 5) + 0.03 * Math.sin(step * relay) + 0.06 * Math.sin(step / 9 + relay);
  return {
    loadPerCoreMilli: Math.round(1100 * level),
    hottestCoreMilli: Math.round(620 * level),
    loopDelayUs: Math.round(9000 * level),
    sessions: Math.round(900 * level),
    maxSessions: 4000,
    devices: 160,
    bytesPerSecond: Math.round(41e6 * level * (1 + 0.2 * Math.sin(step / 3))),
    bytesPerSecondLimit: 125_000_000,
    draining: 0,
    inspection: { scanners: 2, scannersUp: 2, clean: 48_000 + 900 * relay + step, infected: 3 + relay, unscannable: relay === 2 ? 4 : 0, uninspected: 5100 },
  };
}

async function trouble(): Promise<void> {
  const { inspection } = usual(3, step);
  troubles.set('s2', { bytesPerSecond: 140_000_000 });
  if (inspection !== undefined) troubles.set('s3', { inspection: { ...inspection, scannersUp: 1, why: 'unix:/run/clamav/clamd-2.ctl: connection refused' } });
  site.site.relays[3]?.close();
  await sleep(700);
  troubles.set('s5', { sessions: 4000 });
  await site.site.auths[1]?.close();
}

interface Shot {
  readonly colorScheme: 'dark' | 'light';
  readonly width?: number;
  readonly height?: number;
  readonly signIn?: boolean;
}

async function take(name: string, shot: Shot): Promise<void> {
  await withPage(shot, (page) => save(page, name));
}

/** A dialog, and a manager that is silent. */
async function takeDialogs(): Promise<void> {
  await withPage({ colorScheme: 'light', signIn: true }, async (page) => {
    for (const relay of ['s1', 's2', 's3']) {
      await page.click(`#relay-${relay} [data-do=drain]`);
      await page.click('#order .go');
      await sleep(500);
    }
    await save(page, 'status-page-last-relay');
    await page.keyboard.press('Escape');
    clearInterval(tide);
    await site.close();
    await sleep(6500);
    await save(page, 'status-page-silent');
  });
}

async function withPage({ signIn = false, ...init }: Shot, work: (page: Page) => Promise<void>): Promise<void> {
  const browser = await Browser.start({ width: 1280, height: 640, ...init });
  try {
    const page = await browser.open(site.url);
    if (signIn) {
      await page.click('[data-do=sign-in]');
      await page.fill('#sign-in input', TOKEN);
      await page.click('#sign-in .go');
      await page.waitForSelector('[data-do=sign-out]');
      await page.evaluate("document.getElementById('said').hidden = true");
    }
    await page.waitForSelector('.spark canvas');
    await sleep(400);
    await work(page);
    for (const complaint of browser.complaints) console.log(`the browser complains: ${complaint}`);
  } finally {
    await browser.stop();
  }
}

async function save(page: Page, name: string): Promise<void> {
  const file = join(directory, `${name}.png`);
  await page.screenshot({ path: file });
  console.log(file);
}
