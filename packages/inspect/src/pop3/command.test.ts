import { expect, test } from 'vitest';
import { parseCommand } from './command.ts';

function parsed(line: string): string {
  const command = parseCommand(Buffer.from(`${line}\r\n`, 'latin1'));
  if (typeof command === 'string') return command;
  const { verb, reply, message, wire } = command;
  return `${verb} ${reply} ${message} ${wire.toString('latin1').replace(/\r\n$/u, '')}`;
}

test('what each command is, and what the server is told', () => {
  const table: readonly (readonly [line: string, command: string])[] = [
    ['USER joe', 'USER single 0 USER joe'],
    ['pass  a b ', 'PASS single 0 pass  a b '],
    ['PASS', 'PASS single 0 PASS'],
    ['APOP joe 0123', 'APOP single 0 APOP joe 0123'],
    ['AUTH', 'AUTH list 0 AUTH'],
    ['auth  ', 'AUTH list 0 auth'],
    ['AUTH PLAIN =', 'AUTH auth 0 AUTH PLAIN ='],
    ['STAT', 'STAT single 0 STAT'],
    ['StaT ', 'STAT single 0 StaT'],
    ['STAT 1', 'bad_argument'],
    ['LIST', 'LIST list 0 LIST'],
    ['LIST  ', 'LIST list 0 LIST'],
    ['LIST 7', 'LIST single 7 LIST 7'],
    ['LIST x', 'bad_argument'],
    ['LIST 1 2', 'bad_argument'],
    ['UIDL', 'UIDL list 0 UIDL'],
    ['UIDL 007', 'UIDL single 7 UIDL 7'],
    ['RETR 12', 'RETR message 12 RETR 12'],
    ['retr   012  ', 'RETR message 12 retr 12'],
    ['RETR', 'bad_argument'],
    ['RETR 0', 'bad_argument'],
    ['RETR -1', 'bad_argument'],
    ['RETR +1', 'bad_argument'],
    ['RETR 1a', 'bad_argument'],
    ['RETR 0x1', 'bad_argument'],
    ['RETR 1 2', 'bad_argument'],
    ['RETR 1\t', 'bad_argument'],
    ['RETR \xb2', 'bad_argument'],
    ['RETR 999999999', 'RETR message 999999999 RETR 999999999'],
    ['RETR 4294967297', 'bad_argument'],
    ['DELE 3', 'DELE single 3 DELE 3'],
    ['TOP 1 0', 'TOP message 1 TOP 1 0'],
    ['TOP 01  0010', 'TOP message 1 TOP 1 10'],
    ['TOP 1 000', 'TOP message 1 TOP 1 0'],
    ['TOP 1', 'bad_argument'],
    ['TOP 0 1', 'bad_argument'],
    ['TOP 1 -1', 'bad_argument'],
    ['TOP 1 1 1', 'bad_argument'],
    ['NOOP', 'NOOP single 0 NOOP'],
    ['RSET', 'RSET single 0 RSET'],
    ['QUIT', 'QUIT single 0 QUIT'],
    ['CAPA', 'CAPA capabilities 0 CAPA'],
    ['STLS', 'STLS stls 0 STLS'],
    ['LANG', 'LANG list 0 LANG'],
    ['LANG *', 'LANG single 0 LANG *'],
    ['utf8', 'UTF8 single 0 utf8'],
    ['UTF8 x', 'bad_argument'],
    ['XTND XMIT', 'unknown_command'],
    ['toString', 'unknown_command'],
    ['RETR\t1', 'unknown_command'],
    [' NOOP', 'unknown_command'],
    ['TOP1 1', 'unknown_command'],
    ['RETRO 1', 'unknown_command'],
    ['', 'unknown_command'],
    [' ', 'unknown_command'],
  ];
  expect(table.map(([line]) => [line, parsed(line)])).toEqual(table);
});
