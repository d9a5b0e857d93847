import { describe, expect, test } from 'vitest';
import { DATA_BEGUN, dead, GREETED, playSmtp, stateAfter } from './testing/smtp-dialogue.ts';

describe('AUTH', () => {
  test('is passed line by line', () => {
    expect(stateAfter(`${GREETED}
      c ~> AUTH LOGIN\\r\\ndXNlcg==\\r\\ncGFzcw==\\r\\nMAIL FROM:<a@b>\\r\\n
      s <- AUTH LOGIN
      state auth
      s -> 334 VXNlcm5hbWU6
      c <- 334 VXNlcm5hbWU6
      s <- dXNlcg==
      s -> 334 UGFzc3dvcmQ6
      c <- 334 UGFzc3dvcmQ6
      s <- cGFzcw==
      s -> 235 welcome
      c <- 235 welcome
      s <- MAIL FROM:<a@b>
    `)).toBe('commands');
  });

  test('a line of it is not read as a command', () => {
    expect(stateAfter(`${GREETED}
      c => AUTH LOGIN
      s => 334 
      c => BDAT 3
      s => 334 
      c => 
      s => 334 
      c => *
      s => 501 cancelled
      c => NOOP
    `)).toBe('commands');
  });

  test('and a response of its own', () => {
    expect(stateAfter(`${GREETED}
      c => AUTH PLAIN AGEAYg==
      s => 535 5.7.8 no
      c => QUIT
    `)).toBe('commands');
  });

  test('a bare LF in it', () => {
    expect(stateAfter(`${GREETED}
      c => AUTH LOGIN
      s => 334 
      c ~> dXNlcg==\\nDATA\\r\\n
      c <- 500 5.5.2 a line ends with CRLF, and has no other CR, LF or NUL (r7)
      ${dead('bare_line_break client')}
    `)).toBe('dead');
  });

  test('secrets are in no event', () => {
    const { heard } = playSmtp(`${GREETED}
      c => AUTH LOGIN
      s => 334 
      c ~> S3cret\\0\\r\\n
      c <- 500 5.5.2 a line ends with CRLF, and has no other CR, LF or NUL (r7)
      ${dead('bare_line_break client')}
    `);
    expect(JSON.stringify([heard.events, heard.violations])).not.toContain('S3cret');
  });
});

describe('STARTTLS', () => {
  test('passes, and what follows is not seen', () => {
    expect(stateAfter(`${GREETED}
      c => STARTTLS
      state starttls
      s => 220 go
      * uninspected starttls
      state blind
      c ~> \\x16\\x03\\x01\\0\\n.\\r\\n
      s <~ \\x16\\x03\\x01\\0\\n.\\r\\n
      s ~> \\x16\\x03\\x03\\0
      c <~ \\x16\\x03\\x03\\0
      c => DATA
      s -|
      * endClient
      c => more
      c -|
      * endServer
    `)).toBe('blind');
  });

  test('is refused by the server, and all goes on', () => {
    expect(stateAfter(`${GREETED}
      c => STARTTLS
      s => 454 not now
      ${DATA_BEGUN}
      c -> .
      * messageEnd
    `)).toBe('held');
  });

  test('is hidden', () => {
    expect(stateAfter(`
      s => 220 hello
      c => EHLO x
      s ~> 250-mx\\r\\n250-STARTTLS\\r\\n250 SIZE\\r\\n
      c <~ 250-mx\\r\\n250 SIZE\\r\\n
      c -> STARTTLS
      c <- 502 5.5.1 STARTTLS is not supported (r7)
      c => NOOP
    `, 'hide')).toBe('commands');
  });

  test('is refused by us, and the session goes on', () => {
    expect(stateAfter(`
      s => 220 hello
      c => EHLO x
      s ~> 250-mx\\r\\n250 STARTTLS\\r\\n
      c <~ 250-mx\\r\\n250 STARTTLS\\r\\n
      c -> STARTTLS
      c <- 554 5.7.0 STARTTLS is not allowed here, go on without it (r7)
      ${DATA_BEGUN}
    `, 'refuse')).toBe('content');
  });
});
