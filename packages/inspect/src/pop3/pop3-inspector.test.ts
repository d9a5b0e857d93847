import { expect, test } from 'vitest';
import type { InspectorSink } from '../inspector.ts';
import type { Conversation } from '../testing/conversation.ts';
import { play } from '../testing/dialogue.ts';
import { MAX_CAPABILITIES_BYTES } from './capabilities.ts';
import { MAX_OUTSTANDING_COMMANDS } from './outstanding-commands.ts';
import { MAX_AUTH_LINE_BYTES, MAX_COMMAND_BYTES, MAX_REPLY_LINE_BYTES, Pop3Inspector } from './pop3-inspector.ts';
import { MAX_WITHHELD_MESSAGES } from './withheld-messages.ts';

const dialogue = (script: string, starttls: 'pass' | 'hide' | 'refuse' = 'pass'): Conversation =>
  play((sink: InspectorSink) => new Pop3Inspector({ sink }, { starttls, reference: 'r1' }), script);

const LOGIN = `
  s => +OK ready <1.2@example.com>
  c => USER joe
  s => +OK
  c => PASS pass word  with spaces\t
  s => +OK 3 messages
`;

/** RETR 1 up to its held end. */
const HELD = `
  ${LOGIN}
  c => RETR 1
  s -> +OK 99 octets
  * messageStart
  s ~> From: a\\r\\nTo: b\\r\\n\\r\\nbody\\r\\n.\\r\\n
  m <~ From: a\\r\\nTo: b\\r\\n\\r\\nbody\\r\\n
  * messageEnd
  state held
`;

test('a session as it ought to be', () => {
  const { inspector } = dialogue(`
    state reply
    ${HELD}
    ! release
    c <- +OK 99 octets
    * releaseContent 0
    state releasing
    ! contentReleased
    c <- .
    c => DELE 1
    s => +OK
    c => LIST 2
    s => +OK 2 100
    c => LIST
    s => +OK
    s => 1 100
    s => 2 100
    s => .
    c => UIDL
    s ~> +OK\\r\\n1 a\\r\\n2 b\\r\\n.\\r\\n
    c <~ +OK\\r\\n1 a\\r\\n2 b\\r\\n.\\r\\n
    c => TOP 2 0
    s -> -ERR no
    c <- -ERR no
    c => AUTH
    s => +OK
    s => PLAIN
    s => .
    c => LANG
    s => +OK
    s => de Deutsch
    s => .
    c => LANG de
    s => +OK de
    c => UTF8
    s => +OK
    c => NOOP
    s => +OK
    c => RSET
    s => +OK
    c => STAT
    s => +OK 2 200
    c => QUIT
    s => +OK bye
    s -|
    * endClient
    * endServer
    state ended
    c -|
  `);
  expect(inspector.messageHeader).toHaveLength(0);
});

test('a greeting of refusal passes, and nothing goes to the server before the greeting', () => {
  expect(dialogue(`
    c -> CAPA
    c waits 6
    s -> -ERR [SYS/TEMP] too many
    c <- -ERR [SYS/TEMP] too many
    s <- CAPA
    s -|
    * endClient
    * endServer
  `).inspector.state).toBe('ended');
});

test('a message without content, and one that is all dots', () => {
  expect(dialogue(`
    ${LOGIN}
    c => TOP 1 0
    s ~> +OK\\r\\n.\\r\\n
    * messageStart
    * messageEnd
    ! release
    c <- +OK
    * releaseContent 0
    ! contentReleased
    c <- .
    c => RETR 2
    s ~> +OK\\r\\n..\\r\\n...\\r\\n.x\\r\\n.\\r\\n
    * messageStart
    m <~ ..\\r\\n...\\r\\n.x\\r\\n
    * messageEnd
  `).inspector.state).toBe('held');
});

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
    c => DELE 2
    ${rest}
    c waits 1
    c -> NOOP
    c waits 7
    ! refuse 5 no
    c <- -ERR [SYS/PERM] no (r1)
    # The reply to DELE 2 comes first.
    s <- NOOP
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

