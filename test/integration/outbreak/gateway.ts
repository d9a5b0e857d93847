import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { dotStuff } from '../../kit/mails.ts';
import { connectSmtpWire, type SmtpWire } from '../../kit/smtp-wire.ts';

/** A gateway of another maker that brings notices: its address, and where it brings them. */
export interface GatewayInit {
  /** Of 127.0.0.0/8. */
  readonly address: string;
  readonly port: number;
  /** What it calls itself. */
  readonly helo?: string;
}

const NOTICE = readFileSync(join(import.meta.dirname, '../../../packages/outbreak/src/notices/fixtures/avira.eml'), 'utf8');

/** The notice of the fixture about another device, with a Message-ID of its own. */
export function notice(id: string, facts: { readonly mac: string; readonly client?: string; readonly signature?: string }): Buffer {
  const text = NOTICE.replace('<a1@office.example.com>', `<${id}@office.example.com>`)
    .replace('02-00-5E-10-00-01', facts.mac.replaceAll(':', '-'))
    .replace('10.4.5.6', facts.client ?? '10.4.5.6')
    .replace('EICAR-Test-Signature', () => facts.signature ?? 'EICAR-Test-Signature');
  return Buffer.from(text.replaceAll(/\r?\n/gu, '\r\n'));
}

/** A connection of a gateway, past EHLO. */
export async function openGateway({ address, port, helo = 'gateway.example.com' }: GatewayInit): Promise<SmtpWire> {
  const wire = await connectSmtpWire({ host: '127.0.0.1', port, localAddress: address });
  const greeting = await wire.reply();
  if (!greeting.startsWith('220')) throw new Error(`the gateway was greeted with ${greeting}`);
  await wire.command(`EHLO ${helo}`);
  return wire;
}

const ENVELOPE = 'MAIL FROM:<gateway@example.com>\r\nRCPT TO:<notices@example.net>\r\nDATA\r\n';

/**
 * Brings notices over one connection, pipelined as RFC 2920 has it: the end of one goes out with the envelope of the next.
 * Resolves with the answer to each.
 */
export async function bring(wire: SmtpWire, notices: readonly Buffer[]): Promise<string[]> {
  const answers: string[] = [];
  wire.write(Buffer.from(ENVELOPE));
  for (const [index, content] of notices.entries()) {
    const envelope = [await wire.reply(), await wire.reply(), await wire.reply()];
    if (!envelope[2]?.startsWith('354')) throw new Error(`no go-ahead for notice ${index}: ${envelope.join(', ')}`);
    const isLast = index === notices.length - 1;
    wire.write(Buffer.concat([dotStuff(content), Buffer.from(isLast ? 'QUIT\r\n' : ENVELOPE)]));
    answers.push(await wire.reply());
  }
  wire.close();
  return answers;
}

/** Brings them over several connections, from several gateways in turn. */
export async function bringAll(gateways: readonly GatewayInit[], connections: number, notices: readonly Buffer[]): Promise<string[]> {
  const shares = Array.from({ length: connections }, (_, lane) => notices.filter((_content, index) => index % connections === lane));
  const answers = await Promise.all(
    shares.map(async (share, lane) => {
      const gateway = gateways[lane % gateways.length];
      return gateway === undefined || share.length === 0 ? [] : bring(await openGateway(gateway), share);
    }),
  );
  return answers.flat();
}
