// Makes the pictures of the status page for docs/pictures: a site with an hour of history, well and in trouble.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RelayReport } from '@sekisho/wire';
import { PageSite, TOKEN } from '../test/integration/page/page-site.ts';
import { Browser } from '../test/kit/browser.ts';
import { palettePng } from './palette-png.ts';

// Into another directory all of them, to be looked at.
const isForDocuments = process.argv[2] === undefined;
const directory = process.argv[2] ?? join(import.meta.dirname, '../docs/pictures');
const RELAYS = 5;
const STEP_MS = 15;
const STEPS = 360;

mkdirSync(directory, { recursive: true });
const site = await PageSite.start({
  relays: RELAYS,
  page: { historyStepMs: STEP_MS },
  manager: { probeIntervalMs: 15, table: { entries: Array.from({ length: RELAYS }, (_, index) => `s${index + 1}`), scheduler: { slowStartMs: 500 } } },
});

try {
  await anHour();
  await take('status-page-well', { colorScheme: 'light' });
  await trouble();
  await take('status-page-trouble', { colorScheme: 'dark', signIn: true });
  if (!isForDocuments) await take('status-page-light', { colorScheme: 'light', signIn: true });
  if (!isForDocuments) await take('status-page-phone', { colorScheme: 'dark', width: 390, height: 1500 });
} finally {
  await site.close();
}

/** Tides of sessions, a little different at each relay. */
async function anHour(): Promise<void> {
  for (let step = 0; step < STEPS; step += 2) {
    for (let relay = 1; relay <= RELAYS; relay += 1) site.say(`s${relay}`, usual(relay, step));
    await sleep(2 * STEP_MS);
  }
}

function usual(relay: number, step: number): RelayReport {
  const tide = 0.5 + 0.3 * Math.sin(step / 40 + relay / 5) + 0.08 * Math.sin(step * relay) + 0.1 * Math.sin(step / 7 + relay);
  return {
    loadPerCoreMilli: Math.round(1100 * tide),
    hottestCoreMilli: Math.round(620 * tide),
    loopDelayUs: Math.round(9000 * tide),
    sessions: Math.round(900 * tide),
    maxSessions: 4000,
    devices: 160,
    bytesPerSecond: Math.round(41e6 * tide * (1 + 0.2 * Math.sin(step / 3))),
    bytesPerSecondLimit: 125_000_000,
    draining: 0,
    inspection: { scanners: 2, scannersUp: 2, clean: 48_000 + 900 * relay + step, infected: 3 + relay, unscannable: relay === 2 ? 4 : 0, uninspected: 5100 },
  };
}

async function trouble(): Promise<void> {
  site.say('s2', { ...usual(2, 40), bytesPerSecond: 140_000_000 });
  site.say('s3', { ...usual(3, 40), inspection: { scanners: 2, scannersUp: 1, clean: 51_212, infected: 6, unscannable: 0, uninspected: 5100, why: 'unix:/run/clamav/clamd-2.ctl: connection refused' } });
  site.say('s5', { ...usual(5, 40), sessions: 4000 });
  site.site.relays[3]?.close();
  await site.site.auths[1]?.close();
  await sleep(1500);
}

async function take(name: string, { signIn = false, ...init }: { colorScheme: 'dark' | 'light'; width?: number; height?: number; signIn?: boolean }): Promise<void> {
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
    const file = join(directory, `${name}.png`);
    writeFileSync(file, palettePng(await page.screenshot()));
    console.log(`${file}: ${browser.complaints.join(' | ') || 'no complaints'}`);
  } finally {
    await browser.stop();
  }
}