test('what we answer ourselves is said in its turn', () => {
  expect(dialogue(`
    ${LOGIN}
    c ~> STAT\\r\\nXTND XMIT\\r\\nRETR 1\\r\\n\\r\\nRETR 010\\r\\nRETR\\r\\nRETR 0\\r\\nNOOP x\\r\\nNOOP\\r\\n
    s <~ STAT\\r\\nRETR 1\\r\\nRETR 10\\r\\nNOOP\\r\\n
    s -> +OK 1 1
    c <- +OK 1 1
    c <- -ERR [SYS/PERM] unknown command (r1)
    s ~> +OK\\r\\n.\\r\\n-ERR no\\r\\n+OK
    * messageStart
    * messageEnd
    ! release
    c <- +OK
    * releaseContent 0
    ! contentReleased
    c <- .
    c <- -ERR [SYS/PERM] unknown command (r1)
    c <- -ERR no
    c <- -ERR [SYS/PERM] wrong arguments (r1)
    c <- -ERR [SYS/PERM] wrong arguments (r1)
    c <- -ERR [SYS/PERM] wrong arguments (r1)
    s ~>  noop\\r\\n
    c <- +OK noop
    c -> bogus
    c <- -ERR [SYS/PERM] unknown command (r1)
  `).inspector.state).toBe('reply');
});

test('a client with too many commands outstanding is read no further', () => {
  const noops = (count: number): string => 'NOOP\\r\\n'.repeat(count);
  const oks = (count: number): string => '+OK\\r\\n'.repeat(count);
  expect(dialogue(`
    ${LOGIN}
    c ~> ${noops(MAX_OUTSTANDING_COMMANDS + 2)}
    s <~ ${noops(MAX_OUTSTANDING_COMMANDS)}
    c waits 12
    s ~> ${oks(1)}
    c <~ ${oks(1)}
    s <~ ${noops(1)}
    c waits 6
    s ~> ${oks(MAX_OUTSTANDING_COMMANDS)}
    c <~ ${oks(MAX_OUTSTANDING_COMMANDS)}
    s <~ ${noops(1)}
    c waits 0
  `).inspector.state).toBe('reply');
});

test('CAPA: what we do not understand is left out; STLS goes with hide', () => {
  const lines = (stls: string): string => `\\r\\nTOP\\r\\nSASL PLAIN LOGIN\\r\\n${stls}utf8 USER\\r\\nIMPLEMENTATION x y\\r\\n.\\r\\n`;
  for (const starttls of ['pass', 'hide', 'refuse'] as const) {
    const { inspector } = dialogue(
      `
      s => +OK
      c => capa
      s ~> +OK list${lines('STLS\\r\\nX-PIPE\\r\\nSTLSX\\r\\n..\\r\\n')}
      c <~ +OK list${lines(starttls === 'hide' ? '' : 'STLS\\r\\n')}
      c => CAPA
      s => -ERR
      `,
      starttls,
    );
    expect(inspector.state).toBe('reply');
  }
});

test('CAPA: a reply without an end is not collected for ever', () => {
  const line = `SASL ${'x'.repeat(1000)}\\r\\n`;
  const count = Math.ceil(MAX_CAPABILITIES_BYTES / 1007);
  expect(dialogue(`
    s => +OK
    c => CAPA
    s ~> +OK\\r\\n${line.repeat(count - 1)}
    state capabilities
    s ~> ${line}
    c <- -ERR [SYS/TEMP] the mail server broke the protocol (r1)
    * endClient
    * resetServer
    * violation line_too_long server
    state dead
  `).inspector.state).toBe('dead');
});

test('AUTH: one line of the client for each challenge, and none before', () => {
  const { heard } = dialogue(`
    s => +OK
    c ~> AUTH PLAIN\\r\\nAGpvZQBzZWNyZXQ=\\r\\nSTAT\\r\\n
    s <- AUTH PLAIN
    c waits 24
    s -> + 
    c <- + 
    s <- AGpvZQBzZWNyZXQ=
    c waits 6
    s -> +
    c <- +
    s <- STAT
    state reply
    s => -ERR [AUTH] no
    c => AUTH XOAUTH2 ${'x'.repeat(4000)}
    s => + ${'y'.repeat(5000)}
    state challenge
    c => *
    s => +OK no more
    c => NOOP
    s => +OK
  `);
  expect(heard.events.join()).not.toMatch(/secret|AGpv/u);
});

test('STLS: behind its reply everything passes unseen', () => {
  expect(dialogue(`
    s => +OK
    c => STLS
    s -> +OK begin
    c <- +OK begin
    * uninspected starttls
    state blind
    c ~> \\x16\\x03\\x01\\n\\0
    s <~ \\x16\\x03\\x01\\n\\0
    s ~> \\x16\\x03\\x03 -ERR
    c <~ \\x16\\x03\\x03 -ERR
    s ~> RETR
    c <~ RETR
    c -|
    * endServer
    s ~> x
    c <~ x
    s -|
    * endClient
  `).inspector.state).toBe('blind');
});

