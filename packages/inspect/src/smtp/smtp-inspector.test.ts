import { describe, expect, test } from 'vitest';
import { MAX_AUTH_LINE_BYTES, MAX_COMMAND_LINE_BYTES } from './command.ts';
import { MAX_EHLO_REPLY_BYTES } from './extensions.ts';
import { MAX_OUTSTANDING_COMMANDS } from './outstanding.ts';
import { MAX_REPLY_LINE_BYTES } from './reply-reader.ts';
import { DATA_BEGUN, GREETED, HELD, IN_CONTENT, playSmtp } from './testing/smtp-dialogue.ts';
import { MAX_REFUSAL_CHARACTERS } from './words.ts';

const BROKEN = '421 4.5.0 the server broke the protocol, try again later (r7)';

/** What follows every violation. */
const dead = (code: string): string => `
  * resetServer
  * endClient
  * violation ${code}
  state dead
  c -> QUIT
  s -> 250 ok
  c -|
  s -|
`;

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
    (command) => void playSmtp(`${GREETED}c => ${command}\ns => 250 ok`),
  );

  test('a greeting that refuses passes', () => {
    playSmtp(`
      s => 554 no
      c => QUIT
      s => 221 bye
      s -|
      * endServer
      * endClient
    `);
  });

  test('commands are pipelined, and replies come one by one', () => {
    playSmtp(`${GREETED}
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
    `);
  });

  test('an empty message', () => {
    playSmtp(`${GREETED}${DATA_BEGUN}
      c -> .
      * messageEnd
      ! release
      s <- .
      s => 250 ok
      c => QUIT
    `);
  });

  test('DATA that is refused', () => {
    playSmtp(`${GREETED}
      c => DATA
      s => 554 no valid recipients
      c => RSET
      s => 250 ok
    `);
  });

  test('a client that speaks before the greeting waits for its reply behind it', () => {
    playSmtp(`
      c => NOOP
      c -> XYZZY
      s => 220 hello
      s -> 250 ok
      c <- 250 ok
      c <- 502 5.5.1 this command is not supported (r7)
    `);
  });

  test('421 ends a session at any time', () => {
    playSmtp(`${GREETED}
      s => 421 idle for too long
      s -|
      * endServer
      * endClient
    `);
    playSmtp(`${GREETED}
      c => DATA
      s => 421 shutting down
      c => QUIT
    `);
    playSmtp(`s => 421 too many of you`);
  });
});

describe('extensions', () => {
  const ehlo = (reply: string): string => `s => 220 hello\nc => EHLO client\ns ~> ${reply}`;

  test('those that the inspector does not implement are taken out, and the last line ends the reply', () => {
    playSmtp(`${ehlo(
      '250-mx greets you\\r\\n250-PIPELINING\\r\\n250-CHUNKING\\r\\n250-SIZE 10\\r\\n250-AUTH PLAIN\\r\\n250-AUTH=LOGIN\\r\\n250-XCLIENT NAME\\r\\n' +
        '250-starttls\\r\\n250-XFORWARD\\r\\n250-BURL imap\\r\\n250-NEVERHEARDOF\\r\\n250-X-EXPS\\r\\n250 BINARYMIME\\r\\n',
    )}
      c <~ 250-mx greets you\\r\\n250-PIPELINING\\r\\n250-SIZE 10\\r\\n250-AUTH PLAIN\\r\\n250-AUTH=LOGIN\\r\\n250 starttls\\r\\n
    `);
  });

  test('a reply of which nothing but the greeting is left', () => {
    playSmtp(`${ehlo('250-CHUNKING is my name\\r\\n250 CHUNKING\\r\\n')}
      c <- 250 CHUNKING is my name
    `);
  });

  test('are learnt anew each time', () => {
    playSmtp(`${ehlo('250-mx\\r\\n250 CHUNKING\\r\\n')}
      c <- 250 mx
      c => EHLO again
      s ~> 250-mx\\r\\n250-BURL\\r\\n250 DSN\\r\\n
      c <~ 250-mx\\r\\n250 DSN\\r\\n
    `);
  });

  test('a refusal of EHLO passes', () => {
    playSmtp(`s => 220 hello\nc => EHLO client\ns ~> 502-what\\r\\n\nc <- 502-what\ns => 502 is that?`);
  });

  test('nothing is given out before the reply is complete', () => {
    playSmtp(`${ehlo('250-mx\\r\\n250-SIZE\\r\\n')}\ns -> 250 DSN\nc <~ 250-mx\\r\\n250-SIZE\\r\\n250 DSN\\r\\n`);
  });

  test('a reply without end is cut off', () => {
    const line = `250-X${'x'.repeat(1000)}\\r\\n`;
    playSmtp(`${ehlo(line.repeat(Math.ceil(MAX_EHLO_REPLY_BYTES / 1000)))}
      c <- ${BROKEN}
      ${dead('line_too_long server')}
    `);
  });
});

