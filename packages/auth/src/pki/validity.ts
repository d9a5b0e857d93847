import { PkiError } from './pki-error.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Certificates start this long before they are made: clocks of routers are late. */
const BACKDATE_MS = HOUR_MS;
/** Nothing of an operator is valid for longer; its CA certificate itself is made for 20 years. */
const MAX_VALIDITY_DAYS = 3650;
const CA_VALIDITY_YEARS = 20;

// A machine without a battery for its clock wakes up in 1970, one with a wrapped counter in 2106.
const EARLIEST = Date.UTC(2025, 0, 1);
const LATEST = Date.UTC(2100, 0, 1);

/** The span in which a certificate is valid, in whole seconds as X.509 has them. */
export interface Validity {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** Returns the time as a date in whole seconds. Throws PkiError `CLOCK_ABSURD` when it can't be the present. */
export function soundTime(nowMs: number): Date {
  if (!(nowMs >= EARLIEST && nowMs < LATEST))
    throw new PkiError(
      'CLOCK_ABSURD',
      `this machine's clock says ${describeTime(nowMs)}: set it right (\`date -u\`), then try again`,
    );
  return new Date(Math.floor(nowMs / 1000) * 1000);
}

/** The validity of a CA certificate made now. */
export function caValidity(now: Date): Validity {
  const notAfter = new Date(now);
  notAfter.setUTCFullYear(notAfter.getUTCFullYear() + CA_VALIDITY_YEARS);
  return { notBefore: new Date(now.getTime() - BACKDATE_MS), notAfter };
}

/**
 * The validity of a certificate of `days` made now and signed by a CA that is valid in `ca`.
 * Throws PkiError `BAD_VALIDITY` when it would outlive its CA, `CLOCK_ABSURD` when the CA is not valid yet.
 */
export function leafValidity(now: Date, days: number, ca: Validity): Validity {
  requireDays(days);
  requireNotBefore(now, ca.notBefore, 'the operator was made');
  const notAfter = new Date(now.getTime() + days * DAY_MS);
  if (notAfter > ca.notAfter) throw outlives(now, ca.notAfter);
  return { notBefore: new Date(Math.max(now.getTime() - BACKDATE_MS, ca.notBefore.getTime())), notAfter };
}

/** The end of `days` from now. Throws PkiError `BAD_VALIDITY`. */
export function daysAfter(now: Date, days: number): Date {
  requireDays(days);
  return new Date(now.getTime() + days * DAY_MS);
}

/** Throws PkiError `CLOCK_ABSURD` when now is before something that has already happened, give or take an hour. */
export function requireNotBefore(now: Date, past: Date, event: string): void {
  if (now.getTime() < past.getTime() - HOUR_MS)
    throw new PkiError(
      'CLOCK_ABSURD',
      `this machine's clock says ${now.toISOString()}, but ${event} at ${past.toISOString()}: set the clock right first`,
    );
}

function outlives(now: Date, caEnd: Date): PkiError {
  const daysLeft = Math.floor((caEnd.getTime() - now.getTime()) / DAY_MS);
  const advice = daysLeft < 1 ? 'make a new operator' : `ask for at most ${daysLeft} days`;
  return new PkiError('BAD_VALIDITY', `the operator's CA certificate ends at ${caEnd.toISOString()}: ${advice}`);
}

function requireDays(days: number): void {
  if (!Number.isSafeInteger(days) || days < 1 || days > MAX_VALIDITY_DAYS)
    throw new PkiError('BAD_VALIDITY', `the validity is a whole number of days, 1 to ${MAX_VALIDITY_DAYS}`);
}

function describeTime(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? 'nothing that is a time' : date.toISOString();
}
