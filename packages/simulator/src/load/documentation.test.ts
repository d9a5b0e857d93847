import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { MIN_MAIL_BYTES } from './content/mail.ts';
import { PHASES } from './figures/tally.ts';
import { LOAD_ERRORS, STAGES } from './load-error.ts';
import { meanBytes, type Mix, MIXES } from './mix.ts';

const page = readFileSync(new URL('../../../../docs/load.md', import.meta.url), 'utf8');

/** The rows of the table with this head, without the marks of code. */
function table(head: string): string[][] {
  const [, text = ''] = page.split(`\n| ${head} |`);
  const lines = text.split('\n').slice(2);
  return lines.slice(0, lines.findIndex((line) => !line.startsWith('|'))).map((line) => line.split('|').slice(1, -1).map((cell) => cell.trim().replaceAll('`', '')));
}

const sizeText = (bytes: number): string => (bytes >= 2 ** 20 ? `${bytes / 2 ** 20} MiB` : `${bytes / 2 ** 10} KiB`);

test('docs/load.md has every error with its meaning, every phase and every stage', () => {
  expect(table('code | meaning')).toEqual(Object.entries(LOAD_ERRORS));
  expect(table('phase | from | to').map(([phase]) => phase)).toEqual(PHASES);
  const [, stages = ''] = /The stages are ([^.]+)\./u.exec(page) ?? [];
  expect(Array.from(stages.matchAll(/`(\w+)`/gu), ([, stage]) => stage)).toEqual(STAGES);
});

test('docs/load.md has every mix as it is', () => {
  expect(table('mix | sizes | mean | fetched by POP3')).toEqual(
    Object.entries<Mix>(MIXES).map(([name, mix]) => [
      name,
      mix.sizes.map(({ share, bytes }) => `${share * 100} % ${sizeText(bytes)}`).join(', '),
      `${Math.round(meanBytes(mix) / 1024)} KiB`,
      `${mix.fetchShare * 100} %`,
    ]),
  );
  expect(page).toContain(`at least ${MIN_MAIL_BYTES}`);
});
