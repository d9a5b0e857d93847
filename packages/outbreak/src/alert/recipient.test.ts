import { expect, test } from 'vitest';
import { aSighting, macNumber } from '../testing/detections.ts';
import { BoardSite, HOUR_MS, START_MS } from '../testing/site.ts';
import type { Outbreak } from '../core/outbreak.ts';
import { MAX_OUTBREAKS } from '../core/board.ts';
import { composeMessage } from './news.ts';
import { claim, CLAIM_MS, dueItems, MAX_ITEMS, NEW_RECIPIENT, pruned, type Recipient, settleFailed, settleSent } from './recipient.ts';
import { decodeRecipient, encodeRecipient } from './recipient-document.ts';
import { isTold, targetsOf } from './target.ts';

function outbreaksOf(count: number, registeredContact = ''): Map<string, Outbreak> {
  const site = new BoardSite();
  for (let device = 0; device < count; device += 1) site.take(...Array.from({ length: 20 }, () => aSighting({ at: START_MS, mac: macNumber(device), registeredContact })));
  site.evaluate();
  return site.outbreaks;
}

const OUTBREAKS = outbreaksOf(2);
const init = (by: string, nowMs = START_MS) => ({ by, nowMs, maxPerHour: 3 });
const counts = (outbreaks: ReadonlyMap<string, Outbreak>) => new Map([...outbreaks].map(([name, { tally }]) => [name, tally.count]));

function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('nothing there');
  return value;
}

function sent(recipient: Recipient, nowMs: number, outbreaks: ReadonlyMap<string, Outbreak> = OUTBREAKS): Recipient {
  return settleSent(recipient, { items: must(recipient.claim ?? undefined).items, counts: counts(outbreaks), nowMs });
}

test('a message is claimed by one, and by another after its time', () => {
  const claimed = must(claim(NEW_RECIPIENT, OUTBREAKS, init('a')));
  expect(claimed.claim).toMatchObject({ by: 'a', until: START_MS + CLAIM_MS });
  expect(claimed.claim?.items).toHaveLength(2);
  expect(claim(claimed, OUTBREAKS, init('b', START_MS + CLAIM_MS - 1))).toBeUndefined();
  const taken = must(claim(claimed, OUTBREAKS, init('b', START_MS + CLAIM_MS)));
  expect(taken.claim).toMatchObject({ by: 'b', items: claimed.claim?.items });
});

test('a claim of a clock that was ahead does not hold for ever', () => {
  const claimed = must(claim(NEW_RECIPIENT, OUTBREAKS, init('a', START_MS + 24 * HOUR_MS)));
  expect(claim(claimed, OUTBREAKS, init('b'))?.claim?.by).toBe('b');
});

test('one message has one id, whoever sends it, and however late', () => {
  const later = new Map([...OUTBREAKS].map(([name, one]) => [name, { ...one, event: { ...one.event, number: 2, stage: 'digest' as const } }]));
  const more = new Map([...outbreaksOf(3), ...later]);
  const first = must(claim(NEW_RECIPIENT, OUTBREAKS, init('a')));
  const failed = settleFailed(first, { by: 'a', reason: 'down', nowMs: START_MS });
  const again = must(claim(failed, more, init('b', START_MS + 1)));
  const compose = (recipient: Recipient, outbreaks: ReadonlyMap<string, Outbreak>) => composeMessage({ site: 's', name: 'mail-x', recipient }, must(recipient.claim ?? undefined).items, outbreaks);
  expect(compose(again, more).id).toBe(compose(first, OUTBREAKS).id);
  // What has come meanwhile is another message.
  const next = must(claim(sent(again, START_MS + 2, more), more, init('b', START_MS + 3)));
  expect(next.claim?.items).toHaveLength(3);
  expect(compose(next, more).id).not.toBe(compose(first, OUTBREAKS).id);
  expect(composeMessage({ site: 's', name: 'mail-y', recipient: first }, must(first.claim ?? undefined).items, OUTBREAKS).id).not.toBe(compose(first, OUTBREAKS).id);
});

test('what is told is not due; what comes next is', () => {
  const told = sent(must(claim(NEW_RECIPIENT, OUTBREAKS, init('a'))), START_MS);
  expect(dueItems(told, OUTBREAKS)).toEqual([]);
  expect(claim(told, OUTBREAKS, init('a'))).toBeUndefined();
  const [[name, outbreak] = must<[string, Outbreak]>(undefined)] = OUTBREAKS;
  expect(dueItems(told, new Map([[name, { ...outbreak, event: { ...outbreak.event, number: 2 } }]]))).toHaveLength(1);
  expect(dueItems(told, new Map([[name, { ...outbreak, id: 'another' }]]))).toHaveLength(1);
});

