import { createLogger } from '@sekisho/telemetry';
import { afterEach, expect, test } from 'vitest';
import { inspectSettings } from '../../test/inspect-settings.ts';
import { Inspection } from './inspection.ts';

let inspection: Inspection;
afterEach(() => inspection.close());

function made(change: Parameters<typeof inspectSettings>[0]): Inspection {
  const log = createLogger({ role: 'relay', level: 'silent' });
  inspection = new Inspection({ log, now: () => 0 }, { settings: inspectSettings(change), relay: 's1', workers: 1, keepAliveMs: 5000 });
  return inspection;
}

test('a session is inspected, or passes for a reason that is counted', () => {
  const { settings } = made({});
  expect(settings).toMatchObject({ smtp: true, pop3: true });
  expect(inspection.unseen('smtp', 2525)).toBeUndefined();
  expect(inspection.unseen('pop3', 1110)).toBeUndefined();
  expect(inspection.unseen('imap', 143)).toBe('imap');
  for (const protocol of ['smtps', 'pop3s', 'imaps'] as const) expect(inspection.unseen(protocol, 10_000)).toBe('implicit_tls');
  inspection.close();
  expect(made({ pop3: false }).unseen('pop3', 110)).toBe('off');
});

test('at a well-known port it is the port that says whether there is TLS, and not the device', () => {
  made({});
  expect(inspection.unseen('smtps', 25)).toBeUndefined();
  expect(inspection.unseen('smtps', 587)).toBeUndefined();
  expect(inspection.unseen('pop3s', 110)).toBeUndefined();
  expect(inspection.unseen('smtp', 465)).toBe('implicit_tls');
  expect(inspection.unseen('pop3', 995)).toBe('implicit_tls');
});