test('STLS refused by the server, by policy, or hidden: the conversation goes on', () => {
  expect(dialogue(`
    s => +OK
    c => STLS
    s => -ERR no
    c => NOOP
    s => +OK
  `).inspector.state).toBe('reply');
  const ours = (text: string): string => `
    s => +OK
    c ~> STLS\\r\\nNOOP\\r\\n
    c <- -ERR [SYS/PERM] ${text} (r1)
    s <- NOOP
    s => +OK
  `;
  dialogue(ours('TLS is not allowed here: mail is inspected'), 'refuse');
  dialogue(ours('unknown command'), 'hide');
});

const BROKEN_BY_CLIENT = `
  c <- -ERR [SYS/PERM] protocol error (r1)
  * endClient
  * endServer
`;
const BROKEN_BY_SERVER = `
  c <- -ERR [SYS/TEMP] the mail server broke the protocol (r1)
  * endClient
  * resetServer
`;

test('plaintext between STLS and the handshake ends it, from either side', () => {
  for (const bytes of ['c ~> STLS\\r\\nN', 'c ~> STLS\\r\\n\n      c ~> \\x16'])
    dialogue(`
      s => +OK
      ${bytes.replace('\n', '\ns <- STLS\n')}
      ${bytes.includes('\n') ? '' : 's <- STLS'}
      ${BROKEN_BY_CLIENT}
      * violation starttls_injection client
      s ~> +OK\\r\\n
    `);
  for (const bytes of ['s ~> +OK\\r\\n+OK injected\\r\\n', 's ~> +OK\\r\\nx'])
    dialogue(`
      s => +OK
      c => STLS
      ${bytes}
      c <- +OK
      * uninspected starttls
      * endClient
      * resetServer
      * violation starttls_injection server
      state dead
    `);
  expect(dialogue(`
    s => +OK
    c => STLS
    s => +OK
    * uninspected starttls
    s ~> x
    * endClient
    * resetServer
    * violation starttls_injection server
    c ~> \\x16
  `).inspector.state).toBe('dead');
});

test('lines of the client are strict', () => {
  const breaks = (bytes: string, code = 'bare_line_break'): void => {
    dialogue(`
      s => +OK
      c ~> ${bytes}
      ${BROKEN_BY_CLIENT}
      * violation ${code} client
      c ~> anything
      s ~> at all
      c -|
      s -|
      ! release
    `);
  };
  for (const bytes of ['NOOP\\n', 'NO\\rOP\\r\\n', 'NOOP\\r\\r\\n', '\\n', 'PASS a\\0b\\r\\n', 'AUTH PLAIN\\n']) breaks(bytes);
  breaks('x'.repeat(MAX_COMMAND_BYTES + 1), 'line_too_long');
  breaks(`${'x'.repeat(MAX_COMMAND_BYTES - 1)}\\r\\n`, 'line_too_long');
  breaks(`AUTH ${'x'.repeat(MAX_AUTH_LINE_BYTES - 5)}x`, 'line_too_long');
  expect(dialogue(`
    s => +OK
    c => PASS ${'x'.repeat(MAX_COMMAND_BYTES - 7)}
    s => +OK
    c => AUTH ${'x'.repeat(MAX_AUTH_LINE_BYTES - 7)}
    s => + go
    c => ${'x'.repeat(MAX_AUTH_LINE_BYTES - 2)}
    s => + go
    c ~> ${'x'.repeat(MAX_AUTH_LINE_BYTES + 1)}
    ${BROKEN_BY_CLIENT}
    * violation line_too_long client
  `).inspector.state).toBe('dead');
});

