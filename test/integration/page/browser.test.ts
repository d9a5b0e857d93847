import { setTimeout as sleep } from 'node:timers/promises';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Browser } from '../../kit/browser.ts';
import { PageSite, TOKEN } from './page-site.ts';

/** The status page in a browser, against a manager with the intervals of site.yaml's defaults: what an operator sees, and when. */

const VISIBLE_WITHIN_MS = 10_000;
const INSPECTION = { scanners: 2, scannersUp: 2, clean: 41, infected: 1, unscannable: 0, uninspected: 3 };
const HOSTILE = '<img src=x onerror=document.title="owned">';

let site: PageSite;
let browser: Browser;
let page: Page;

beforeAll(async () => {
  site = await PageSite.start({
    relays: 3,
    report: { sessions: 12, inspection: INSPECTION },
    page: { historyStepMs: 200 },
    manager: { probeIntervalMs: 1000, probeTimeoutMs: 1000 },
  });
  browser = await Browser.start({ colorScheme: 'light' });
  page = await browser.open(site.url);
});

afterAll(async () => {
  await browser?.stop();
  await site?.close();
});

const state = (relay: string) => page.locator(`#relay-${relay} .badge`);
const subject = (name: string) => page.locator('.subject', { hasText: name });
const order = async () => page.locator('tr.relay').evaluateAll((rows) => rows.map(({ id }) => id.slice('relay-'.length)));
const background = () => page.evaluate<string>('getComputedStyle(document.body).backgroundColor');

/** waitForFunction() would evaluate a text in the page, which its content security policy forbids. */
async function waitFor(expression: string): Promise<void> {
  const untilMs = performance.now() + VISIBLE_WITHIN_MS;
  while ((await page.evaluate(expression)) !== true) {
    if (performance.now() > untilMs) throw new Error(`not within ${VISIBLE_WITHIN_MS} ms: ${expression}`);
    await sleep(50);
  }
}

const waitForState = (relay: string, word: string) => waitFor(`document.querySelector('#relay-${relay} .badge')?.textContent.includes('${word}')`);

test('a site that is well: every relay is up, with what it carries and its last hour', async () => {
  await page.waitForSelector('#relay-s3 .spark canvas');
  expect(await order()).toEqual(['s1', 's2', 's3']);
  expect((await state('s1').textContent())?.endsWith('UP')).toBe(true);
  await waitFor(`document.querySelector('#relay-s1 td.sessions').textContent === '12/1\u2009000'`);
  expect(await page.locator('#relay-s1 td.clean').textContent()).toBe('41');
  // What is drawn, and what somebody is reading, is not replaced when the page is renewed.
  await page.evaluate("document.querySelector('#relay-s1').mine = document.querySelector('#relay-s1 .spark canvas').mine = true");
});

test('what fails is seen within ten seconds without loading the page again, the worst first', async () => {
  const failedAt = performance.now();
  site.say('s1', { sessions: 12, inspection: { ...INSPECTION, scannersUp: 1, why: HOSTILE } });
  site.say('s2', { sessions: 1000, inspection: INSPECTION });
  site.site.relays[2]?.close();
  site.fellow.close();
  await site.site.auths[1]?.close();
  await Promise.all([
    waitForState('s3', 'DOWN'),
    waitForState('s2', 'FULL'),
    waitFor("document.querySelector('#relay-s1 .scanners').textContent.includes('1/2 LOST')"),
    waitFor("document.querySelectorAll('.subject.lost').length === 4"),
  ]);
  expect(performance.now() - failedAt).toBeLessThan(VISIBLE_WITHIN_MS);
  expect(await order()).toEqual(['s3', 's2', 's1']);
  for (const [name, value] of [['Relays', '1 of 3 up'], ['Managers', '1 of 2 up'], ['Scanners', 'of 6 up'], ['Auths', '1 of 2 up']] as const)
    expect(await subject(name).textContent()).toMatch(new RegExp(`LOST.*${value}`, 'u'));
  expect(await page.locator('#why-s3 .next').textContent()).toMatch(/does the relay run/u);
  expect(await page.title()).toBe('(4) tokyo-1 s1 - sekisho');
  expect(await page.evaluate("document.querySelector('#relay-s1').mine && document.querySelector('#relay-s1 .spark canvas').mine")).toBe(true);
});

test('a text of a relay is text, whatever it looks like', async () => {
  expect(await page.locator('#why-s1').textContent()).toContain(HOSTILE);
  expect(await page.locator('img').count()).toBe(0);
});

test('with the token, and for the last relay with the name of the site, it is drained by its button', async () => {
  expect(await page.locator('[data-do=drain]').count()).toBe(0);
  await page.click('[data-do=sign-in]');
  await page.fill('#sign-in input', 'a wrong one');
  await page.click('#sign-in .go');
  await waitFor("document.querySelector('#sign-in .refusal').textContent.includes('not the token')");
  await page.fill('#sign-in input', TOKEN);
  await page.click('#sign-in .go');
  await page.click('#relay-s1 [data-do=drain]');
  expect(await page.locator('#order h2').textContent()).toBe('drain s1 of tokyo-1');
  await page.click('#order .go');
  await waitFor("document.querySelector('#order .refusal').textContent.includes('last relay')");
  expect((await state('s1').textContent())?.endsWith('UP')).toBe(true);
  await page.fill('#order [name=confirm]', 'tokyo-1');
  await page.click('#order .go');
  await waitForState('s1', 'DRAIN');
  expect(site.site.manager?.status().table.relays[0]?.override).toMatchObject({ drain: true, by: 'page 127.0.0.1' });
  await page.click('#relay-s1 [data-do=undrain]');
  await page.click('#order .go');
  await waitForState('s1', 'UP');
  await page.click('#relay-s1 [data-do=weight]');
  await page.fill('#order [name=weight]', '3');
  await page.click('#order .go');
  await waitFor("document.querySelector('#relay-s1 td.weight').textContent.startsWith('3 (1)')");
});

test('dark and light, as the system has it and as the visitor wants it', async () => {
  const light = await background();
  await page.emulateMedia({ colorScheme: 'dark' });
  const dark = await background();
  expect(dark).not.toBe(light);
  for (const wanted of [dark, light, dark]) {
    await page.click('[data-do=theme]');
    expect(await background()).toBe(wanted);
  }
});

test('on a telephone nothing is wider than it', async () => {
  await page.setViewportSize({ width: 390, height: 800 });
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390);
  await page.setViewportSize({ width: 1360, height: 900 });
});

test('the table needs no script', async () => {
  const plain = await browser.open(site.url, { scripts: false });
  expect(await plain.locator('tr.relay .badge').allTextContents()).toEqual(['✕DOWN', '■FULL', '●UP']);
  expect(await plain.locator('header [data-do=theme]').isVisible()).toBe(false);
  await plain.close();
});

test('the browser has complained of nothing but the token that was wrong and the drain that was refused', () => {
  expect(browser.complaints.map((text) => /status of (\d+)/u.exec(text)?.[1] ?? text)).toEqual(['403', '409']);
});

test('a manager that is silent is said to be, in large letters, with the age of what is shown', async () => {
  await site.site.manager?.close();
  await waitFor("document.querySelector('#silent b')?.textContent.includes('HAS NOT ANSWERED FOR')");
  expect(await page.locator('#silent span').textContent()).toMatch(/from \d\d:\d\d:\d\d UTC/u);
  expect(await page.locator('#silent b').evaluate((big) => big.getBoundingClientRect().height)).toBeGreaterThan(30);
});
