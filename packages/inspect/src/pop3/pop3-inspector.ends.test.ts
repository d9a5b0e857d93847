import { expect, test } from 'vitest';
import { MAX_CAPABILITIES_BYTES } from './capabilities.ts';
import { MAX_AUTH_LINE_BYTES, MAX_COMMAND_BYTES, MAX_REPLY_LINE_BYTES } from './pop3-inspector.ts';
import { BROKEN_BY_CLIENT, BROKEN_BY_SERVER, dialogue, HELD, LOGIN } from './testing/dialogues.ts';

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
