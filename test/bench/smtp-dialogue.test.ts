import { expect, test } from 'vitest';
import { SmtpDialogue } from '../../bench/load/smtp-dialogue.ts';

test('a dialogue sends one mail of 4 KiB, a command for each reply', () => {
  const dialogue = new SmtpDialogue();
  const said = ['220 hello', '250 you', '250 from', '250 to', '354 go on'].map((reply) => dialogue.received(Buffer.from(`${reply}\r\n`)));
  expect(said.slice(0, 4).map(String)).toEqual(['HELO bench.example.com\r\n', 'MAIL FROM:<a@example.com>\r\n', 'RCPT TO:<b@example.net>\r\n', 'DATA\r\n']);
  const mail = String(said[4]);
  expect(mail.length).toBeGreaterThan(4096);
  expect(mail.length).toBeLessThan(4300);
  expect(mail.endsWith('\r\n.\r\n')).toBe(true);
  expect(String(dialogue.received(Buffer.from('250 taken\r\n')))).toBe('QUIT\r\n');
  expect(dialogue.received(Buffer.from('221 bye\r\n'))).toBe('done');
});

test('it waits for the end of a reply, and takes no refusal', () => {
  const dialogue = new SmtpDialogue();
  expect(dialogue.received(Buffer.from('220 he'))).toBeUndefined();
  expect(String(dialogue.received(Buffer.from('llo\r\n')))).toBe('HELO bench.example.com\r\n');
  expect(() => dialogue.received(Buffer.from('421 not now\r\n'))).toThrow(/421 not now/u);
});
