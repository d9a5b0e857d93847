import { describe, expect, test } from 'vitest';
import { type PageInput, renderPage, type Rights } from './render.ts';
import type { ShownStatus } from './shown-status.ts';
import { shownRelay, shownStatus } from './testing/shown-site.ts';

const AT = Date.UTC(2026, 10, 21, 3, 4, 5);
const render = (status: ShownStatus, changes: Partial<PageInput> = {}): string =>
  renderPage({ status, rights: 'none', at: AT, nowMs: 130_000, rateOf: () => 3_400_000, ...changes });

/** Elements and their attributes, as a browser would find them. */
const tags = (page: string): string[] => [...page.matchAll(/<[a-z!][^>]*>/giu)].map(([tag]) => tag);

test('a relay has one row with everything, and needs no script for it', () => {
  const page = render(shownStatus());
  const [row = ''] = /<tr id="relay-s2"[\s\S]*?<\/tr>/u.exec(page) ?? [];
  const text = row.replaceAll(/<[^>]*>/gu, ' ').replaceAll(/\s+/gu, ' ');
  expect(text.trim()).toBe('s2 192.0.2.12 ● UP 2 min 40 % hot core 1\u2009200 /4\u2009000 3.4 MB/s 50 % 1 2/2 1\u2009000 3 1'.replaceAll('\u2009', ' '));
  expect(row).toContain('title="cpu 20 %, hot core 40 %, loop 1 %, line 10 %, full 30 %"');
  expect(page).toContain('All is well.');
  expect(page).toContain('<title>tokyo-1 s1 - sekisho</title>');
  expect(page).toContain('<noscript><meta http-equiv="refresh" content="5"></noscript>');
});

test('what is not up comes first, with word and sign, why, and what to do', () => {
  const page = render(shownStatus({}, [shownRelay(), shownRelay({ name: 's2', state: 'down', reason: 'ECONNREFUSED', sessions: null, maxSessions: null, load: null, score: null, inspection: null })]));
  expect([...page.matchAll(/<tr id="([\w-]+)"/gu)].map(([, id]) => id)).toEqual(['relay-s2', 'why-s2', 'relay-s1']);
  expect(page).toContain('<span class="badge down"><i aria-hidden="true">✕</i>DOWN</span>');
  expect(page).toMatch(/<tr id="why-s2"[^>]*><td[^>]*>ECONNREFUSED <span class="next">On 192\.0\.2\.11/u);
  expect(page).toContain('<title>(1) tokyo-1 s1 - sekisho</title>');
  expect(page).toContain('Mail flows, and redundancy is lost');
});

test('an order stands beside its relay, with who gave it', () => {
  const override = { drain: false, weight: 3, by: 'page 127.0.0.1', at: AT };
  const page = render(shownStatus({}, [shownRelay({ weight: { configured: 1, override: 3, effective: 0.6 }, override })]));
  expect(page).toContain('3 <span class="dim">(1)</span><span class="dim">at 20 %</span>');
  expect(page).toContain('ordered by page 127.0.0.1 at 03:04:05 UTC');
});

test('panic is a banner, and mail is affected', () => {
  const status = shownStatus();
  const page = render({ ...status, table: { ...status.table, panic: true } });
  expect(page).toContain('<b>PANIC</b>');
  expect(page).toContain('Mail is affected.');
  expect(render(status)).not.toContain('PANIC');
});

test('the newest events are first, twenty of them', () => {
  const events = Array.from({ length: 30 }, (_, index) => ({ at: AT + index * 1000, event: 'relay_lost', text: `number ${index}` }));
  const page = render(shownStatus({ events }));
  expect([...page.matchAll(/number (\d+)/gu)].map(([, number]) => Number(number))).toEqual(Array.from({ length: 20 }, (_, index) => 29 - index));
});

test('buttons are for those who may give orders', () => {
  const has = (rights: Rights) => {
    const page = render(shownStatus(), { rights });
    return ['data-do="drain"', 'data-do="weight"', 'data-do="sign-in"', 'data-do="sign-out"', 'read-only'].map((text) => page.includes(text));
  };
  expect(has('none')).toEqual([false, false, false, false, true]);
  expect(has('plain')).toEqual([false, false, false, false, true]);
  expect(has('visitor')).toEqual([false, false, true, false, false]);
  expect(has('operator')).toEqual([true, true, false, true, false]);
  const drained = shownRelay({ override: { drain: true, weight: null, by: 'ann', at: AT }, state: 'draining' });
  expect(render(shownStatus({}, [drained]), { rights: 'operator' })).toContain('data-do="undrain" data-relay="s1"');
});

describe('nothing that is displayed becomes part of the page', () => {
  const CORPUS = [
    '<script>alert(1)</script>',
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    '</title><svg onload=alert(1)>',
    '<!-- --!><iframe srcdoc="<b>x">',
    '&lt;script&gt;alert(1)&lt;/script&gt;',
    '</textarea></noscript></style><a href="javascript:alert(1)">',
    '{{7*7}}${7*7}<%= 7 %>',
    '\u202e<\u0000b>\u2028',
  ];
  const everywhere = (text: string): ShownStatus => {
    const server = { name: text, lostAt: 5, reason: text, software: text, config: text, clockOffsetMs: 99_000 };
    const relay = shownRelay({
      name: text,
      state: 'down',
      reason: text,
      host: text,
      config: text,
      software: text,
      clockOffsetMs: 99_000,
      override: { drain: true, weight: null, by: text, at: AT },
      inspection: { scanners: 2, scannersUp: 1, clean: 0, infected: 0, unscannable: 0, uninspected: 0, why: text },
    });
    return {
      ...shownStatus({}, [relay, { ...relay, state: 'up' }]),
      site: text,
      name: text,
      address: text,
      managers: [server],
      auths: [{ ...server, up: false }],
      store: { up: false, reason: text },
      table: { policy: text, panic: true, relays: [relay, { ...relay, state: 'up' }] },
      events: [{ at: AT, event: text, text }],
    };
  };
  const harmless = tags(render(everywhere('zqz'), { rights: 'operator' }));

  test.each(CORPUS)('%s', (text) => {
    const page = render(everywhere(text), { rights: 'operator' });
    const escaped = /<h1>([^<]+)<\/h1>/u.exec(page)?.[1] ?? '';
    expect(escaped).not.toBe('');
    // The same elements with the same attributes as with a harmless name in every place.
    expect(tags(page).map((tag) => tag.replaceAll(escaped, 'zqz'))).toEqual(harmless);
    expect(page).not.toContain(text);
  });
});
