import { describe, expect, it } from 'vitest';
import { caValidity, daysAfter, leafValidity, requireNotBefore, soundTime } from './validity.ts';

const now = new Date('2026-11-21T08:00:00Z');
const ca = caValidity(now);
const refusal = (code: string) => expect.objectContaining({ name: 'PkiError', code });

describe('validity', () => {
  it('begins an hour early and, of a CA, ends after twenty years', () => {
    expect(ca).toEqual({ notBefore: new Date('2026-11-21T07:00:00Z'), notAfter: new Date('2046-11-21T08:00:00Z') });
    const later = new Date('2027-01-01T00:00:00Z');
    expect(leafValidity(later, 2, ca)).toEqual({
      notBefore: new Date('2026-12-31T23:00:00Z'),
      notAfter: new Date('2027-01-03T00:00:00Z'),
    });
  });

  it('of a leaf does not begin before its CA, even when the clock is a little late', () => {
    expect(leafValidity(new Date('2026-11-21T07:30:00Z'), 1, ca).notBefore).toEqual(ca.notBefore);
  });

  it.each([Number.NaN, 0, Date.parse('1970-01-02'), Date.parse('2024-12-31'), Date.parse('2106-02-07'), Infinity])(
    'a clock at %s is absurd',
    (ms) => {
      expect(() => soundTime(ms)).toThrow(refusal('CLOCK_ABSURD'));
    },
  );

  it('counts whole seconds', () => {
    expect(soundTime(now.getTime() + 999)).toEqual(now);
  });

  it.each([0, -1, 1.5, Number.NaN, Infinity, 3651])('is not %s days', (days) => {
    expect(() => leafValidity(now, days, ca)).toThrow(refusal('BAD_VALIDITY'));
    expect(() => daysAfter(now, days)).toThrow(refusal('BAD_VALIDITY'));
  });

  it('of a leaf is never beyond its CA', () => {
    const nearEnd = new Date('2046-11-01T08:00:00Z');
    expect(leafValidity(nearEnd, 20, ca).notAfter).toEqual(ca.notAfter);
    expect(() => leafValidity(nearEnd, 21, ca)).toThrow(/at most 20 days/u);
    expect(() => leafValidity(new Date('2047-01-01T00:00:00Z'), 1, ca)).toThrow(/make a new operator/u);
  });

  it('needs a clock that is not behind what has happened, give or take an hour', () => {
    requireNotBefore(new Date('2026-11-21T07:00:00Z'), now, 'it was made');
    expect(() => requireNotBefore(new Date('2026-11-21T06:59:59Z'), now, 'it was made')).toThrow(refusal('CLOCK_ABSURD'));
    expect(() => leafValidity(new Date('2026-11-20T08:00:00Z'), 1, ca)).toThrow(refusal('CLOCK_ABSURD'));
  });
});
