import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Detection } from '@sekisho/store';
import { createLogger, Metrics } from '@sekisho/telemetry';
import { createTransport } from 'nodemailer';
import { makeTempDir } from '../../../../../test/kit/temp-dir.ts';
import { type NoticeServer, startNoticeServer } from '../notice-server.ts';
import type { NoticeSettings } from '../settings.ts';

/** A notice server on loopback that records into a list. */
export interface UnderTest {
  readonly server: NoticeServer;
  readonly recorded: Detection[];
  readonly batches: number[];
  readonly logged: Record<string, unknown>[];
  readonly directory: string;
  /** What recording does first; may throw. */
  beforeRecording: () => Promise<void> | void;
  /** What is passed to recording later than the clock says. */
  skewMs: number;
  kept(): Promise<string[]>;
  count(result: string): Promise<number>;
  keptGauge(): Promise<number>;
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export async function serverUnderTest(init: Partial<NoticeSettings> = {}): Promise<UnderTest> {
  const directory = await makeTempDir('notices');
  const settings: NoticeSettings = {
    listen: { host: '127.0.0.1', port: 0 },
    allow: ['127.0.0.1/32'],
    users: [],
    tls: undefined,
    maxBytes: 256_000,
    maxPerMinute: 100_000,
    patterns: [],
    builtInPatterns: true,
    ...init,
    kept: { maxFiles: 100, maxBytes: 10_000_000, ...init.kept, directory: join(directory.path, 'kept') },
  };
  let metrics = new Metrics();
  const start = (): Promise<NoticeServer> => {
    metrics = new Metrics();
    const record = async (detections: readonly Detection[]): Promise<void> => {
      await test.beforeRecording();
      test.batches.push(detections.length);
      test.recorded.push(...detections);
    };
    const log = createLogger({ role: 'outbreak', level: 'debug', destination: { write: (line) => test.logged.push(JSON.parse(line) as Record<string, unknown>) } });
    return startNoticeServer({ log, metrics, record, now: () => Date.now() + test.skewMs }, settings);
  };
  const valueOf = async (name: string, result?: string): Promise<number> => {
    const metric = (await metrics.registry.getMetricsAsJSON()).find((one) => one.name === name);
    return metric?.values.find(({ labels }) => result === undefined || labels['result'] === result)?.value ?? Number.NaN;
  };
  const test: Omit<UnderTest, 'server'> & { server: NoticeServer | undefined } = {
    server: undefined,
    recorded: [],
    batches: [],
    logged: [],
    directory: settings.kept.directory,
    beforeRecording: () => undefined,
    skewMs: 0,
    kept: () => readdir(settings.kept.directory),
    count: (result) => valueOf('sekisho_outbreak_notices_total', result),
    keptGauge: () => valueOf('sekisho_outbreak_notices_kept'),
    restart: async () => {
      await test.server?.close();
      test.server = await start();
    },
    stop: async () => {
      await test.server?.close();
      await directory.remove();
    },
  };
  test.server = await start();
  return test as UnderTest;
}

/** A notice of the fixtures, with the line ends of SMTP. */
export function notice(name: string): Buffer {
  return Buffer.from(readFileSync(join(import.meta.dirname, '../fixtures', `${name}.eml`), 'latin1').replaceAll('\n', '\r\n'), 'latin1');
}

export interface Sending {
  readonly port: number;
  readonly auth?: { readonly user: string; readonly pass: string };
  readonly localAddress?: string;
  readonly ca?: string;
}

/** Sends a notice with nodemailer; resolves with the reply, be it good or bad. */
export async function send(raw: Buffer | string, { port, auth, localAddress, ca }: Sending): Promise<string> {
  const transport = createTransport({
    host: '127.0.0.1',
    port,
    ignoreTLS: ca === undefined,
    requireTLS: ca !== undefined,
    ...(ca === undefined ? {} : { tls: { ca, servername: 'localhost' } }),
    ...(auth === undefined ? {} : { auth }),
    ...(localAddress === undefined ? {} : { localAddress }),
  });
  try {
    const { response } = await transport.sendMail({ envelope: { from: 'gateway@example.com', to: ['notices@example.com'] }, raw });
    return response;
  } catch (error) {
    return (error as { response?: string }).response ?? String(error);
  } finally {
    transport.close();
  }
}
