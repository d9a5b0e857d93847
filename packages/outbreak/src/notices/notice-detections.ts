import { createHash } from 'node:crypto';
import type { Detection } from '@sekisho/store';
import type { NoticeMail } from './message/notice-mail.ts';
import type { Finding } from './patterns/pattern.ts';

/** Where a notice came from, and when; never what it says itself about that. */
export interface Arrival {
  /** The address of the gateway. */
  readonly source: string;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/**
 * The identity of a notice: the same when a gateway sends it again because it did not hear our answer. A Message-ID from
 * another address is another notice, so that nobody takes away somebody else's.
 */
export function noticeKey(mail: NoticeMail, bytes: Buffer, source: string): string {
  const own = mail.messageId === undefined ? ['content', digest(bytes)] : ['id', mail.messageId];
  return digest(JSON.stringify([source, ...own]));
}

/** What a notice says, as it is recorded. */
export function detectionsOf(findings: readonly Finding[], pattern: string, key: string, { source, at }: Arrival): Detection[] {
  return findings.map(({ signature, client, sender, recipient, device, protocol }, index) => ({
    key: digest(`${key} ${index}`),
    at,
    source: 'notice',
    reporter: `${pattern} ${source}`,
    mac: device,
    signature,
    protocol,
    client,
    destination: recipient,
    contact: sender,
  }));
}

/** 43 of A-Z a-z 0-9 _ -. */
function digest(content: string | Buffer): string {
  return createHash('sha256').update(content).digest('base64url');
}
