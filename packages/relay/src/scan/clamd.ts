import { askClamd } from './clamd-exchange.ts';
import { type ClamdVersion, parseScanReply, parseVersionReply, quoted } from './clamd-reply.ts';
import { EICAR } from './eicar.ts';
import type { ScanOutcome, ScanSource } from './scanner.ts';
import type { ScannerAddress } from './scanner-address.ts';
import type { ScannerTimings } from './scanner-timings.ts';

/** Those of one scanner's connections. */
type ClamdTimings = Pick<ScannerTimings, 'connectMs' | 'stallMs' | 'pingMs' | 'canaryMs'>;

/** One clamd. A connection for each question; none of its answers rejects. */
export class Clamd {
  readonly #address: ScannerAddress;
  readonly #timings: ClamdTimings;

  constructor(init: { readonly address: ScannerAddress; readonly timings: ClamdTimings }) {
    this.#address = init.address;
    this.#timings = init.timings;
  }

  /** Sends the content whole and waits for the verdict until the signal. */
  scan(source: ScanSource, signal: AbortSignal): Promise<ScanOutcome> {
    return this.#instream(source.chunks(), { signal });
  }

  /** Undefined when it answers, else what is wrong. */
  async ping(signal: AbortSignal): Promise<string | undefined> {
    const answer = await this.#ask('PING', signal);
    if (answer.kind !== 'reply') return answer.why;
    return answer.text === 'PONG' ? undefined : `it answered ${quoted(answer.text)} to PING`;
  }

  /** Undefined when it does not say: the command can be switched off. */
  async version(signal: AbortSignal): Promise<ClamdVersion | undefined> {
    const answer = await this.#ask('VERSION', signal);
    return answer.kind === 'reply' && answer.text.startsWith('ClamAV') ? parseVersionReply(answer.text) : undefined;
  }

  /** Has it scan the EICAR test. */
  canary(signal: AbortSignal): Promise<ScanOutcome> {
    return this.#instream(testFile(), { signal, timeoutMs: this.#timings.canaryMs });
  }

  #ask(command: 'PING' | 'VERSION', signal: AbortSignal): ReturnType<typeof askClamd> {
    const { connectMs, stallMs, pingMs } = this.#timings;
    return askClamd({ address: this.#address, command, connectMs, stallMs, timeoutMs: pingMs, signal });
  }

  async #instream(content: AsyncIterable<Buffer>, init: { readonly signal: AbortSignal; readonly timeoutMs?: number }): Promise<ScanOutcome> {
    const { connectMs, stallMs } = this.#timings;
    const answer = await askClamd({ address: this.#address, command: 'INSTREAM', content, connectMs, stallMs, ...init });
    if (answer.kind !== 'reply') return answer;
    const outcome = parseScanReply(answer.text);
    // It cannot judge what it has not seen, and whoever says so is not clamd.
    const isVerdict = outcome.kind !== 'failed' && !(outcome.kind === 'unscannable' && outcome.cause === 'too_big');
    if (answer.isEarly && isVerdict) return { kind: 'failed', why: `it answered ${quoted(answer.text)} before the end of the content` };
    return outcome;
  }
}

async function* testFile(): AsyncGenerator<Buffer, void> {
  yield EICAR;
}
