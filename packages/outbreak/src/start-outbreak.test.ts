import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Metrics } from '@sekisho/telemetry';
import { createTransport } from 'nodemailer';
import { afterEach, expect, test, vi } from 'vitest';
import { startSmtpLedger } from '../../../test/kit/smtp-ledger.ts';
import type { NoticeSettings } from './notices/settings.ts';
import { startOutbreak } from './start-outbreak.ts';
import { headersOf } from './testing/headers.ts';
import { SharedStore } from './testing/shared-store.ts';
import { silentLog, watchSettings } from './testing/site.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

const NOTICE = readFileSync(join(import.meta.dirname, 'notices/fixtures/amavis.eml'), 'latin1');

function noticeSettings(directory: string): NoticeSettings {
  return {
    listen: { host: '127.0.0.1', port: 0 },
    allow: ['127.0.0.1/32'],
    users: [],
    tls: undefined,
    maxBytes: 256_000,
    maxPerMinute: 30_000,
    patterns: [],
    builtInPatterns: true,
    kept: { directory, maxFiles: 100, maxBytes: 1_000_000 },
  };
}

test('a flood of notices is one alert, and an alert that comes back as a notice is none', async () => {
  const shared = await SharedStore.make();
  cleanups.push(() => shared.remove());
  const ledger = await startSmtpLedger();
  cleanups.push(() => ledger.stop());
  const metrics = new Metrics();
  const settings = { ...watchSettings(ledger.port, { thresholds: { device: 20, contact: 1000, signature: 30 } }), notices: noticeSettings(join(shared.path, '../kept')) };
  const running = await startOutbreak({ log: silentLog, metrics, store: await shared.open() }, settings);
  cleanups.push(() => running.close());
  const gateway = createTransport({ host: '127.0.0.1', port: running.noticesPort, pool: true, maxConnections: 5, ignoreTLS: true });
  cleanups.push(() => gateway.close());
  const bring = (raw: string | Buffer) => gateway.sendMail({ envelope: { from: '', to: ['notices@sekisho.example.com'] }, raw });

  for (let count = 0; count < 40; count += 1) await bring(NOTICE.replace(/^Message-ID:.*$/imu, `Message-ID: <${count}@gateway.example.net>`));
  await ledger.waitForMessages(1);
  const alert = ledger.messages[0]!.raw;
  expect(headersOf(alert).values.get('Subject')).toContain('Virus outbreak: one virus at several devices');
  const detections = async (): Promise<number> => (await (await shared.open()).detectionsAfter(null, 1000)).detections.length;
  await vi.waitUntil(async () => (await detections()) >= 40);
  const before = await detections();

  for (let count = 0; count < 10; count += 1) await bring(Buffer.concat([Buffer.from(`X-Copy: ${count}\r\n`), alert]));
  expect(await detections()).toBe(before);
  await running.drain();
  expect(ledger.messages).toHaveLength(1);
});