test('lines of the server are strict', () => {
  const breaks = (command: string, bytes: string, code: string): void => {
    dialogue(`
      s => +OK
      c => ${command}
      s ~> ${bytes}
      ${BROKEN_BY_SERVER}
      * violation ${code} server
      c ~> anything
      s ~> at all
    `);
  };
  for (const bytes of ['+OK\\n', '+OK \\r x\\r\\n', '+OK\\0\\r\\n', '\\n']) breaks('STAT', bytes, 'bare_line_break');
  for (const bytes of ['\\r\\n', '250 OK\\r\\n', '+ go\\r\\n', '+ok\\r\\n', '+O\\r\\n', ' +OK\\r\\n']) breaks('STAT', bytes, 'malformed_reply');
  breaks('AUTH', '+ go\\r\\n', 'malformed_reply');
  breaks('AUTH PLAIN', '+go\\r\\n', 'malformed_reply');
  breaks('STAT', 'x'.repeat(MAX_REPLY_LINE_BYTES + 1), 'line_too_long');
  breaks('CAPA', '+OK\\r\\nX\\nSTLS\\r\\n', 'bare_line_break');
  expect(dialogue(`
    s => +OK
    c => LIST
    s ~> +OK\\r\\n1 2\\r\\n2 3\\n.\\r\\n+OK\\r\\n
    c <~ +OK\\r\\n1 2\\r\\n
    * endClient
    * resetServer
    * violation bare_line_break server
  `).inspector.state).toBe('dead');
});

test('a reply that nobody asked for ends the conversation; a farewell reaches the client first', () => {
  for (const before of ['', 'c => AUTH PLAIN\ns => + go']) {
    dialogue(`
      s => +OK
      ${before}
      s -> +OK here is more
      ${BROKEN_BY_SERVER}
      * violation unexpected_reply server
    `);
    const { inspector } = dialogue(`
      s => +OK
      ${before}
      s ~> -ERR autologout\\r\\n+OK and more\\r\\n
      c <- -ERR autologout
      * endClient
      * endServer
      c -> STAT
      c waits 0
      s -|
    `);
    expect(inspector.state).toBe('ended');
  }
});

test('FIN of the server: the client never sees the end of a message that has none', () => {
  expect(dialogue(`
    ${LOGIN}
    c => RETR 1
    s ~> +OK\\r\\nFrom: a\\r\\n
    * messageStart
    ! keepAlive
    c <- +OK
    s ~> body\\r\\n.
    s -|
    * messageAbort
    * endClient
    * endServer
    ! keepAlive
    ! release
  `).inspector.state).toBe('ended');
});

test('FIN of the server behind a held message waits until it is settled', () => {
  dialogue(`
    ${HELD}
    s -|
    ! release
    c <- +OK 99 octets
    * releaseContent 0
    ! contentReleased
    c <- .
    * endClient
    * endServer
  `);
  expect(dialogue(`
    ${HELD}
    s -|
    ! refuse 5 no
    c <- -ERR [SYS/PERM] no (r1)
    * endClient
    * endServer
  `).inspector.state).toBe('ended');
});

test('FIN of the server between or within replies', () => {
  dialogue(`
    s -|
    * endClient
    * endServer
  `);
  expect(dialogue(`
    ${LOGIN}
    c => LIST
    s => +OK
    s ~> 1 2
    s -|
    * endClient
    * endServer
  `).inspector.state).toBe('ended');
});

test('FIN of the client is passed on, and the replies still come; a held message is given up', () => {
  dialogue(`
    ${LOGIN}
    c => RETR 1
    c => QUIT
    c ~> incompl
    c -|
    * endServer
    s ~> +OK\\r\\nx\\r\\n.\\r\\n+OK bye\\r\\n
    * messageStart
    * messageEnd
    ! release
    c <- +OK
    * releaseContent 0
    ! contentReleased
    c <- .
    c <- +OK bye
    s -|
    * endClient
  `);
  dialogue(`
    ${HELD}
    c -|
    * messageAbort
    * endClient
    * resetServer
    state ended
    ! release
    s -|
  `);
  // A DELE that waits is not taken yet: the FIN behind it waits, too.
  expect(dialogue(`
    ${HELD}
    c -> DELE 1
    c -|
    ! refuse 5 no
    c <- -ERR [SYS/PERM] no (r1)
    c <- -ERR [SYS/PERM] message 1 was withheld and stays on the server (r1)
    * endServer
  `).inspector.state).toBe('reply');
});

test('a violation while a message is held: it is given up, and its end not shown', () => {
  dialogue(`
    ${HELD}
    ! keepAlive
    c <- +OK 99 octets
    c ~> \\n
    * messageAbort
    * endClient
    * endServer
    * violation bare_line_break client
  `);
  expect(dialogue(`
    ${HELD}
    ! release
    c <- +OK 99 octets
    * releaseContent 0
    c ~> \\n
    * endClient
    * endServer
    * violation bare_line_break client
    ! contentReleased
  `).inspector.state).toBe('dead');
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