describe('what does not reach the server', () => {
  test.each(['XCLIENT NAME=x', 'BURL imap://x', 'TURN', 'ATRN x', 'LHLO x', ' DATA', 'DATA\\x0b', 'DATA\\x09x', '', 'GET / HTTP/1.1', '\\xc4ATA'])(
    'the command "%s" is answered by us',
    (command) => void playSmtp(`${GREETED}
      c ~> ${command}\\r\\n
      c <- 502 5.5.1 this command is not supported (r7)
      c => NOOP
      s => 250 ok
    `),
  );

  test('our answers come in their turn', () => {
    playSmtp(`${GREETED}
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
    `);
  });

  test.each(['BDAT 5 LAST', 'bdat 0', 'XEXCH50 10 2'])('%s was not offered', (command) => {
    playSmtp(`${GREETED}
      c ~> ${command}\\r\\nQUIT\\r\\n
      c <- 502 5.5.1 this command was not offered (r7)
      ${dead('unoffered_command client')}
    `);
  });

  test('more commands than may be outstanding wait', () => {
    const commands = (count: number): string => 'NOOP\\r\\n'.repeat(count);
    playSmtp(`${GREETED}
      c ~> ${commands(MAX_OUTSTANDING_COMMANDS + 2)}
      s <~ ${commands(MAX_OUTSTANDING_COMMANDS)}
      c waits ${2 * 'NOOP\r\n'.length}
      s -> 250 ok
      c <- 250 ok
      s <- NOOP
      c waits ${'NOOP\r\n'.length}
    `);
  });
});

describe('line endings and limits', () => {
  test.each(['NOOP\\n', 'NO\\rOP\\r\\n', 'NOOP\\r\\r\\n', 'NOOP x\\0\\r\\n', 'MAIL FROM:<a@b>\\nRCPT TO:<c@d>\\r\\n'])(
    'the command %s ends the session',
    (command) => void playSmtp(`${GREETED}
      c ~> ${command}
      c <- 500 5.5.2 a line ends with CRLF, and has no other CR, LF or NUL (r7)
      ${dead('bare_line_break client')}
    `),
  );

  test('a command of the greatest length, and one that is longer', () => {
    const longest = `NOOP ${'x'.repeat(MAX_COMMAND_LINE_BYTES - 7)}`;
    playSmtp(`${GREETED}c => ${longest}\ns => 250 ok`);
    playSmtp(`${GREETED}
      c ~> x${longest}\\r\\n
      c <- 500 5.5.2 the line is too long (r7)
      ${dead('line_too_long client')}
    `);
  });

  test('AUTH may be longer', () => {
    const response = 'x'.repeat(MAX_AUTH_LINE_BYTES - 2);
    const command = `auth PLAIN ${'x'.repeat(MAX_AUTH_LINE_BYTES - 13)}`;
    playSmtp(`${GREETED}c => ${command}\ns => 334 ${'y'.repeat(MAX_REPLY_LINE_BYTES)}\nc => ${response}\ns => 235 ok`);
    playSmtp(`${GREETED}c ~> ${command}x\\r\\n\nc <- 500 5.5.2 the line is too long (r7)\n${dead('line_too_long client')}`);
    playSmtp(`${GREETED}
      c => AUTH PLAIN
      s => 334 
      c ~> x${response}\\r\\n
      c <- 500 5.5.2 the line is too long (r7)
      ${dead('line_too_long client')}
    `);
  });

  test('a reply of the greatest length, and one that is longer', () => {
    const longest = `250 ${'x'.repeat(MAX_REPLY_LINE_BYTES - 6)}`;
    playSmtp(`${GREETED}c => NOOP\ns => ${longest}`);
    playSmtp(`${GREETED}c => NOOP\ns ~> ${longest}x\\r\\n\nc <- ${BROKEN}\n${dead('line_too_long server')}`);
  });

  test.each(['250 ok\\n', '250 o\\rk\\r\\n', '250 o\\0k\\r\\n'])('the reply %s ends the session', (reply) => {
    playSmtp(`${GREETED}c => NOOP\ns ~> ${reply}\nc <- ${BROKEN}\n${dead('bare_line_break server')}`);
  });
});

