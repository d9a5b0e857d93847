import { expect, test } from 'vitest';
import { DIFFER_ALARM_MS, SignatureAgreement } from './signature-agreement.ts';

test('scanners of one version agree, and one that does not say its version is not counted', () => {
  const agreement = new SignatureAgreement();
  expect(agreement.update([27_450, 27_450, 0], 0)).toBeUndefined();
  expect(agreement.update([], 1)).toBeUndefined();
  expect(agreement.differsForMs(2)).toBe(0);
});

test('they differ while one updates itself before the other; for long, it is an alarm, once', () => {
  const agreement = new SignatureAgreement();
  expect(agreement.update([1, 2], 1000)).toBeUndefined();
  expect(agreement.differsForMs(5000)).toBe(4000);
  expect(agreement.update([1, 2], 999 + DIFFER_ALARM_MS)).toBeUndefined();
  expect(agreement.update([1, 2], 1000 + DIFFER_ALARM_MS)).toBe('alarm');
  expect(agreement.update([1, 3], 2000 + DIFFER_ALARM_MS)).toBeUndefined();
  expect(agreement.update([3, 3], 3000 + DIFFER_ALARM_MS)).toBe('over');
  expect(agreement.update([3, 3], 4000 + DIFFER_ALARM_MS)).toBeUndefined();
  expect(agreement.update([3, 4], 5000 + DIFFER_ALARM_MS)).toBeUndefined();
});
