import { createHash } from 'node:crypto';
import { type Disposition, DotUnstuffer, type Inspector, type InspectorSink, Pop3Inspector, SmtpInspector, type UninspectedCause } from '@sekisho/inspect';
import type { Logger } from '@sekisho/telemetry';
import { type MailProtocol, PROTOCOL_OF_PORT } from '@sekisho/wire';
import { rightOf } from '../policy/mail-right.ts';
import type { ScanResult } from '../scan/scanner.ts';
import { ScannerPool, type ScannerStatus } from '../scan/scanner-pool.ts';
import { shareOf } from '../settings.ts';
import { InspectionTally } from './inspection-tally.ts';
import { type Action, dispositionOf } from './policy.ts';
import type { InspectSettings } from './settings.ts';
import { Spool, SpoolRoom } from './spool.ts';

export type InspectedProtocol = 'smtp' | 'pop3';

/** What was found in a message, and what was done. */
export interface Verdict {
  readonly result: ScanResult;
  readonly action: Action;
  readonly bytes: number;
  /** From the end of the message to its verdict, milliseconds. */
  readonly scanMs: number;
  /** Names the content of an infected message that was fetched: SHA-256, hexadecimal; else, or when it can't be read, empty. */
  readonly digest: string;
}

/** A message whose end has come. */
interface CompleteMessage {
  readonly protocol: InspectedProtocol;
  readonly bytes: number;
  /** The beginning of its header; POP3 only. */
  readonly header: Buffer;
  readonly isAmbiguous: boolean;
  /** Of its session. */
  readonly reference: string;
  /** Nobody waits for the verdict any more. */
  readonly signal: AbortSignal;
}

/** What the inspected sessions of one worker share: the scanners, the room for spools, the policy. */
export class Inspection {
  readonly settings: InspectSettings;
  /** See Deadlines. */
  readonly keepAliveMs: number;
  readonly tally = new InspectionTally();
  readonly #relay: string;
  readonly #now: () => number;
  readonly #pool: ScannerPool;
  readonly #room: SpoolRoom;

  /** @param components now: monotonic milliseconds */
  constructor(
    components: { readonly log: Logger; readonly now: () => number },
    init: { readonly settings: InspectSettings; readonly relay: string; readonly workers: number; readonly keepAliveMs: number },
  ) {
    const { settings, workers } = init;
    this.settings = settings;
    this.keepAliveMs = init.keepAliveMs;
    this.#relay = init.relay;
    this.#now = components.now;
    this.#pool = new ScannerPool(components, {
      scanners: settings.clamd,
      maxInFlight: shareOf(settings.maxScansPerScanner, workers),
    });
    this.#room = new SpoolRoom({ maxBytes: shareOf(settings.maxSpoolBytes, workers) });
    this.#pool.start();
  }

  get scanners(): readonly ScannerStatus[] {
    return this.#pool.status();
  }

  get spoolBytes(): number {
    return this.#room.usedBytes;
  }

  /**
   * Why a session passes unseen; undefined when it is inspected. What is spoken at a well-known port is not the device's
   * to say: its word for TLS from the first byte would let plaintext pass.
   */
  unseen(claimed: MailProtocol, port: number): UninspectedCause | undefined {
    const protocol = PROTOCOL_OF_PORT.get(port) ?? claimed;
    if (protocol.endsWith('s')) return 'implicit_tls';
    const kind = rightOf(protocol);
    if (kind === 'imap') return 'imap';
    return this.settings[kind] ? undefined : 'off';
  }

  inspector(protocol: InspectedProtocol, sink: InspectorSink, reference: string): Inspector {
    const init = { starttls: this.settings.starttls, reference };
    return protocol === 'smtp' ? new SmtpInspector({ sink }, init) : new Pop3Inspector({ sink }, init);
  }

  /** Where the content of a message waits. */
  spool(onDrain: () => void): Spool {
    return new Spool({ room: this.#room, onDrain }, { directory: this.settings.spoolDirectory });
  }

  /** What is to be done about a complete message. Rejects only when the spool was discarded meanwhile. */
  async judge(
    spool: Spool,
    message: CompleteMessage,
  ): Promise<{ readonly verdict: Verdict; readonly disposition: Disposition }> {
    const startMs = this.#now();
    const result = await this.#scan(spool, message);
    const { protocol, reference, header, bytes } = message;
    const judged = { protocol, relay: this.#relay, reference, header, at: new Date() };
    const { action, disposition } = dispositionOf(this.settings, result, judged);
    const scanMs = Math.round(this.#now() - startMs);
    // A disk that fails now must not keep the virus from being told.
    const digest = result.kind === 'infected' && protocol === 'pop3' ? await digestOf(spool).catch(() => '') : '';
    return { verdict: { result, action, bytes, scanMs, digest }, disposition };
  }

  close(): void {
    this.#pool.close();
  }

  async #scan(spool: Spool, { protocol, bytes, isAmbiguous, signal }: CompleteMessage): Promise<ScanResult> {
    const { maxScanBytes, scanTimeoutMs } = this.settings;
    await spool.finish();
    if (isAmbiguous) return { kind: 'unscannable', cause: 'ambiguous', detail: '' };
    // One that is fetched must have been kept to be passed; of one that is sent, nothing is kept when it is too big.
    const isTooBig = bytes > maxScanBytes && (protocol === 'smtp' || spool.failure === undefined);
    if (isTooBig) return { kind: 'unscannable', cause: 'too_big', detail: `${bytes} bytes` };
    if (spool.failure !== undefined) return { kind: 'unscannable', cause: 'no_room', detail: spool.failure };
    const source = { bytes, chunks: () => unstuffed(spool) };
    return this.#pool.scan(source, { timeoutMs: scanTimeoutMs, signal });
  }
}

/** The content as its reader gets it: dots unstuffed. A scanner has sent a chunk before it asks for the next but one. */
async function* unstuffed(spool: Spool): AsyncGenerator<Buffer, void> {
  const unstuffer = new DotUnstuffer();
  for await (const chunk of spool.read(0, { reuse: true })) yield* unstuffer.push(chunk);
}

async function digestOf(spool: Spool): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of spool.read(0, { reuse: true })) hash.update(chunk);
  return hash.digest('hex');
}
