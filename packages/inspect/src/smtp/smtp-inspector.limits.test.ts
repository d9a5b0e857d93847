import { describe, expect, test } from 'vitest';
import { MAX_AUTH_LINE_BYTES, MAX_COMMAND_LINE_BYTES } from './command.ts';
import { MAX_REPLY_LINE_BYTES } from './reply-reader.ts';
import { BROKEN, dead, GREETED, stateAfter } from './testing/smtp-dialogue.ts';

describe('line endings and limits', () => {
  test.each(['NOOP\\n', 'NO\\rOP\\r\\n', 'NOOP\\r\\r\\n', 'NOOP x\\0\\r\\n', 'MAIL FROM:<a@b>\\nRCPT TO:<c@d>\\r\\n'])(
    'the command %s ends the session',
    (command) => expect(stateAfter(`${GREETED}
      c ~> ${command}
      c <- 500 5.5.2 a line ends with CRLF, and has no other CR, LF or NUL (r7)
      ${dead('bare_line_break client')}
    `)).toBe('dead'),
  );

  test('a command of the greatest length, and one that is longer', () => {
    const longest = `NOOP ${'x'.repeat(MAX_COMMAND_LINE_BYTES - 7)}`;
    expect(stateAfter(`${GREETED}c => ${longest}\ns => 250 ok`)).toBe('commands');
    expect(stateAfter(`${GREETED}
      c ~> x${longest}\\r\\n
      c <- 500 5.5.2 the line is too long (r7)
      ${dead('line_too_long client')}
    `)).toBe('dead');
  });

  test('AUTH may be longer', () => {
    const response = 'x'.repeat(MAX_AUTH_LINE_BYTES - 2);
    const command = `auth PLAIN ${'x'.repeat(MAX_AUTH_LINE_BYTES - 13)}`;
    expect(stateAfter(`${GREETED}c => ${command}\ns => 334 ${'y'.repeat(MAX_REPLY_LINE_BYTES)}\nc => ${response}\ns => 235 ok`)).toBe('commands');
    expect(stateAfter(`${GREETED}c ~> ${command}x\\r\\n\nc <- 500 5.5.2 the line is too long (r7)\n${dead('line_too_long client')}`)).toBe('dead');
    expect(stateAfter(`${GREETED}
      c => AUTH PLAIN
      s => 334 
      c ~> x${response}\\r\\n
      c <- 500 5.5.2 the line is too long (r7)
      ${dead('line_too_long client')}
    `)).toBe('dead');
  });

  test('a reply of the greatest length, and one that is longer', () => {
    const longest = `250 ${'x'.repeat(MAX_REPLY_LINE_BYTES - 6)}`;
    expect(stateAfter(`${GREETED}c => NOOP\ns => ${longest}`)).toBe('commands');
    expect(stateAfter(`${GREETED}c => NOOP\ns ~> ${longest}x\\r\\n\nc <- ${BROKEN}\n${dead('line_too_long server')}`)).toBe('dead');
  });

  test.each(['250 ok\\n', '250 o\\rk\\r\\n', '250 o\\0k\\r\\n'])('the reply %s ends the session', (reply) => {
    expect(stateAfter(`${GREETED}c => NOOP\ns ~> ${reply}\nc <- ${BROKEN}\n${dead('bare_line_break server')}`)).toBe('dead');
  });
});
