import { expect, test } from 'vitest';
import type { Pop3Inspector } from './pop3-inspector.ts';
import { BROKEN_BY_SERVER, dialogue, HELD, LOGIN } from './testing/dialogues.ts';
import { MAX_WITHHELD_MESSAGES } from './withheld-messages.ts';

test('refused for now or for good, in printable words', () => {
  expect(dialogue(`
    ${HELD}
    ! refuse 4 later\\r\\n+OK \\xe9
    c <- -ERR [SYS/TEMP] later??+OK ? (r1)
    c => RETR 1
    s ~> +OK\\r\\nx\\r\\n.\\r\\n
    * messageStart
    * messageEnd
    ! refuse 5 never
    c <- -ERR [SYS/PERM] never (r1)
    c => NOOP
    s => +OK
  `).inspector.state).toBe('reply');
});

test('replaced: a status line with its own size, and dots stuffed', () => {
  expect(dialogue(`
    ${HELD}
    ! replace Subject: n\\r\\n\\r\\n.dot\\r\\n..\\r\\nx\\n.\\r\\n
    c <- +OK 29 octets
    c <~ Subject: n\\r\\n\\r\\n..dot\\r\\n...\\r\\nx\\n..\\r\\n.\\r\\n
    c => RETR 2
    s ~> +OK\\r\\n.\\r\\n
    * messageStart
    * messageEnd
    ! replace no line break
    c <~ +OK 15 octets\\r\\nno line break\\r\\n.\\r\\n
  `).inspector.state).toBe('reply');
});

test('a decision without a message, and a message settled twice, change nothing', () => {
  expect(dialogue(`
    ! release
    ! contentReleased
    ! keepAlive
    ${HELD}
    ! contentReleased
    ! refuse 5 no
    c <- -ERR [SYS/PERM] no (r1)
    ! release
    ! keepAlive
    state reply
  `).inspector.state).toBe('reply');
});

test('a withheld message cannot be deleted, whatever the number looks like, until it has been given', () => {
  expect(dialogue(`
    ${HELD}
    ! refuse 4 later
    c <- -ERR [SYS/TEMP] later (r1)
    c -> dele  001
    c <- -ERR [SYS/PERM] message 1 was withheld and stays on the server (r1)
    c => DELE 2
    s => +OK
    c => RSET
    s => +OK
    c -> DELE 1
    c <- -ERR [SYS/PERM] message 1 was withheld and stays on the server (r1)
    # Its head is clean: that says nothing about the rest.
    c => TOP 1 0
    s ~> +OK\\r\\nFrom: a\\r\\n\\r\\n.\\r\\n
    * messageStart
    * messageEnd
    ! release
    c <- +OK
    * releaseContent 0
    ! contentReleased
    c <- .
    c -> DELE 1
    c <- -ERR [SYS/PERM] message 1 was withheld and stays on the server (r1)
    c => RETR 1
    s ~> +OK\\r\\nFrom: a\\r\\n\\r\\n.\\r\\n
    * messageStart
    * messageEnd
    ! release
    c <- +OK
    * releaseContent 0
    ! contentReleased
    c <- .
    c => DELE 1
    s => +OK
    c => TOP 2 5
    s ~> +OK\\r\\n.\\r\\n
    * messageStart
    * messageEnd
    ! replace x\\r\\n
    c <~ +OK 3 octets\\r\\nx\\r\\n.\\r\\n
    c -> DELE 2
    c <- -ERR [SYS/PERM] message 2 was withheld and stays on the server (r1)
  `).inspector.state).toBe('reply');
});

test('DELE of a message that is not settled waits, and its commands behind it; of another one it does not', () => {
  const [rest, held] = ['c -> DELE 1', HELD];
  dialogue(`
    ${held}
    c => LIST 3
    c => DELE 3
    c => DELE 2
    ${rest}
    c waits 1
    c -> NOOP
    c waits 7
    ! refuse 5 no
    c <- -ERR [SYS/PERM] no (r1)
    # The replies to what came before come first.
    s <- NOOP
    s => +OK 3 100
    s => +OK deleted
    s -> +OK deleted
    c <- +OK deleted
    c <- -ERR [SYS/PERM] message 1 was withheld and stays on the server (r1)
    s => +OK noop
  `);
  dialogue(`
    ${held}
    ${rest}
    c waits 1
    ! release
    c <- +OK 99 octets
    * releaseContent 0
    c waits 1
    ! contentReleased
    c <- .
    s <- DELE 1
    s => +OK
  `);
  // Before its reply has begun, too.
  expect(dialogue(`
    ${LOGIN}
    c => RETR 1
    ${rest}
    c waits 1
    s => -ERR no such message
    s <- DELE 1
  `).inspector.state).toBe('reply');
});

test('past the number of withheld messages that are remembered, nothing can be deleted', () => {
  const one = (number: number): string => `
    c => RETR ${number}
    s ~> +OK\\r\\n.\\r\\n
    * messageStart
    * messageEnd
    ! refuse 4 x
    c <- -ERR [SYS/TEMP] x (r1)
  `;
  const many = Array.from({ length: MAX_WITHHELD_MESSAGES }, (_, index) => one(index + 1)).join('');
  const more = MAX_WITHHELD_MESSAGES + 1;
  expect(dialogue(`
    ${LOGIN} ${many} ${one(1)}
    c => DELE ${more}
    s => +OK
    ${one(more)}
    c -> DELE ${more + 1}
    c <- -ERR [SYS/PERM] message ${more + 1} was withheld and stays on the server (r1)
  `).inspector.state).toBe('reply');
});

test('a message that some clients would read differently can be replaced, and not be released', () => {
  const ambiguous = `
    ${LOGIN}
    c => RETR 1
    s ~> +OK\\r\\nFrom: a\\r\\n\\r\\nx\\n.\\r\\n+OK 5 octets\\r\\nvirus\\r\\n.\\r\\n+OK\\r\\n
    * messageStart
    * messageEnd
  `;
  const { inspector } = dialogue(ambiguous);
  expect((inspector as Pop3Inspector).messageIsAmbiguous).toBe(true);
  dialogue(`
    ${ambiguous}
    ! release
    * messageAbort
    ${BROKEN_BY_SERVER}
    * violation bare_line_break server
    state dead
  `);
  const replaced = dialogue(`
    ${LOGIN}
    c => RETR 1
    s ~> +OK\\r\\nx\\n.\\r\\n.\\r\\n
    * messageStart
    * messageEnd
    ! replace n\\r\\n
    c <~ +OK 3 octets\\r\\nn\\r\\n.\\r\\n
    c => RETR 2
    s ~> +OK\\r\\nx\\ny\\rz\\r\\n.\\r\\n
    * messageStart
    * messageEnd
    ! release
    c <- +OK
    * releaseContent 0
  `);
  expect((replaced.inspector as Pop3Inspector).messageIsAmbiguous).toBe(false);
});
