import { SESSION_ID_BYTES } from '@sekisho/wire';
import { expect, test } from 'vitest';
import { newSessionId } from './session-ids.ts';

test('ids are of their length, none comes twice, and an old one does not change', () => {
  const ids = Array.from({ length: 1000 }, newSessionId);
  const before = ids.map((id) => id.toString('hex'));
  for (let more = 0; more < 1000; more += 1) newSessionId();
  expect(new Set(before).size).toBe(1000);
  expect(ids.map((id) => id.toString('hex'))).toEqual(before);
  expect(ids.every((id) => id.length === SESSION_ID_BYTES)).toBe(true);
});
