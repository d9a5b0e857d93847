// Many devices in one process (fleet.ts).
import { secureContext, SessionStore } from '@sekisho/channel';
import { Device, type DeviceInit } from './device.ts';
import type { FleetTask } from './fleet.ts';
import { serve } from './helper-process.ts';

/** Handshakes at once. */
const AT_ONCE = 16;

let members: DeviceInit[] = [];
let connected: Device[] = [];

/** Runs so many loops at once until `count` turns were taken, each given its number. */
async function spread(count: number, atOnce: number, turn: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const loop = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) await turn(index);
  };
  await Promise.all(Array.from({ length: atOnce }, loop));
}

function memberOf(index: number): DeviceInit {
  const member = members[index % members.length];
  if (member === undefined) throw new Error('nobody is enrolled');
  return member;
}

async function setUp(connections: number, isResumed: boolean): Promise<void> {
  await spread(connections, AT_ONCE, async (index) => {
    const member = memberOf(index);
    const device = await Device.connect(isResumed ? member : { ...member, sessions: new SessionStore() });
    device.close();
    if (device.isResumed !== isResumed) throw new Error(isResumed ? 'the relay resumed no session' : 'a session was resumed');
  });
}

async function obey(task: FleetTask): Promise<void> {
  switch (task.kind) {
    case 'enroll':
      members = task.devices.map(({ certPem, keyPem, ticket }) => ({
        port: task.port,
        context: secureContext({ caPem: task.caPem, certPem, keyPem }),
        ticket: Buffer.from(ticket, 'base64'),
        sessions: new SessionStore(),
      }));
      return;
    case 'connect':
      return spread(task.count, AT_ONCE, async (index) => void connected.push(await Device.connect(memberOf(index))));
    case 'send': {
      const perDevice = Math.ceil(task.mails / connected.length);
      await Promise.all(connected.map((device) => spread(perDevice, 1, () => device.send(task.port))));
      return;
    }
    case 'set-up':
      return setUp(task.connections, task.isResumed);
    case 'close':
      for (const device of connected) device.close();
      connected = [];
  }
}

serve(async (question) => {
  const startMs = performance.now();
  await obey(question as FleetTask);
  return (performance.now() - startMs) / 1000;
});