test('so many an hour, and then they wait', () => {
  let recipient: Recipient = NEW_RECIPIENT;
  const at = (minute: number): number => START_MS + minute * 60_000;
  const numbered = (number: number) => new Map([...OUTBREAKS].map(([name, one]) => [name, { ...one, event: { ...one.event, number } }]));
  for (let minute = 0; minute < 3; minute += 1) recipient = sent(must(claim(recipient, numbered(minute + 1), init('a', at(minute)))), at(minute));
  expect(claim(recipient, numbered(4), init('a', at(3)))).toBeUndefined();
  expect(claim(recipient, numbered(9), init('a', at(59)))).toBeUndefined();
  expect(claim(recipient, numbered(9), init('a', at(60)))?.claim?.items).toHaveLength(2);
});

test('a failure is kept until something goes out', () => {
  const claimed = must(claim(NEW_RECIPIENT, OUTBREAKS, init('a')));
  const once = settleFailed(claimed, { by: 'a', reason: 'no', nowMs: START_MS + 1 });
  const twice = settleFailed(must(claim(once, OUTBREAKS, init('b', START_MS + 5))), { by: 'b', reason: 'still no', nowMs: START_MS + 6 });
  expect(twice.failure).toEqual({ since: START_MS + 1, at: START_MS + 6, reason: 'still no' });
  expect(sent(must(claim(twice, OUTBREAKS, init('a', START_MS + 7))), START_MS + 8).failure).toBeNull();
  // Not its own any more: whoever has it goes on.
  const taken = must(claim(claimed, OUTBREAKS, init('b', START_MS + CLAIM_MS)));
  expect(settleFailed(taken, { by: 'a', reason: 'late', nowMs: START_MS }).claim).toEqual(taken.claim);
});

test('it is forgotten when its outbreaks are, and the hour is over', () => {
  const told = sent(must(claim(NEW_RECIPIENT, OUTBREAKS, init('a'))), START_MS);
  expect(pruned(told, OUTBREAKS, START_MS + HOUR_MS)?.told.size).toBe(2);
  expect(pruned(told, new Map(), START_MS)).toMatchObject({ told: new Map() });
  expect(pruned(told, new Map(), START_MS + HOUR_MS)).toBeUndefined();
});

test('the largest there can be has room in the store', () => {
  const total = Object.values(MAX_OUTBREAKS).reduce((sum, one) => sum + one, 0);
  const told = new Map(Array.from({ length: total }, (_, index) => [`device-${macNumber(index)}`, { id: String(START_MS), number: 1000, count: 1_000_000 }]));
  const items = Array.from({ length: MAX_ITEMS }, (_, index) => ({ name: `device-${macNumber(index)}`, id: String(START_MS), number: 1000 }));
  const recipient: Recipient = { told, sentAt: Array.from({ length: 60 }, () => START_MS), claim: { by: 'x'.repeat(80), until: START_MS, items }, failure: { at: START_MS, since: START_MS, reason: '"'.repeat(200) } };
  const body = encodeRecipient(recipient);
  expect(body.length).toBeLessThan(16_384);
  expect(decodeRecipient(body)).toEqual(recipient);
});

test('each customer is told of his own, by the registry', () => {
  const ann = outbreaksOf(1, 'Ann <ann@example.com>');
  const who = { to: ['Admin@example.com'], toCustomer: true, webhook: { url: 'https://hooks.example.com/', secret: '' } };
  const outbreaks = new Map([...outbreaksOf(3), ...ann]);
  const targets = targetsOf(who, outbreaks);
  expect(targets.map(({ way, address, reader, outbreaks: own }) => [way, address, reader, own.size])).toEqual([
    ['mail', 'admin@example.com', 'administrator', 3],
    ['webhook', 'https://hooks.example.com/', 'administrator', 3],
    ['mail', 'ann@example.com', 'customer', 1],
  ]);
  expect(targetsOf({ ...who, toCustomer: false }, outbreaks)).toHaveLength(2);
  expect(targetsOf({ ...who, to: ['ann@example.com'] }, outbreaks)).toHaveLength(2);
  const told = sent(must(claim(NEW_RECIPIENT, outbreaks, init('a'))), START_MS, outbreaks);
  const page = (names: readonly string[]) => ({ outbreaks, recipients: new Map(names.map((name) => [name, told])), version: () => 0 });
  const [name = ''] = ann.keys();
  expect(isTold(targets, page(targets.map((one) => one.name)), name)).toBe(true);
  expect(isTold(targets, page(targets.map((one) => one.name).slice(0, 2)), name)).toBe(false);
});