describe('replies', () => {
  test.each(['ok', '25 ok', '2500 ok', '150 ok', '650 ok', '25x ok', ' 250 ok', '250_ok', '+OK'])('"%s" is none', (reply) => {
    playSmtp(`${GREETED}c => NOOP\ns -> ${reply}\nc <- ${BROKEN}\n${dead('malformed_reply server')}`);
  });

  test('without text', () => {
    playSmtp(`${GREETED}c => NOOP\ns => 250\nc => NOOP\ns => 250 `);
  });

  test('all lines of one have the same code; where the client has its beginning, we do not add its end', () => {
    playSmtp(`${GREETED}
      c => NOOP
      s ~> 250-ok\\r\\n
      c <- 250-ok
      s -> 251 ok
      ${dead('malformed_reply server')}
    `);
  });

  test('to nothing', () => {
    playSmtp(`${GREETED}s -> 250 injected\nc <- ${BROKEN}\n${dead('unexpected_reply server')}`);
    playSmtp(`${GREETED}s -> 451 timeout\nc <- ${BROKEN}\n${dead('unexpected_reply server')}`);
    playSmtp(`${GREETED}c => NOOP\ns ~> 250 ok\\r\\n250 injected\\r\\n\nc <- 250 ok\nc <- ${BROKEN}\n${dead('unexpected_reply server')}`);
  });

  test.each(['NOOP', 'RCPT TO:<a@b>', 'EHLO x', 'STARTTLS', 'AUTH PLAIN'])('%s has no 354', (command) => {
    playSmtp(`${GREETED}c => ${command}\ns -> 354 go\nc <- ${BROKEN}\n${dead('unexpected_reply server')}`);
  });

  test('DATA has no 334, and no 2xx', () => {
    playSmtp(`${GREETED}c => DATA\ns -> 334 go\nc <- ${BROKEN}\n${dead('unexpected_reply server')}`);
    playSmtp(`${GREETED}
      c => DATA
      s -> 250 accepted
      c <- 451 4.5.0 the server replied before the end of the message, try again later (r7)
      ${dead('premature_accept server')}
    `);
  });
});

