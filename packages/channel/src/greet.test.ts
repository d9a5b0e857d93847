import type { IssuedCertificate } from '../../auth/src/index.ts';
import { CONTROL_ALPN, type Message, REFUSALS } from '@sekisho/wire';
import { beforeAll, describe, expect, test } from 'vitest';
import { ControlConnection } from './control-connection.ts';
import { type Expectation, secureContext } from './endpoint.ts';
import { greet } from './greet.ts';
import { Listener } from './listener.ts';
import { credentials, makeMesh, type Mesh, MANAGER_NAME } from './testing/mesh.ts';
import { atEnd } from './testing/pair.ts';
import { digestNumber, welcomeMessage } from './welcome.ts';

let mesh: Mesh;
let stranger: Mesh;
beforeAll(async () => {
  mesh = await makeMesh();
  stranger = await makeMesh();
});

type Said = (hello: Message<'hello'>) => Message | undefined;

/** A server that says what the test wants, to a hello or at once. */
async function serve(said: Said, init: { atOnce?: Message; from?: Mesh; certificate?: IssuedCertificate } = {}): Promise<number> {
  const { from = mesh, certificate = from.site.manager } = init;
  const listener = new Listener(
    { host: '127.0.0.1', port: 0, credentials: credentials(from, certificate), alpn: CONTROL_ALPN, handshakeTimeoutMs: 5000, maxConnections: 5, maxPerAddress: 5 },
    {
      onConnection: (socket) => {
        const connection = new ControlConnection<'hello'>(
          socket,
          { accepts: ['hello'], maxPending: 1, maxBufferedBytes: 65_536 },
          {
            onMessage: (hello) => {
              const message = said(hello);
              if (message === undefined) connection.close();
              else connection.send(message);
            },
            onClose: () => {},
          },
        );
        if (init.atOnce !== undefined) connection.send(init.atOnce);
      },
      onReject: () => {},
      onError: () => {},
    },
  );
  atEnd(() => listener.close());
  return (await listener.listen()).port;
}

const greetAt = (port: number, more: { expect?: Expectation; timeoutMs?: number } = {}) =>
  greet({ host: '127.0.0.1', port, context: secureContext(credentials(mesh, mesh.otherSite.relay)), expect: { role: 'manager', serverName: MANAGER_NAME }, timeoutMs: 5000, ...more });

const ABOUT = { version: '1.2.3', config: '0000000000ffabcd', stack: '8899aabbccddeeff' };
const SELF = { software: 'sekisho-manager', site: 'tokyo-1', name: 's1', about: ABOUT };
const welcome: Said = ({ id }) => welcomeMessage(SELF, { id, version: 1 });
const refuse = (id: number): Message<'refuse'> => ({ type: 'refuse', id, code: REFUSALS.IDENTITY.number, text: 'only devices are answered here' });

test('a server is asked who it is, how it is configured and how late it has', async () => {
  const port = await serve((hello) => ({ ...welcome(hello), at: Date.now() + 60_000 }) as Message);
  const greeting = await greetAt(port);
  expect(greeting).toMatchObject({ name: 's1', site: 'tokyo-1', role: 'manager', software: 'sekisho-manager/1.2.3', version: 1, config: ABOUT.config, stack: ABOUT.stack });
  expect(Math.round(greeting.clockOffsetMs! / 1000)).toBe(60);
  expect(greeting.tookMs).toBeGreaterThan(0);
});

test('an older one says less, and that is no error', async () => {
  const port = await serve(({ id }) => ({ type: 'welcome', id, version: 1, software: 'sekisho-manager', name: 's1', site: 'tokyo-1' }));
  expect(await greetAt(port)).toMatchObject({ atMs: undefined, config: undefined, stack: undefined, clockOffsetMs: undefined });
});

describe('what is no greeting', () => {
  test.each<[string, Said, object, string, RegExp]>([
    ['a refusal', ({ id }) => refuse(id), {}, 'PROTOCOL', /^refused: IDENTITY$/u],
    ['a refusal before it was asked', () => undefined, { atOnce: refuse(0) }, 'PROTOCOL', /^refused: IDENTITY$/u],
    ['a wrong answer', ({ id }) => ({ type: 'pong', id }), {}, 'PROTOCOL', /the answer to hello is pong/u],
    ['the end', () => undefined, {}, 'CLOSED', /closed/u],
    ['a name of another site', ({ id }) => welcomeMessage({ ...SELF, site: 'osaka-1' }, { id, version: 1 }), {}, 'IDENTITY', /osaka-1, its certificate says tokyo-1/u],
  ])('%s', async (_, said, init, code, message) => {
    await expect(greetAt(await serve(said, init))).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  test('silence, a stranger, and a server of another role', async () => {
    const silent = await serve(({ id }) => ({ type: 'ping', id }));
    const started = performance.now();
    await expect(greetAt(silent, { timeoutMs: 300 })).rejects.toMatchObject({ code: 'TIMEOUT' });
    expect(performance.now() - started).toBeLessThan(2000);
    await expect(greetAt(await serve(welcome, { from: stranger }))).rejects.toMatchObject({ code: 'TLS' });
    await expect(greetAt(await serve(welcome, { certificate: mesh.site.relay }))).rejects.toMatchObject({ code: 'IDENTITY' });
    await expect(greetAt(1)).rejects.toMatchObject({ code: 'UNREACHABLE' });
  });
});

test('a digest as a number: 48 bits, exactly', () => {
  expect(digestNumber('ffffffffffff1234')).toBe(2 ** 48 - 1);
  expect(digestNumber('000000000001ffff')).toBe(1);
  expect(digestNumber(undefined)).toBe(0);
  expect(welcomeMessage({ ...SELF, about: undefined }, { id: 1, version: 1 })).not.toHaveProperty('config');
});
