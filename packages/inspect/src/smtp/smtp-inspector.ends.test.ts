import { describe, expect, test } from 'vitest';
import { GREETED, HELD, IN_CONTENT, stateAfter } from './testing/smtp-dialogue.ts';

describe('ends', () => {
  test('the client between commands', () => {
    expect(stateAfter(`${GREETED}
      c => NOOP
      c ~> DAT
      c -|
      * endServer
      s => 250 ok
      s -|
      * endClient
    `)).toBe('ended');
  });

  test('the client in content: the server sees no end of it', () => {
    expect(stateAfter(`${IN_CONTENT}
      c ~> text\\r\\n.
      s <~ text\\r\\n
      c -|
      * messageAbort
      * resetServer
      * endClient
      state ended
    `)).toBe('ended');
  });

  test('the client before it may send content', () => {
    expect(stateAfter(`${GREETED}
      c => DATA
      c -|
      s => 354 go
      * resetServer
      * endClient
    `)).toBe('ended');
    expect(stateAfter(`${GREETED}
      c => DATA
      c -|
      s => 554 no
      * endServer
      s -|
      * endClient
    `)).toBe('ended');
  });

  test('the client while its message is held: it is settled all the same', () => {
    expect(stateAfter(`${HELD}
      c -|
      ! release
      s <- .
      * endServer
      s => 250 queued
      s -|
      * endClient
    `)).toBe('ended');
    expect(stateAfter(`${HELD}
      c -|
      ! refuse 5 bad
      * resetServer
      c <- 554 5.7.1 bad (r7)
      * endClient
      state ended
    `)).toBe('ended');
  });

  test('the client after the end of its message was passed on', () => {
    expect(stateAfter(`${HELD}
      ! release
      s <- .
      c -|
      * endServer
      s => 250 queued
    `)).toBe('commands');
  });

  test('the client after a refusal', () => {
    expect(stateAfter(`${HELD}
      ! refuse 5 bad
      * resetServer
      c <- 554 5.7.1 bad (r7)
      c -|
      * endClient
    `)).toBe('ended');
    expect(stateAfter(`${IN_CONTENT}
      s -> 552 too big
      * messageAbort
      c <- 552 too big
      * resetServer
      c -|
      * endClient
    `)).toBe('ended');
    expect(stateAfter(`${IN_CONTENT}
      s ~> 552-too big\\r\\n
      * messageAbort
      c <- 552-too big
      c -|
      s -> 552 really
      c <- 552 really
      * resetServer
      * endClient
    `)).toBe('ended');
  });

  test.each([IN_CONTENT, HELD])('the server before it has the message: the client gets no 2xx', (script) => {
    expect(stateAfter(`${script}
      s -|
      c <- 421 4.4.2 the connection to the server was lost, try again later (r7)
      * messageAbort
      * resetServer
      * endClient
      c ~> more\\r\\n.\\r\\n
      ! release
    `)).toBe('ended');
  });

  test('the server before it has replied', () => {
    expect(stateAfter(`${HELD}
      ! release
      s <- .
      s ~> 250 que
      s -|
      * endServer
      * endClient
    `)).toBe('ended');
    expect(stateAfter(`${IN_CONTENT}
      s ~> 552-too big\\r\\n
      * messageAbort
      c <- 552-too big
      s -|
      * endServer
      * endClient
    `)).toBe('ended');
    expect(stateAfter(`s -|\n* endServer\n* endClient\ns -> 220 too late\nc -> QUIT`)).toBe('ended');
  });
});
