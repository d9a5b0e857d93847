import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, expect, test } from 'vitest';
import { aSighting } from '../testing/detections.ts';
import { BoardSite, START_MS } from '../testing/site.ts';
import { composeMessage, type Message } from './news.ts';
import { dueItems, NEW_RECIPIENT } from './recipient.ts';
import { Webhook } from './webhook.ts';

const SECRET = 'a secret of some length';
const cleanups: (() => unknown)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

async function receiver(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
}

function message(): Message {
  const site = new BoardSite();
  site.take(...Array.from({ length: 25 }, () => aSighting({ at: START_MS, label: 'Front office' })));
  site.evaluate();
  return composeMessage({ site: 'tokyo-1', name: 'webhook', recipient: NEW_RECIPIENT }, dueItems(NEW_RECIPIENT, site.outbreaks), site.outbreaks);
}

const hook = (url: string): Webhook => new Webhook({ clock: { now: () => START_MS + 999 } }, { url, secret: SECRET, site: 'tokyo-1' });

test('a message is JSON with a signature over its time and its bytes', async () => {
  const got: { headers: IncomingHttpHeaders; body: string }[] = [];
  const url = await receiver((request, response) => {
    void text(request).then((body) => {
      got.push({ headers: request.headers, body });
      response.writeHead(204).end();
    });
  });
  const sent = message();
  await hook(url).post(sent);
  const [{ headers, body } = { headers: {}, body: '' }] = got;
  expect(headers).toMatchObject({ 'content-type': 'application/json', 'sekisho-timestamp': '1700000000', 'sekisho-id': sent.id });
  const expected = createHmac('sha256', SECRET).update(`1700000000.${body}`).digest('hex');
  expect(headers['sekisho-signature']).toBe(`v1=${expected}`);
  expect(JSON.parse(body)).toMatchObject({
    format: 1,
    site: 'tokyo-1',
    stage: 'alert',
    id: sent.id,
    outbreaks: [{ name: 'device-02:00:5e:10:00:01', stage: 'alert', level: 'device', label: 'Front office', newSince: 25, tally: { count: 25 } }],
  });
});

test('a redirect is not followed, and is a failure', async () => {
  let asked = 0;
  const url = await receiver((request, response) => {
    asked += 1;
    request.resume();
    response.writeHead(307, { location: '/elsewhere' }).end();
  });
  await expect(hook(url).post(message())).rejects.toMatchObject({ name: 'DeliveryError', message: 'the receiver answers 307' });
  expect(asked).toBe(1);
});

test('an answer other than 2xx, none, and nobody there are failures', async () => {
  const busy = await receiver((request, response) => {
    request.resume();
    response.writeHead(503).end('x'.repeat(100_000));
  });
  await expect(hook(busy).post(message())).rejects.toMatchObject({ message: 'the receiver answers 503' });
  const mute = await receiver(() => {});
  const abort = new AbortController();
  const posting = hook(mute).post(message(), abort.signal);
  setTimeout(() => abort.abort(), 50);
  await expect(posting).rejects.toMatchObject({ name: 'DeliveryError' });
  await expect(hook('http://127.0.0.1:1/').post(message())).rejects.toMatchObject({ name: 'DeliveryError' });
});
