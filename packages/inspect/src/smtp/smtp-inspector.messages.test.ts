import { describe, expect, test } from 'vitest';
import { dead, GREETED, HELD, IN_CONTENT, playSmtp, stateAfter } from './testing/smtp-dialogue.ts';
import { MAX_REFUSAL_CHARACTERS } from './words.ts';

describe('a message that is held', () => {
  test('is released, and what was pipelined behind it waits for its reply', () => {
    expect(stateAfter(`${IN_CONTENT}
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
    `)).toBe('commands');
  });

  test('is released, and refused by the server', () => {
    expect(stateAfter(`${HELD}
      ! release
      s <- .
      s => 550 5.7.1 spam
      c => RSET
      s => 250 ok
    `)).toBe('commands');
  });

  test('is refused for good', () => {
    expect(stateAfter(`${HELD}
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
    `)).toBe('ended');
  });

  test('is refused for now; what follows is not for this connection', () => {
    expect(stateAfter(`${HELD}
      ! refuse 4 no scanner
      * resetServer
      c <- 451 4.7.1 no scanner (r7)
      c ~> RSET\\r\\nMAIL FROM:<a@b>\\r\\n
      c <- 421 4.3.0 the connection to the server is closed after a refusal, connect again (r7)
      * endClient
    `)).toBe('ended');
    expect(stateAfter(`${HELD}
      c ~> NO\\n
      ! refuse 4 no scanner
      * resetServer
      c <- 451 4.7.1 no scanner (r7)
      c <- 421 4.3.0 the connection to the server is closed after a refusal, connect again (r7)
      * endClient
    `)).toBe('ended');
  });

  test('is not replaced: there is nobody to read a notice', () => {
    expect(stateAfter(`${HELD}
      ! replace Subject: notice\\r\\n
      * resetServer
      c <- 554 5.7.1 the message was not accepted (r7)
    `)).toBe('orphaned');
  });

  test('is refused in words that cannot be more than a line', () => {
    expect(stateAfter(`${HELD}
      ! refuse 5 a\\r\\n250 b\\0\\xe9${'x'.repeat(300)}
      * resetServer
      c <- 554 5.7.1 a??250 b??${'x'.repeat(MAX_REFUSAL_CHARACTERS - 10)} (r7)
    `)).toBe('orphaned');
  });

  test('a decision about nothing does nothing', () => {
    expect(stateAfter(`${GREETED}
      ! release
      ! refuse 5 x
      c => NOOP
      s => 250 ok
      ! keepAlive
      ! contentReleased
    `)).toBe('commands');
    expect(stateAfter(`${IN_CONTENT}
      ! release
      ! refuse 5 x
      c => more
    `)).toBe('content');
  });

  test('is settled by a server that says no, and decided by nobody', () => {
    expect(stateAfter(`${HELD}
      s ~> 421-going\\r\\n
      * messageAbort
      c <- 421-going
      c -> NOOP
      ! release
      s -> 421 gone
      c <- 421 gone
      * resetServer
      * endClient
    `)).toBe('ended');
    expect(stateAfter(`${HELD}
      s -> 452 4.3.1 no space
      * messageAbort
      c <- 452 4.3.1 no space
      * resetServer
      c -> NOOP
      c <- 421 4.3.0 the connection to the server is closed after a refusal, connect again (r7)
      * endClient
    `)).toBe('ended');
  });

  test('is not accepted by a server that has not seen its end', () => {
    expect(stateAfter(`${HELD}
      s -> 250 queued
      c <- 451 4.5.0 the server replied before the end of the message, try again later (r7)
      * messageAbort
      ${dead('premature_accept server')}
    `)).toBe('dead');
  });

  test('nor is it begun again', () => {
    expect(stateAfter(`${IN_CONTENT}
      s -> 354 more
      c <- 451 4.5.0 the server replied before the end of the message, try again later (r7)
      * messageAbort
      ${dead('premature_accept server')}
    `)).toBe('dead');
  });

  test('a server that says the reply to it along with that to DATA', () => {
    expect(stateAfter(`${GREETED}
      c => DATA
      s ~> 354 go\\r\\n250 queued\\r\\n
      c <- 354 go
      * messageStart
      c <- 451 4.5.0 the server replied before the end of the message, try again later (r7)
      * messageAbort
      ${dead('premature_accept server')}
    `)).toBe('dead');
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
    expect(stateAfter(`${IN_CONTENT}
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
    `)).toBe('ended');
  });

  test('a refused client that smuggles is told nothing more', () => {
    expect(stateAfter(`${IN_CONTENT}
      s -> 552 too big
      * messageAbort
      c <- 552 too big
      * resetServer
      c ~> .\\n
      * endClient
      * violation bare_line_break client
      state dead
    `)).toBe('dead');
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