describe('a message that is held', () => {
  test('is released, and what was pipelined behind it waits for its reply', () => {
    playSmtp(`${IN_CONTENT}
      c ~> text\\r\\n.\\r\\nMAIL FROM:<x@y>\\r\\nQUIT\\r\\n
      s <~ text\\r\\n
      * messageEnd
      c waits 23
      ! release
      s <~ .\\r\\n
      c waits 23
      s -> 250 queued
      c <- 250 queued
      s <~ MAIL FROM:<x@y>\\r\\nQUIT\\r\\n
    `);
  });

  test('is released, and refused by the server', () => {
    playSmtp(`${HELD}
      ! release
      s <- .
      s => 550 5.7.1 spam
      c => RSET
      s => 250 ok
    `);
  });

  test('is refused for good', () => {
    playSmtp(`${HELD}
      ! refuse 5 Eicar-Test-Signature FOUND
      * resetServer
      c <- 554 5.7.1 Eicar-Test-Signature FOUND (r7)
      state orphaned
      c -> QUIT
      c <- 221 2.0.0 bye (r7)
      * endClient
      state ended
      c -> NOOP
      c -|
    `);
  });

  test('is refused for now; what follows is not for this connection', () => {
    playSmtp(`${HELD}
      ! refuse 4 no scanner
      * resetServer
      c <- 451 4.7.1 no scanner (r7)
      c ~> RSET\\r\\nMAIL FROM:<a@b>\\r\\n
      c <- 421 4.3.0 the connection to the server is closed after a refusal, connect again (r7)
      * endClient
    `);
    playSmtp(`${HELD}
      c ~> NO\\nOP\\r\\n
      ! refuse 4 no scanner
      * resetServer
      c <- 451 4.7.1 no scanner (r7)
      c <- 421 4.3.0 the connection to the server is closed after a refusal, connect again (r7)
      * endClient
    `);
  });

  test('is not replaced: there is nobody to read a notice', () => {
    playSmtp(`${HELD}
      ! replace Subject: notice\\r\\n
      * resetServer
      c <- 554 5.7.1 the message was not accepted (r7)
    `);
  });

  test('is refused in words that cannot be more than a line', () => {
    playSmtp(`${HELD}
      ! refuse 5 a\\r\\n250 b\\0\\xe9${'x'.repeat(300)}
      * resetServer
      c <- 554 5.7.1 a??250 b??${'x'.repeat(MAX_REFUSAL_CHARACTERS - 10)} (r7)
    `);
  });

  test('a decision about nothing does nothing', () => {
    playSmtp(`${GREETED}
      ! release
      ! refuse 5 x
      c => NOOP
      s => 250 ok
      ! keepAlive
      ! contentReleased
    `);
    playSmtp(`${IN_CONTENT}
      ! release
      ! refuse 5 x
      c => more
    `);
  });

  test('is settled by a server that says no, and decided by nobody', () => {
    playSmtp(`${HELD}
      s ~> 421-going\\r\\n
      * messageAbort
      c <- 421-going
      c -> NOOP
      ! release
      s -> 421 gone
      c <- 421 gone
      * resetServer
      c <- 421 4.3.0 the connection to the server is closed after a refusal, connect again (r7)
      * endClient
    `);
  });

  test('is not accepted by a server that has not seen its end', () => {
    playSmtp(`${HELD}
      s -> 250 queued
      c <- 451 4.5.0 the server replied before the end of the message, try again later (r7)
      * messageAbort
      ${dead('premature_accept server')}
    `);
  });

  test('a server that says the reply to it along with that to DATA', () => {
    playSmtp(`${GREETED}
      c => DATA
      s ~> 354 go\\r\\n250 queued\\r\\n
      c <- 354 go
      * messageStart
      c <- 451 4.5.0 the server replied before the end of the message, try again later (r7)
      * messageAbort
      ${dead('premature_accept server')}
    `);
  });
});

describe('a message that is under way', () => {
  test('is refused by the server: the rest is swallowed', () => {
    const { heard } = playSmtp(`${IN_CONTENT}
      s -> 552 too big
      * messageAbort
      c <- 552 too big
      * resetServer
      state swallowing
      c -> more
      c ~> .\\r\\nQUIT\\r\\n
      c <- 221 2.0.0 bye (r7)
      * endClient
    `);
    expect(heard.message.toString()).toBe('Subject: hello\r\n\r\n');
  });

  test('is refused in several lines, while its end comes', () => {
    playSmtp(`${IN_CONTENT}
      s ~> 552-too big\\r\\n
      * messageAbort
      c <- 552-too big
      c ~> more\\r\\n.\\r\\nQUIT\\r\\n
      c waits 6
      s -> 552 really
      c <- 552 really
      * resetServer
      c <- 221 2.0.0 bye (r7)
      * endClient
    `);
  });

  test('a refused client that smuggles is told nothing more', () => {
    playSmtp(`${IN_CONTENT}
      s -> 552 too big
      * messageAbort
      c <- 552 too big
      * resetServer
      c ~> .\\n
      * endClient
      * violation bare_line_break client
      state dead
    `);
  });

  test('has a line break that somebody takes for its end', () => {
    const { heard } = playSmtp(`${IN_CONTENT}
      c ~> text\\n.\\r\\nMAIL FROM:<evil@example.com>\\r\\n
      s <~ text\\n
      c <- 554 5.6.0 the message has a CR, LF or NUL beside a dot that begins a line (r7)
      * messageAbort
      ${dead('bare_line_break client')}
    `);
    expect(heard.violations).toEqual([
      { code: 'bare_line_break', by: 'client', detail: 'a CR, LF or NUL beside a dot that begins a line of a message' },
    ]);
  });
});

