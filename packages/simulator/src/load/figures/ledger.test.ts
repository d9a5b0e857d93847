import { expect, test } from 'vitest';
import { balance, Ledger, MAX_MAILS } from './ledger.ts';

function books(count = 2): Ledger[] {
  return Array.from({ length: count }, (_, worker) => new Ledger({ worker }));
}

const close = (ledgers: readonly Ledger[]) => balance(ledgers.map((ledger) => ledger.parts()));

test('what each was promised is found in the books of all', () => {
  const [first, second] = books() as [Ledger, Ledger];
  for (let mail = 0; mail < 20_000; mail += 1) {
    first.accepted(first.send());
    // Through a port that both listen at, mails come to either of them.
    (mail % 3 === 0 ? first : second).stored(0, mail);
  }
  expect(close([first, second]).up).toEqual({
    sent: 20_000, accepted: 20_000, stored: 20_000, lost: 0, duplicate: 0, altered: 0, unconfirmed: 0, foreign: 0,
  });
});

test('a mail that was promised and is nowhere is lost', () => {
  const [first, second] = books() as [Ledger, Ledger];
  for (const sequence of [first.send(), first.send(), first.send()]) first.accepted(sequence);
  second.stored(0, 0);
  second.stored(0, 2);
  // Another sender's mail of that number is no substitute.
  first.stored(1, 1);
  expect(close([first, second]).up).toMatchObject({ sent: 3, accepted: 3, lost: 1, stored: 3, unconfirmed: 1 });
});

test('a mail that is there twice is a duplicate, in one process or in two', () => {
  const [first, second] = books() as [Ledger, Ledger];
  first.accepted(first.send());
  first.stored(0, 0);
  expect(close([first, second]).up.duplicate).toBe(0);
  second.stored(0, 0);
  expect(close([first, second]).up).toMatchObject({ stored: 1, duplicate: 1 });
  second.stored(0, 0);
  expect(close([first, second]).up).toMatchObject({ stored: 1, duplicate: 2 });
});

test('stored without the promise is no loss: the client would send again', () => {
  const [only] = books(1) as [Ledger];
  only.send();
  only.stored(0, 0);
  expect(close([only]).up).toMatchObject({ sent: 1, accepted: 0, stored: 1, unconfirmed: 1, lost: 0 });
});

test('a number past the limit is refused', () => {
  const [only] = books(1) as [Ledger];
  expect(() => only.stored(0, MAX_MAILS)).toThrow(RangeError);
  expect(() => only.stored(0, -1)).toThrow(RangeError);
});
