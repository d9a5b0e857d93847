import { expect, test } from 'vitest';
import { Caps, MAX_CONNECTIONS_PER_DEVICE } from './caps.ts';

const MAC = '02:00:5e:10:00:01';
const OTHER = '02:00:5e:10:00:02';
const refusal = (step: () => void): string | undefined => {
  try {
    step();
    return undefined;
  } catch (error) {
    return (error as { code?: string }).code;
  }
};

test('connections: by device and in all', () => {
  const caps = new Caps({ maxSessions: 10, maxDevices: MAX_CONNECTIONS_PER_DEVICE + 1, maxSessionsPerDevice: 10 });
  for (let count = 0; count < MAX_CONNECTIONS_PER_DEVICE; count += 1) caps.beginConnection(MAC);
  expect(refusal(() => caps.beginConnection(MAC))).toBe('DEVICE_FULL');
  caps.beginConnection(OTHER);
  expect(refusal(() => caps.beginConnection('02:00:5e:10:00:03'))).toBe('FULL');
  caps.endConnection(MAC);
  caps.beginConnection(MAC);
  expect(caps.connections).toBe(MAX_CONNECTIONS_PER_DEVICE + 1);
});

test('sessions: by device and in all', () => {
  const caps = new Caps({ maxSessions: 3, maxDevices: 10, maxSessionsPerDevice: 2 });
  expect(refusal(() => caps.beginSession(MAC))).toBe('TICKET_REQUIRED');
  caps.beginConnection(MAC);
  caps.beginConnection(OTHER);
  for (const mac of [MAC, MAC, OTHER]) caps.beginSession(mac);
  expect(refusal(() => caps.beginSession(MAC))).toBe('DEVICE_FULL');
  expect(refusal(() => caps.beginSession(OTHER))).toBe('FULL');
  caps.endSession(MAC);
  caps.beginSession(OTHER);
  expect(caps.sessions).toBe(3);
});

test('a session that outlives its connection is counted to its end, and no longer', () => {
  const caps = new Caps({ maxSessions: 2, maxDevices: 10, maxSessionsPerDevice: 2 });
  caps.beginConnection(MAC);
  caps.beginSession(MAC);
  caps.endConnection(MAC);
  expect(caps.sessions).toBe(1);
  expect(refusal(() => caps.beginSession(MAC)), 'it has no connection').toBe('TICKET_REQUIRED');
  caps.beginConnection(MAC);
  caps.beginSession(MAC);
  expect(refusal(() => caps.beginSession(MAC)), 'the old one counts').toBe('DEVICE_FULL');
  for (const _ of [1, 2]) caps.endSession(MAC);
  caps.endConnection(MAC);
  expect([caps.sessions, caps.connections]).toEqual([0, 0]);
});
