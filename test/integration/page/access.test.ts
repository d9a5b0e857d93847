import { request } from 'node:http';
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { values } from '../control-plane/mini-site.ts';
import { PageSite, TOKEN } from './page-site.ts';

/** Who may do what at the status page, over HTTP as a browser or an attacker would speak it. */

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  readonly json: Record<string, unknown>;
}

let site: PageSite;
let port: number;

beforeAll(async () => {
  site = await PageSite.start({ relays: 2, page: { hosts: ['status.example.com'] } });
  port = Number(new URL(site.url).port);
});
afterAll(() => site?.close());

/** fetch() would not let us forge Host and Origin. */
function send(init: { method?: string; path?: string; headers?: Record<string, string>; body?: string; from?: string }): Promise<Answer> {
  const { method = 'GET', path = '/', headers = {}, body, from = '127.0.0.1' } = init;
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const asked = request({ host: '127.0.0.1', port, method, path, headers, localAddress: from, agent: false }, (response) => {
    const chunks: Buffer[] = [];
    response.on('data', (chunk: Buffer) => chunks.push(chunk));
    response.on('end', () => {
      const text = Buffer.concat(chunks).toString();
      const isJson = response.headers['content-type']?.startsWith('application/json') === true && text !== '';
      resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json: isJson ? (JSON.parse(text) as Record<string, unknown>) : {} });
    });
  });
  asked.on('error', reject);
  asked.end(body);
  return promise;
}

/** As our own script does it. */
function post(path: string, body: unknown, headers: Record<string, string> = {}, from?: string): Promise<Answer> {
  const own = { 'content-type': 'application/json', origin: `http://127.0.0.1:${port}`, 'x-sekisho-page': '1' };
  return send({ method: 'POST', path, headers: { ...own, ...headers }, body: JSON.stringify(body), ...(from === undefined ? {} : { from }) });
}

async function signIn(headers: Record<string, string> = {}, from?: string): Promise<string> {
  const { status, headers: answered } = await post('/sign-in', { token: TOKEN }, headers, from);
  expect(status).toBe(200);
  return String(answered['set-cookie']).split(';')[0] ?? '';
}

const drain = (relay = 's2', more: object = {}) => ({ site: 'tokyo-1', relay, ...more });
const isDrained = (relay: string) => site.site.manager?.status().table.relays.find(({ name }) => name === relay)?.override?.drain === true;

