import { expect, test } from 'vitest';
import { aSighting, macNumber } from '../testing/detections.ts';
import { BoardSite, HOUR_MS, MINUTE_MS, START_MS } from '../testing/site.ts';
import { bodyOf, MAX_DESCRIBED, subjectOf } from './mail-text.ts';
import { composeMessage, type Message } from './news.ts';
import { dueItems, NEW_RECIPIENT, settleSent } from './recipient.ts';

function outbreakSite(): BoardSite {
  const site = new BoardSite();
  const fields = { label: 'Front office', registeredContact: 'ann@example.com' };
  site.take(...Array.from({ length: 40 }, () => aSighting({ ...fields, at: START_MS - 5 * MINUTE_MS })), ...Array.from({ length: 10 }, () => aSighting({ ...fields, at: START_MS, signature: 'Other.Virus', client: '192.168.1.6:1' })));
  site.evaluate();
  return site;
}

function messageFor(site: BoardSite, recipient = NEW_RECIPIENT): Message {
  return composeMessage({ site: 'tokyo-1', name: 'mail-x', recipient }, dueItems(recipient, site.outbreaks), site.outbreaks);
}

test('an alert has the facts', () => {
  const message = messageFor(outbreakSite());
  expect(subjectOf(message, 'tokyo-1')).toBe(`[Sekisho tokyo-1] Virus outbreak: Front office ${macNumber(1)}, 50 detections`);
  expect(bodyOf(message, { site: 'tokyo-1', reader: 'administrator' })).toBe(`Sekisho, site tokyo-1. This mail was made by a program; nobody reads
answers to it.

------------------------------------------------------------
Virus outbreak

What:     many viruses in the mail of one device
Device:   02:00:5e:10:00:01
Called:   Front office
Since:    2023-11-14 22:08:20 UTC
Last:     2023-11-14 22:13:20 UTC
Number:   50 detections
Viruses:
    |     40  Win.Test.EICAR_HDB-1
    |     10  Other.Virus
Clients:
    |     40  192.168.1.5
    |     10  192.168.1.6
Destinations:
    |     50  mail.example.com:587
Found by:
    |     50  s1
Outbreak: device-02:00:5e:10:00:01

What to do: have the customer take the machines with the client
addresses above off the network and clean them. To lock the
whole office out meanwhile: sekisho device disable MAC
I know: sekisho outbreak ack device-02:00:5e:10:00:01 (no more digests)
`);
});

test('a digest and an all-clear say what is new', () => {
  const site = outbreakSite();
  const first = messageFor(site);
  const told = settleSent(NEW_RECIPIENT, { items: dueItems(NEW_RECIPIENT, site.outbreaks), counts: new Map([[first.news[0]!.name, 50]]), nowMs: START_MS });
  expect(dueItems(told, site.outbreaks)).toEqual([]);
  for (let minute = 0; minute < 60; minute += 1) {
    site.nowMs += MINUTE_MS;
    site.take(aSighting({ at: site.nowMs }));
    site.evaluate();
  }
  const digest = messageFor(site, told);
  expect(subjectOf(digest, 'tokyo-1')).toBe(`[Sekisho tokyo-1] Virus outbreak goes on: Front office ${macNumber(1)}, 110 detections`);
  expect(bodyOf(digest, { site: 'tokyo-1', reader: 'administrator' })).toContain('Number:   110 detections, 60 of them new\n');
  site.pass(HOUR_MS);
  const clear = messageFor(site, told);
  expect(subjectOf(clear, 'tokyo-1')).toBe(`[Sekisho tokyo-1] Virus outbreak is over: Front office ${macNumber(1)}, 110 detections`);
  expect(bodyOf(clear, { site: 'tokyo-1', reader: 'administrator' })).toContain('\nOver:     2023-11-14 23:43:20 UTC\n');
  // Somebody who could not be told before is told all at once.
  expect(subjectOf(messageFor(site), 'tokyo-1')).toBe(`[Sekisho tokyo-1] Virus outbreak, over by now: Front office ${macNumber(1)}, 110 detections`);
});

test('a customer sees nothing of the site, nor how to operate it', () => {
  const text = bodyOf(messageFor(outbreakSite()), { site: 'tokyo-1', reader: 'customer' });
  expect(text).toContain('Called:   Front office');
  expect(text).toContain('192.168.1.5');
  expect(text).not.toMatch(/sekisho outbreak|Found by|s1\b|Outbreak:/u);
});

test('of an outbreak of his a customer sees his devices, and no addresses that a notice may have made up', () => {
  const site = new BoardSite();
  site.take(
    ...Array.from({ length: 30 }, (_, index) => aSighting({ at: START_MS, mac: macNumber(index), registeredContact: 'ann@example.com' })),
    ...Array.from({ length: 20 }, () => aSighting({ at: START_MS, mac: null, contact: 'ann@example.com', client: '10.9.9.9', destination: 'other-customer@example.net' })),
  );
  site.evaluate();
  const text = bodyOf(messageFor(site), { site: 'tokyo-1', reader: 'customer' });
  expect(text).toContain('many viruses in the mail of one customer');
  expect(text).toContain(macNumber(3));
  expect(text).not.toMatch(/10\.9\.9\.9|other-customer/u);
});

test('outbreaks that open together are one message, which does not grow without end', () => {
  const site = new BoardSite();
  for (let device = 0; device < 45; device += 1) site.take(...Array.from({ length: 20 }, () => aSighting({ at: START_MS, mac: macNumber(device) })));
  site.evaluate();
  const message = messageFor(site);
  expect(subjectOf(message, 'tokyo-1')).toBe('[Sekisho tokyo-1] Virus outbreak: 45 devices');
  const text = bodyOf(message, { site: 'tokyo-1', reader: 'administrator' });
  expect(text.split('\n').filter((line) => line.startsWith('---'))).toHaveLength(MAX_DESCRIBED);
  expect(text).toContain(`And ${45 - MAX_DESCRIBED} more: sekisho outbreak status`);
});

test('an outbreak that is acknowledged does not ask for it again', () => {
  const site = outbreakSite();
  const message = messageFor(site);
  const [news] = message.news;
  const acked = { ...news!, stage: 'digest' as const, outbreak: { ...news!.outbreak, ack: { by: 'ann', at: 0 } } };
  expect(bodyOf({ ...message, news: [acked] }, { site: 'tokyo-1', reader: 'administrator' })).not.toContain('outbreak ack');
});
