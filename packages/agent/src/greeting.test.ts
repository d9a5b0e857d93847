import { MAIL_PROTOCOLS, REFUSALS, type RefusalCode } from '@sekisho/wire';
import { expect, test } from 'vitest';
import { refusalGreeting } from './greeting.ts';

const id = '00112233445566778899aabbccddeeff';

test('each protocol hears it in its own words', () => {
  expect(refusalGreeting('smtp', 'NO_RELAY', id)).toMatch(/^421 4\.3\.2 .*\(NO_RELAY, session 00112233/u);
  expect(refusalGreeting('smtp', 'DEVICE_REVOKED', id)).toMatch(/^554 5\.7\.1 /u);
  expect(refusalGreeting('pop3', 'CONNECT_TIMEOUT', id)).toMatch(/^-ERR \[SYS\/TEMP\] /u);
  expect(refusalGreeting('pop3', 'RIGHTS', id)).toMatch(/^-ERR \[SYS\/PERM\] /u);
  expect(refusalGreeting('imap', 'FULL', id)).toMatch(/^\* BYE \[UNAVAILABLE\] /u);
  expect(refusalGreeting('imap', 'DEVICE_DISABLED', id)).toMatch(/^\* BYE \[NOPERM\] /u);
});

test('every code in every protocol: one line that ends in CRLF, or nothing where TLS comes first', () => {
  for (const code of Object.keys(REFUSALS) as RefusalCode[]) {
    for (const protocol of MAIL_PROTOCOLS) {
      const line = refusalGreeting(protocol, code, id);
      if (protocol.endsWith('s')) expect(line).toBe('');
      else expect(line).toMatch(/^[\u0020-\u007e]{1,200}\r\n$/u);
      if (protocol === 'smtp') expect(line.startsWith(REFUSALS[code].temporary ? '421 4' : '554 5'), code).toBe(true);
    }
  }
});