test('everybody may read, and nothing of it is kept, framed, guessed at or run', async () => {
  for (const path of ['/', '/history.json', '/page.js', '/uplot.js', '/theme.js', '/page.css', '/uplot.css', '/favicon.svg']) {
    const [got, head] = [await send({ path }), await send({ path, method: 'HEAD' })];
    expect([got.status, head.status, head.text], path).toEqual([200, 200, '']);
    expect(got.headers, path).toMatchObject({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff', 'x-frame-options': 'DENY', 'referrer-policy': 'no-referrer' });
    expect(got.headers['content-security-policy'], path).toMatch(/^default-src 'none'; script-src 'self'; style-src 'self';(?!.*unsafe).*frame-ancestors 'none'$/u);
    expect(got.headers['access-control-allow-origin'], path).toBeUndefined();
  }
  const { text, headers } = await send({});
  expect(headers['content-type']).toBe('text/html; charset=utf-8');
  expect(text).not.toMatch(/\son\w+=|\sstyle=|<script>|<style>|javascript:/u);
});

test('what is not there is refused with a code, and so is every other verb', async () => {
  expect(await send({ path: '/..%2f..%2fetc/passwd' })).toMatchObject({ status: 404, json: { error: 'NOT_FOUND' } });
  expect(await send({ path: '/%' })).toMatchObject({ status: 400, json: { error: 'BAD_REQUEST' } });
  for (const method of ['PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE', 'PROPFIND'])
    expect(await send({ method, path: '/table/drain' }), method).toMatchObject({ status: 405, json: { error: 'METHOD_REFUSED' }, headers: { 'x-content-type-options': 'nosniff' } });
  // A head over 8 KiB ends the connection.
  const large = await send({ headers: { cookie: 'x'.repeat(9000) } });
  expect(large.status).toBe(431);
});

test('a page of a stranger whose name leads here may not read it (DNS rebinding)', async () => {
  const refused = await send({ headers: { host: `rebound.example:${port}` } });
  expect(refused).toMatchObject({ status: 421, json: { error: 'HOST_REFUSED' } });
  expect(refused.text).not.toContain('tokyo-1');
  for (const path of ['/history.json', '/page.js', '/nothing'])
    expect((await send({ path, headers: { host: 'rebound.example' } })).status, path).toBe(421);
  expect((await send({ headers: { host: 'status.example.com' } })).status).toBe(200);
  expect((await send({ headers: { host: `localhost:${port}` } })).status).toBe(200);
});

test('no order without the token, and none with a cookie that was made up', async () => {
  for (const cookie of ['', 'sekisho_page=', `sekisho_page=${'A'.repeat(43)}`, `sekisho_page=${TOKEN}`])
    expect(await post('/table/drain', drain(), { cookie }), cookie).toMatchObject({ status: 401, json: { error: 'NOT_SIGNED_IN' } });
  expect(await post('/sign-in', { token: `${TOKEN}x` }, {}, '127.0.0.9')).toMatchObject({ status: 403, json: { error: 'TOKEN_REFUSED' } });
  for (const body of [{}, { token: 7 }, [], null, 'text', { token: { length: 43 } }])
    expect((await post('/sign-in', body, {}, '127.0.0.8')).status, JSON.stringify(body)).toBeGreaterThanOrEqual(400);
  expect(isDrained('s2')).toBe(false);
});

test('another page cannot give orders in the operator’s name', async () => {
  const cookie = await signIn();
  const forged: Record<string, string>[] = [
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { origin: `http://localhost:${port}` },
    { origin: `http://127.0.0.1:${port + 1}` },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
  ];
  for (const headers of forged)
    expect(await post('/table/drain', drain(), { cookie, ...headers }), JSON.stringify(headers)).toMatchObject({ status: 403, json: { error: 'ORIGIN_REFUSED' } });
  // A form and an image can do no more than this.
  const form = { cookie, origin: `http://127.0.0.1:${port}`, 'content-type': 'text/plain' };
  expect((await send({ method: 'POST', path: '/table/drain', headers: form, body: JSON.stringify(drain()) })).json['error']).toBe('ORIGIN_REFUSED');
  expect((await send({ method: 'POST', path: '/table/drain', headers: { ...form, 'x-sekisho-page': '1' }, body: JSON.stringify(drain()) })).json['error']).toBe('BAD_REQUEST');
  expect((await send({ path: '/table/drain?relay=s2', headers: { cookie } })).status).toBe(404);
  expect(isDrained('s2')).toBe(false);
});

test('who signed in may drain, weigh and undrain; the last relay goes only with the name of the site', async () => {
  const cookie = await signIn({}, '127.0.0.5');
  const order = (kind: string, body: object) => post(`/table/${kind}`, body, { cookie }, '127.0.0.5');
  expect(await order('drain', drain())).toMatchObject({ status: 200, json: { relay: 's2', override: { drain: true, by: 'page 127.0.0.5' } } });
  expect(isDrained('s2')).toBe(true);
  expect(await order('drain', drain('s1'))).toMatchObject({ status: 409, json: { error: 'LAST_RELAY' } });
  expect(await order('drain', drain('s1', { confirm: 'osaka-1' }))).toMatchObject({ status: 409, json: { error: 'WRONG_SITE' } });
  expect(await order('drain', { ...drain('s1'), site: 'osaka-1' })).toMatchObject({ status: 409, json: { error: 'WRONG_SITE' } });
  expect(isDrained('s1')).toBe(false);
  expect(await order('drain', drain('s1', { confirm: 'tokyo-1' }))).toMatchObject({ status: 200 });
  for (const relay of ['s1', 's2']) expect(await order('undrain', drain(relay))).toMatchObject({ status: 200, json: { override: null } });
  expect(await order('weight', drain('s2', { weight: 3 }))).toMatchObject({ status: 200, json: { override: { weight: 3 } } });
  expect(await order('weight', drain('s2', { weight: null }))).toMatchObject({ status: 200, json: { override: null } });
  for (const weight of [-1, 1001, '3', undefined, [3]])
    expect(await order('weight', drain('s2', { weight })), String(weight)).toMatchObject({ status: 400, json: { error: 'BAD_REQUEST' } });
  expect(await order('drain', drain('<b>'))).toMatchObject({ status: 404, json: { error: 'UNKNOWN_RELAY' } });
  expect(await order('drain', { site: 'tokyo-1', relay: ['s1'] })).toMatchObject({ status: 400 });
  expect(await order('drain', { ...drain(), padding: 'x'.repeat(5000) })).toMatchObject({ status: 413, json: { error: 'TOO_LARGE' } });
  expect(site.site.logged).toContainEqual(expect.objectContaining({ event: 'table_order', relay: 's2', by: 'page 127.0.0.5' }));
});

test('the cookie is for this page alone, Secure where the browser came over TLS, and ends with signing out', async () => {
  const { headers } = await post('/sign-in', { token: TOKEN });
  expect(String(headers['set-cookie'])).toMatch(/^sekisho_page=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Max-Age=28800$/u);
  const proxied = await post('/sign-in', { token: TOKEN }, { origin: 'https://status.example.com' });
  expect(String(proxied.headers['set-cookie'])).toMatch(/SameSite=Strict; Max-Age=28800; Secure$/u);
  const cookie = String(headers['set-cookie']).split(';')[0] ?? '';
  expect((await send({ headers: { cookie } })).text).toContain('data-do="sign-out"');
  expect((await post('/sign-out', {}, { cookie })).status).toBe(200);
  expect((await send({ headers: { cookie } })).text).toContain('data-do="sign-in"');
  expect((await post('/table/drain', drain(), { cookie })).status).toBe(401);
});

test('tokens cannot be tried out: after five wrong ones an address waits, also with the right one', async () => {
  const from = '127.0.0.66';
  for (let attempt = 0; attempt < 5; attempt += 1) expect((await post('/sign-in', { token: `guess ${attempt}` }, {}, from)).status).toBe(403);
  const late = await post('/sign-in', { token: TOKEN }, {}, from);
  expect(late).toMatchObject({ status: 429, json: { error: 'TOO_MANY_ATTEMPTS' } });
  expect(String(late.json['message'])).toMatch(/in (?:5\d|60) s/u);
  await signIn({}, '127.0.0.67');
  expect(site.site.logged.filter(({ event, address }) => event === 'page_token_refused' && address === from)).toHaveLength(5);
  expect(JSON.stringify(site.site.logged)).not.toContain(TOKEN);
});

test('what does not speak HTTP is told so, and the page goes on', async () => {
  for (const bytes of ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc', 'EHLO example.com\r\n\r\n', '\0'.repeat(64)]) {
    const socket = connect(port, '127.0.0.1');
    const { promise, resolve } = Promise.withResolvers<string>();
    let got = '';
    socket.on('data', (chunk) => (got += chunk.toString())).on('close', () => resolve(got)).on('error', () => {});
    socket.write(Buffer.from(bytes, 'latin1'));
    expect(await promise).toMatch(/^HTTP\/1\.1 400 /u);
  }
  expect((await send({})).status).toBe(200);
});

test('each request is counted by what became of it', async () => {
  const counted = await values(site.site.managerMetrics);
  for (const result of ['answered', 'signed_in', 'ordered', 'host_refused', 'origin_refused', 'token_refused', 'rate_limited', 'refused'])
    expect(counted[`sekisho_manager_page_requests_total{result="${result}"}`], result).toBeGreaterThan(0);
  expect(counted['sekisho_manager_page_requests_total{result="failed"}']).toBeUndefined();
});
