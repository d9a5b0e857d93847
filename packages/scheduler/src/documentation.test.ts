import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { DEFAULT_SETTINGS } from './settings.ts';

test('docs/scheduling.md names every setting with its default, and no other', () => {
  const text = readFileSync(new URL('../../../docs/scheduling.md', import.meta.url), 'utf8');
  const documented = Array.from(text.matchAll(/^\| `(\w+)` \| `?([\w.-]+)`? \|/gm), (match) => [match[1], match[2]]);
  const actual = Object.entries(DEFAULT_SETTINGS).map(([name, value]) => [name, String(value)]);
  expect(documented).toEqual(actual);
});
