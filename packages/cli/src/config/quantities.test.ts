import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { duration, size } from './quantities.ts';

const DURATIONS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const SIZES = { B: 1, KB: 1e3, MB: 1e6, GB: 1e9, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };

describe.each([
  ['duration', duration('1s', { min: '0ms', max: '100000d' }), DURATIONS],
  ['size', size('1B', { min: '0B', max: '1000000GB' }), SIZES],
])('%s', (_name, quantity, units) => {
  test('property: a number and a unit is their product', () => {
    fc.assert(
      fc.property(fc.nat(100_000), fc.constantFrom(...Object.entries(units)), (number, [unit, scale]) => {
        expect(quantity.parse(`${number}${unit}`)).toBe(number * scale);
      }),
    );
  });

  test('property: anything else is refused with its form, and never becomes a number', () => {
    const form = new RegExp(`^\\d+(?:${Object.keys(units).join('|')})$`, 'u');
    const near = fc.string({ unit: fc.constantFrom('0', '1', '9', '.', '-', '+', ' ', 'e', 'm', 's', 'K', 'i', 'B', '\n', '٣'), maxLength: 8 });
    fc.assert(
      fc.property(fc.oneof(near, fc.string()), (text) => {
        const parsed = quantity.safeParse(text);
        if (form.test(text)) return;
        expect(parsed.success).toBe(false);
        expect(parsed.error?.issues[0]?.message).toMatch(/^a (?:duration|size) is a number with a unit: /u);
      }),
    );
  });

  test.each([5, 0, null, true, [], {}])('%j is no text', (value) => {
    expect(quantity.safeParse(value).success).toBe(false);
  });
});

test('property: the bounds hold, whatever the units', () => {
  const schema = duration('1s', { min: '500ms', max: '2m' });
  fc.assert(
    fc.property(fc.nat(200_000), fc.constantFrom(...Object.entries(DURATIONS)), (number, [unit, scale]) => {
      const inside = number * scale >= 500 && number * scale <= 120_000;
      expect(schema.safeParse(`${number}${unit}`).success).toBe(inside);
    }),
    { numRuns: 500 },
  );
  expect(schema.parse('500ms')).toBe(500);
  expect(schema.parse('2m')).toBe(120_000);
  expect(schema.safeParse(`${'9'.repeat(400)}d`).success).toBe(false);
  expect(schema.safeParse('3m').error?.issues[0]?.message).toBe('must be from 500ms to 2m');
});

test('what is not said is the standard', () => {
  const schema = z.strictObject({ wait: duration('90s', { min: '1s', max: '1h' }), window: size('256KiB', { min: '0B', max: '1GB' }) });
  expect(schema.parse({})).toEqual({ wait: 90_000, window: 262_144 });
});
