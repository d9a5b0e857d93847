import { describe, expect, test } from 'vitest';
import { MAX_OUTSTANDING_COMMANDS } from './outstanding.ts';
import { BROKEN, DATA_BEGUN, dead, GREETED, playSmtp, stateAfter } from './testing/smtp-dialogue.ts';

describe('a conversation', () => {
  test('passes as it is', () => {
    const { heard } = playSmtp(`
      s ~> 220-mx.example.net ESMTP\\r\\n220-second line\\r\\n220 third line\\r\\n
      c <- 220-mx.example.net ESMTP
      c <- 220-second line
      c <- 220 third line
      c => ehlo client.example
      s -> 250-mx.example.net
      s -> 250-PIPELINING
      s -> 250 SIZE 1000
      c <- 250-mx.example.net
      c <- 250-PIPELINING
      c <- 250 SIZE 1000
      ${DATA_BEGUN}
      c => Subject: one
      c => 
      c => ..stuffed
      c -> .
      * messageEnd
      ! release
      s <- .
      s => 250 2.0.0 queued as 1
      c => RSET
      s => 250 ok
      ${DATA_BEGUN}
      c => Subject: two
      c -> .
      * messageEnd
      ! release
      s <- .
      s => 250 2.0.0 queued as 2
      m <- Subject: one
      m <- 
      m <- ..stuffed
      m <- Subject: two
      c => VRFY somebody
      s => 252 perhaps
      c => HELP
      s ~> 214-this\\r\\n
      c <- 214-this
      s => 214 that
      c => quit
      s => 221 bye
      s -|
      * endServer
      * endClient
      state ended
      c -|
    `);
    expect(heard.violations).toEqual([]);
  });

  test.each(['HELO client', 'MAIL FROM:<>', 'RCPT TO:<a@b>', 'RSET', 'NOOP x', 'VRFY a', 'EXPN a', 'HELP', 'ETRN a', 'Quit'])(
    '%s reaches the server',
    (command) => expect(stateAfter(`${GREETED}c => ${command}\ns => 250 ok`)).toBe('commands'),
  );

  test('a greeting that refuses passes', () => {
    expect(stateAfter(`
      s => 554 no
      c => QUIT
      s => 221 bye
      s -|
      * endServer
      * endClient
    `)).toBe('ended');
  });

  test('commands are pipelined, and replies come one by one', () => {
    expect(stateAfter(`${GREETED}
      c ~> MAIL FROM:<a@b>\\r\\nRCPT TO:<c@d>\\r\\nRCPT TO:<e@f>\\r\\nDATA\\r\\n
      s <~ MAIL FROM:<a@b>\\r\\nRCPT TO:<c@d>\\r\\nRCPT TO:<e@f>\\r\\nDATA\\r\\n
      s => 250 ok
      s => 550 who?
      c ~> not yet
      c waits 7
      s => 250 ok
      s -> 354 go
      c <- 354 go
      * messageStart
      s <~ not yet
      c waits 0
    `)).toBe('content');
  });

  test('an empty message', () => {
    expect(stateAfter(`${GREETED}${DATA_BEGUN}
      c -> .
      * messageEnd
      ! release
      s <- .
      s => 250 ok
      c => QUIT
    `)).toBe('commands');
  });

  test('DATA that is refused', () => {
    expect(stateAfter(`${GREETED}
      c => DATA
      s => 554 no valid recipients
      c => RSET
      s => 250 ok
    `)).toBe('commands');
  });

  test('a client that speaks before the greeting waits for its reply behind it', () => {
    expect(stateAfter(`
      c => NOOP
      c -> XYZZY
      s => 220 hello
      s -> 250 ok
      c <- 250 ok
      c <- 502 5.5.1 this command is not supported (r7)
    `)).toBe('commands');
  });

  test('421 ends a session at any time', () => {
    expect(stateAfter(`${GREETED}
      s => 421 idle for too long
      s -|
      * endServer
      * endClient
    `)).toBe('ended');
    expect(stateAfter(`${GREETED}
      c => DATA
      s => 421 shutting down
      c => QUIT
    `)).toBe('commands');
    expect(stateAfter(`s => 421 too many of you`)).toBe('commands');
  });
});

