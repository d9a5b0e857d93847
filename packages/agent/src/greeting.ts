import { type MailProtocol, REFUSALS, type RefusalCode } from '@sekisho/wire';

/** What a client may do about it. Nothing that a peer sent ever stands in these lines. */
const TEMPORARY = 'the service cannot take this connection now, try again later';
const PERMANENT = 'the service does not allow this connection';

/**
 * What a client hears instead of the server's greeting: SMTP `421` or `554` (RFC 5321 3.1, 4.2.2) with an enhanced status
 * (RFC 3463), POP3 `-ERR` with RFC 3206, IMAP `* BYE` with RFC 5530. Nothing where TLS comes first: there is no one to
 * say it. `session` is the id by which the logs of all roles know it.
 */
export function refusalGreeting(protocol: MailProtocol, code: RefusalCode, session: string): string {
  const { temporary, enhanced } = REFUSALS[code];
  const text = `${temporary ? TEMPORARY : PERMANENT} (${code}, session ${session})`;
  switch (protocol) {
    case 'smtp':
      return `${temporary ? '421' : '554'} ${enhanced} ${text}\r\n`;
    case 'pop3':
      return `-ERR [${temporary ? 'SYS/TEMP' : 'SYS/PERM'}] ${text}\r\n`;
    case 'imap':
      return `* BYE [${temporary ? 'UNAVAILABLE' : 'NOPERM'}] ${text}\r\n`;
    default:
      return '';
  }
}
