import { describe, expect, test } from 'vitest';
import { MAX_EHLO_REPLY_BYTES } from './extensions.ts';
import { BROKEN, dead, stateAfter } from './testing/smtp-dialogue.ts';

describe('extensions', () => {
  const ehlo = (reply: string): string => `s => 220 hello\nc => EHLO client\ns ~> ${reply}`;

  test('those that the inspector does not implement are taken out, and the last line ends the reply', () => {
    expect(stateAfter(`${ehlo(
      '250-mx greets you\\r\\n250-PIPELINING\\r\\n250-CHUNKING\\r\\n250-SIZE 10\\r\\n250-AUTH PLAIN\\r\\n250-AUTH=LOGIN\\r\\n250-XCLIENT NAME\\r\\n' +
        '250-starttls\\r\\n250-XFORWARD\\r\\n250-BURL imap\\r\\n250-NEVERHEARDOF\\r\\n250-X-EXPS\\r\\n250 BINARYMIME\\r\\n',
    )}
      c <~ 250-mx greets you\\r\\n250-PIPELINING\\r\\n250-SIZE 10\\r\\n250-AUTH PLAIN\\r\\n250-AUTH=LOGIN\\r\\n250 starttls\\r\\n
    `)).toBe('commands');
  });

  test('a reply of which nothing but the greeting is left', () => {
    expect(stateAfter(`${ehlo('250-CHUNKING is my name\\r\\n250 CHUNKING\\r\\n')}
      c <- 250 CHUNKING is my name
    `)).toBe('commands');
  });

  test('are learnt anew each time', () => {
    expect(stateAfter(`${ehlo('250-mx\\r\\n250 CHUNKING\\r\\n')}
      c <- 250 mx
      c => EHLO again
      s ~> 250-mx\\r\\n250-BURL\\r\\n250 DSN\\r\\n
      c <~ 250-mx\\r\\n250 DSN\\r\\n
    `)).toBe('commands');
  });

  test('a refusal of EHLO passes', () => {
    expect(stateAfter(`s => 220 hello\nc => EHLO client\ns ~> 502-what\\r\\n\nc <- 502-what\ns => 502 is that?`)).toBe('commands');
  });

  test('nothing is given out before the reply is complete', () => {
    expect(stateAfter(`${ehlo('250-mx\\r\\n250-SIZE\\r\\n')}\ns -> 250 DSN\nc <~ 250-mx\\r\\n250-SIZE\\r\\n250 DSN\\r\\n`)).toBe('commands');
  });

  test('each reply has the whole limit', () => {
    const reply = `250 ${'x'.repeat(2000)}`;
    const times = Math.ceil(MAX_EHLO_REPLY_BYTES / 2000);
    expect(stateAfter(`s => 220 hello\n${`c => EHLO client\ns => ${reply}\n`.repeat(times)}`)).toBe('commands');
  });

  test('a reply without end is cut off', () => {
    const line = `250-X${'x'.repeat(1000)}\\r\\n`;
    expect(stateAfter(`${ehlo(line.repeat(Math.ceil(MAX_EHLO_REPLY_BYTES / 1000)))}
      c <- ${BROKEN}
      ${dead('line_too_long server')}
    `)).toBe('dead');
  });
});
