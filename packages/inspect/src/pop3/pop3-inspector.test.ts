import { expect, test } from 'vitest';
import { MAX_OUTSTANDING_COMMANDS } from './outstanding-commands.ts';
import { dialogue, HELD, LOGIN } from './testing/dialogues.ts';

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