describe('AUTH', () => {
  test('is passed line by line', () => {
    playSmtp(`${GREETED}
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
    `);
  });

  test('a line of it is not read as a command', () => {
    playSmtp(`${GREETED}
      c => AUTH LOGIN
      s => 334 
      c => BDAT 3
      s => 334 
      c => 
      s => 334 
      c => *
      s => 501 cancelled
      c => NOOP
    `);
  });

  test('and a response of its own', () => {
    playSmtp(`${GREETED}
      c => AUTH PLAIN AGEAYg==
      s => 535 5.7.8 no
      c => QUIT
    `);
  });

  test('a bare LF in it', () => {
    playSmtp(`${GREETED}
      c => AUTH LOGIN
      s => 334 
      c ~> dXNlcg==\\nDATA\\r\\n
      c <- 500 5.5.2 a line ends with CRLF, and has no other CR, LF or NUL (r7)
      ${dead('bare_line_break client')}
    `);
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
    playSmtp(`${GREETED}
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
    `);
  });

  test('is refused by the server, and all goes on', () => {
    playSmtp(`${GREETED}
      c => STARTTLS
      s => 454 not now
      ${DATA_BEGUN}
      c -> .
      * messageEnd
    `);
  });

  test('is hidden', () => {
    playSmtp(`
      s => 220 hello
      c => EHLO x
      s ~> 250-mx\\r\\n250-STARTTLS\\r\\n250 SIZE\\r\\n
      c <~ 250-mx\\r\\n250 SIZE\\r\\n
      c -> STARTTLS
      c <- 502 5.5.1 STARTTLS is not supported (r7)
      c => NOOP
    `, 'hide');
  });

  test('is refused by us, and the session goes on', () => {
    playSmtp(`
      s => 220 hello
      c => EHLO x
      s ~> 250-mx\\r\\n250 STARTTLS\\r\\n
      c <~ 250-mx\\r\\n250 STARTTLS\\r\\n
      c -> STARTTLS
      c <- 554 5.7.0 STARTTLS is not allowed here, go on without it (r7)
      ${DATA_BEGUN}
    `, 'refuse');
  });
});

describe('ends', () => {
  test('the client between commands', () => {
    playSmtp(`${GREETED}
      c => NOOP
      c ~> DAT
      c -|
      * endServer
      s => 250 ok
      s -|
      * endClient
    `);
  });

  test('the client in content: the server sees no end of it', () => {
    playSmtp(`${IN_CONTENT}
      c ~> text\\r\\n.
      s <~ text\\r\\n
      c -|
      * messageAbort
      * resetServer
      * endClient
      state ended
    `);
  });

  test('the client before it may send content', () => {
    playSmtp(`${GREETED}
      c => DATA
      c -|
      s => 354 go
      * resetServer
      * endClient
    `);
    playSmtp(`${GREETED}
      c => DATA
      c -|
      s => 554 no
      * endServer
      s -|
      * endClient
    `);
  });

  test('the client while its message is held: it is settled all the same', () => {
    playSmtp(`${HELD}
      c -|
      ! release
      s <- .
      * endServer
      s => 250 queued
      s -|
      * endClient
    `);
    playSmtp(`${HELD}
      c -|
      ! refuse 5 bad
      * resetServer
      c <- 554 5.7.1 bad (r7)
      * endClient
      state ended
    `);
  });

  test('the client after the end of its message was passed on', () => {
    playSmtp(`${HELD}
      ! release
      s <- .
      c -|
      * endServer
      s => 250 queued
    `);
  });

  test('the client after a refusal', () => {
    playSmtp(`${HELD}
      ! refuse 5 bad
      * resetServer
      c <- 554 5.7.1 bad (r7)
      c -|
      * endClient
    `);
    playSmtp(`${IN_CONTENT}
      s -> 552 too big
      * messageAbort
      c <- 552 too big
      * resetServer
      c -|
      * endClient
    `);
    playSmtp(`${IN_CONTENT}
      s ~> 552-too big\\r\\n
      * messageAbort
      c <- 552-too big
      c -|
      s -> 552 really
      c <- 552 really
      * resetServer
      * endClient
    `);
  });

  test.each([IN_CONTENT, HELD])('the server before it has the message: the client gets no 2xx', (script) => {
    playSmtp(`${script}
      s -|
      c <- 421 4.4.2 the connection to the server was lost, try again later (r7)
      * messageAbort
      * resetServer
      * endClient
      c ~> more\\r\\n.\\r\\n
      ! release
    `);
  });

  test('the server before it has replied', () => {
    playSmtp(`${HELD}
      ! release
      s <- .
      s ~> 250 que
      s -|
      * endServer
      * endClient
    `);
    playSmtp(`${IN_CONTENT}
      s ~> 552-too big\\r\\n
      * messageAbort
      c <- 552-too big
      s -|
      * endServer
      * endClient
    `);
    playSmtp(`s -|\n* endServer\n* endClient`);
  });
});
