import { describe, expect, test } from 'vitest';
import { BROKEN, DATA_BEGUN, dead, GREETED, playSmtp, stateAfter } from './testing/smtp-dialogue.ts';

/** One dialogue for each attack that has worked on somebody. */

const EVIL = 'MAIL FROM:<boss@example.net>\\r\\nRCPT TO:<b@example.net>\\r\\nDATA\\r\\nevil\\r\\n.\\r\\n';

/** The end of data by which a second message is smuggled behind the first, and how far the server sees it. */
const ENDS: readonly (readonly [string, string, string])[] = [
  ['CVE-2023-51764, Postfix', '\\n.\\r\\n', '\\n'],
  ['CVE-2023-51764, Postfix: it drops every CR before LF', '\\r\\n.\\r\\r\\n', '\\r\\n'],
  ['CVE-2023-51764, Postfix: the same before the dot', '\\n\\r\\r\\n.\\n', '\\n\\r\\r\\n'],
  ['CVE-2023-51765, sendmail', '\\n.\\n', '\\n'],
  ['CVE-2023-51765, sendmail', '\\r\\n.\\n', '\\r\\n'],
  ['CVE-2023-51766, Exim', '\\r\\n.\\n', '\\r\\n'],
  ['CVE-2023-51766, Exim', '\\n.\\r\\n', '\\n'],
  ['Cisco Secure Email', '\\r.\\r', '\\r'],
  ['a server that takes CR for a line break', '\\r\\n.\\rx', '\\r\\n'],
  ['a server that drops NUL', '\\r\\n\\0.\\r\\n', '\\r\\n\\0'],
  ['a server that drops NUL', '\\r\\n.\\0\\r\\n', '\\r\\n'],
];

describe('SMTP smuggling', () => {
  test.each(ENDS)('%s: %s', (_, end, passed) => {
    expect(
      stateAfter(`${GREETED}${DATA_BEGUN}
        c ~> Subject: one${end}${EVIL}
        s <~ Subject: one${passed}
        c <- 554 5.6.0 the message has a CR, LF or NUL beside a dot that begins a line (r7)
        * messageAbort
        ${dead('bare_line_break client')}
      `),
    ).toBe('dead');
  });

  test('a proxy that unstuffs a line for itself and sends it on makes an end of data out of \\n..\\r\\n', () => {
    expect(
      stateAfter(`${GREETED}${DATA_BEGUN}
        c ~> Subject: one\\n..\\r\\n${EVIL}
        s <~ Subject: one\\n
        c <- 554 5.6.0 the message has a CR, LF or NUL beside a dot that begins a line (r7)
        * messageAbort
        ${dead('bare_line_break client')}
      `),
    ).toBe('dead');
  });

  test('commands behind a real end of data are a second message of their own, and inspected', () => {
    const { heard } = playSmtp(`${GREETED}${DATA_BEGUN}
      c ~> one\\r\\n.\\r\\n${EVIL}
      s <~ one\\r\\n
      * messageEnd
      ! release
      s <- .
      s -> 250 queued
      c <- 250 queued
      s <~ MAIL FROM:<boss@example.net>\\r\\nRCPT TO:<b@example.net>\\r\\nDATA\\r\\n
      s => 250 ok
      s => 250 ok
      s -> 354 go
      c <- 354 go
      * messageStart
      s <- evil
      * messageEnd
      ! refuse 5 Worm.Test
      * resetServer
      c <- 554 5.7.1 Worm.Test (r7)
    `);
    expect(heard.message.toString()).toBe('one\r\nevil\r\n');
  });

  test('content in the chunks of BDAT', () => {
    expect(
      stateAfter(`${GREETED}
        c ~> MAIL FROM:<a@b>\\r\\nRCPT TO:<c@d>\\r\\nBDAT 6 LAST\\r\\nevil\\r\\n
        s <~ MAIL FROM:<a@b>\\r\\nRCPT TO:<c@d>\\r\\n
        c <- 502 5.5.1 this command was not offered (r7)
        ${dead('unoffered_command client')}
      `),
    ).toBe('dead');
  });

  test('a command that a server cuts in two has one reply too many', () => {
    expect(
      stateAfter(`${GREETED}
        c ~> NOOP ${'x'.repeat(507)}DATA\\r\\nHELP evil\\r\\n
        s <~ NOOP ${'x'.repeat(507)}DATA\\r\\nHELP evil\\r\\n
        s -> 250 ok
        c <- 250 ok
        s -> 354 go ahead
        c <- ${BROKEN}
        ${dead('unexpected_reply server')}
      `),
    ).toBe('dead');
  });
});

describe('STARTTLS injection', () => {
  test('CVE-2011-0411: commands in the buffer with STARTTLS are executed under TLS', () => {
    expect(
      stateAfter(`${GREETED}
        c ~> STARTTLS\\r\\nRSET\\r\\n
        s <- STARTTLS
        c <- 554 5.7.0 nothing may follow STARTTLS before its reply (r7)
        ${dead('starttls_injection client')}
      `),
    ).toBe('dead');
  });

  test('CVE-2011-0411, in a packet of their own', () => {
    expect(
      stateAfter(`${GREETED}
        c => STARTTLS
        c -> MAIL FROM:<a@b>
        c <- 554 5.7.0 nothing may follow STARTTLS before its reply (r7)
        ${dead('starttls_injection client')}
      `),
    ).toBe('dead');
  });

  test('CVE-2021-38371: replies in the buffer with the 220 are believed under TLS', () => {
    expect(
      stateAfter(`${GREETED}
        c => STARTTLS
        s ~> 220 go\\r\\n250-injected\\r\\n250 AUTH PLAIN\\r\\n
        c <- 220 go
        * uninspected starttls
        ${dead('starttls_injection server')}
      `),
    ).toBe('dead');
  });

  test('CVE-2021-38371, in a packet of their own, and where the 220 has several lines', () => {
    expect(
      stateAfter(`${GREETED}
        c => STARTTLS
        s ~> 220-go\\r\\n220 now\\r\\n
        c <- 220-go
        c <- 220 now
        * uninspected starttls
        s ~> 2
        ${dead('starttls_injection server')}
      `),
    ).toBe('dead');
  });

  test('replies ahead of the 220, for commands that come later', () => {
    expect(
      stateAfter(`${GREETED}
        c => STARTTLS
        s ~> 454 no\\r\\n250 injected\\r\\n
        c <- 454 no
        c <- ${BROKEN}
        ${dead('unexpected_reply server')}
      `),
    ).toBe('dead');
  });
});
