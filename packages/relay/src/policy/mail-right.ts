import type { MailProtocol, Right } from '@sekisho/wire';

const RIGHT_OF: Readonly<Record<MailProtocol, Right>> = {
  smtp: 'smtp',
  smtps: 'smtp',
  pop3: 'pop3',
  pop3s: 'pop3',
  imap: 'imap',
  imaps: 'imap',
};

/** The right that a device needs for a protocol; implicit TLS makes no difference. */
export function rightOf(protocol: MailProtocol): Right {
  return RIGHT_OF[protocol];
}