describe('what does not reach the server', () => {
  test.each(['XCLIENT NAME=x', 'BURL imap://x', 'TURN', 'ATRN x', 'LHLO x', ' DATA', 'DATA\\x0b', 'DATA\\x09x', '', 'GET / HTTP/1.1', '\\xc4ATA'])(
    'the command "%s" is answered by us',
    (command) => expect(stateAfter(`${GREETED}
      c ~> ${command}\\r\\n
      c <- 502 5.5.1 this command is not supported (r7)
      c => NOOP
      s => 250 ok
    `)).toBe('commands'),
  );

  test('our answers come in their turn', () => {
    expect(stateAfter(`${GREETED}
      c ~> NOOP 1\\r\\nXYZZY\\r\\nNOOP 2\\r\\nPLUGH\\r\\nXYZZY\\r\\n
      s <~ NOOP 1\\r\\nNOOP 2\\r\\n
      s ~> 250-one\\r\\n
      c <- 250-one
      s -> 250 one
      c <- 250 one
      c <- 502 5.5.1 this command is not supported (r7)
      s -> 250 two
      c <- 250 two
      c <- 502 5.5.1 this command is not supported (r7)
      c <- 502 5.5.1 this command is not supported (r7)
    `)).toBe('commands');
  });

  test.each(['BDAT 5 LAST', 'bdat 0', 'XEXCH50 10 2'])('%s was not offered', (command) => {
    expect(stateAfter(`${GREETED}
      c ~> ${command}\\r\\nQUIT\\r\\n
      c <- 502 5.5.1 this command was not offered (r7)
      ${dead('unoffered_command client')}
    `)).toBe('dead');
  });

  test('more commands than may be outstanding wait', () => {
    const commands = (count: number): string => 'NOOP\\r\\n'.repeat(count);
    expect(stateAfter(`${GREETED}
      c ~> ${commands(MAX_OUTSTANDING_COMMANDS + 2)}
      s <~ ${commands(MAX_OUTSTANDING_COMMANDS)}
      c waits ${2 * 'NOOP\r\n'.length}
      s -> 250 ok
      c <- 250 ok
      s <- NOOP
      c waits ${'NOOP\r\n'.length}
    `)).toBe('commands');
  });
});

describe('replies', () => {
  test.each(['ok', '25 ok', '2500 ok', '150 ok', '650 ok', '25x ok', ' 250 ok', '250_ok', '+OK'])('"%s" is none', (reply) => {
    expect(stateAfter(`${GREETED}c => NOOP\ns -> ${reply}\nc <- ${BROKEN}\n${dead('malformed_reply server')}`)).toBe('dead');
  });

  test('without text', () => {
    expect(stateAfter(`${GREETED}c => NOOP\ns => 250\nc => NOOP\ns => 250 `)).toBe('commands');
  });

  test('all lines of one have the same code; where the client has its beginning, we do not add its end', () => {
    expect(stateAfter(`${GREETED}
      c => NOOP
      s ~> 250-ok\\r\\n
      c <- 250-ok
      s -> 251 ok
      ${dead('malformed_reply server')}
    `)).toBe('dead');
  });

  test('to nothing', () => {
    expect(stateAfter(`${GREETED}s -> 250 injected\nc <- ${BROKEN}\n${dead('unexpected_reply server')}`)).toBe('dead');
    expect(stateAfter(`${GREETED}s -> 451 timeout\nc <- ${BROKEN}\n${dead('unexpected_reply server')}`)).toBe('dead');
    expect(stateAfter(`${GREETED}c => NOOP\ns ~> 250 ok\\r\\n250 injected\\r\\n\nc <- 250 ok\nc <- ${BROKEN}\n${dead('unexpected_reply server')}`)).toBe('dead');
  });

  test.each(['NOOP', 'RCPT TO:<a@b>', 'EHLO x', 'STARTTLS', 'AUTH PLAIN'])('%s has no 354', (command) => {
    expect(stateAfter(`${GREETED}c => ${command}\ns -> 354 go\nc <- ${BROKEN}\n${dead('unexpected_reply server')}`)).toBe('dead');
  });

  test('DATA has no 334, and no 2xx', () => {
    expect(stateAfter(`${GREETED}c => DATA\ns -> 334 go\nc <- ${BROKEN}\n${dead('unexpected_reply server')}`)).toBe('dead');
    expect(stateAfter(`${GREETED}
      c => DATA
      s -> 250 accepted
      c <- 451 4.5.0 the server replied before the end of the message, try again later (r7)
      ${dead('premature_accept server')}
    `)).toBe('dead');
  });
});
