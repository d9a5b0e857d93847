import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import type { MeshAgent } from '../kit/mesh.ts';
import { connectSmtpWire, type SmtpWire, type SmtpWireTarget } from '../kit/smtp-wire.ts';

/** A conversation that a destination has begun; the last one may still hold a place for a moment. */
export async function openConversation(target: SmtpWireTarget): Promise<SmtpWire> {
  const deadline = performance.now() + 10_000;
  for (;;) {
    const wire = await connectSmtpWire(target);
    const line = await wire.reply();
    if (line.startsWith('220 ')) return wire;
    wire.close();
    if (performance.now() > deadline) throw new Error(`still refused: ${line}`);
    await sleep(50);
  }
}

/** What the client of a forward hears first, and how its connection ends. */
export async function greeting(of: MeshAgent, index = 0): Promise<string> {
  const wire = await connectSmtpWire({ host: '127.0.0.1', port: of.ports[index]! });
  const line = await wire.reply().catch(() => '');
  if (/^220|^\+OK|^\* OK/.test(line)) {
    wire.close();
    return line;
  }
  // A refusal is followed by the end of the connection, and nothing else.
  expect(await wire.ended).toBe('end');
  expect(wire.received).toBe(`${line}\r\n`);
  wire.close();
  return line;
}
