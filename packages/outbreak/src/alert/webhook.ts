import { createHmac } from 'node:crypto';
import type { WebhookSettings } from '../settings.ts';
import { DeliveryError } from './delivery-error.ts';
import type { Message } from './news.ts';

const POST_TIMEOUT_MS = 10_000;
/** Of what strangers wrote, and all the rest of one message. */
const FORMAT = 1;

/** Posts messages as signed JSON (docs/outbreak.md says how a receiver checks them). */
export class Webhook {
  readonly #settings: WebhookSettings;
  readonly #site: string;
  readonly #now: () => number;

  /** @param components clock: milliseconds since 1970 */
  constructor(components: { readonly clock: { now(): number } }, init: WebhookSettings & { readonly site: string }) {
    this.#now = () => components.clock.now();
    this.#settings = init;
    this.#site = init.site;
  }

  /** Resolves once the receiver has answered 2xx. Rejects with DeliveryError. @param signal gives up */
  post(message: Message, signal?: AbortSignal): Promise<void> {
    return this.#post(message.stage, message.id, { outbreaks: message.news.map(({ name, stage, newSince, outbreak }) => ({ name, stage, newSince, ...outbreak })) }, signal);
  }

  /** The same without an outbreak. */
  postTest(id: string): Promise<void> {
    return this.#post('test', id, { outbreaks: [] });
  }

  async #post(stage: string, id: string, content: object, signal?: AbortSignal): Promise<void> {
    const body = JSON.stringify({ format: FORMAT, site: this.#site, stage, id, ...content });
    const timestamp = String(Math.floor(this.#now() / 1000));
    const timeout = AbortSignal.timeout(POST_TIMEOUT_MS);
    let status: number;
    try {
      const response = await fetch(this.#settings.url, {
        method: 'POST',
        body,
        // Whoever could redirect us would get what the secret was to protect.
        redirect: 'manual',
        signal: signal === undefined ? timeout : AbortSignal.any([timeout, signal]),
        headers: {
          'content-type': 'application/json',
          'sekisho-id': id,
          'sekisho-timestamp': timestamp,
          'sekisho-signature': `v1=${signature(this.#settings.secret, timestamp, body)}`,
        },
      });
      status = response.status;
      await response.body?.cancel();
    } catch (error) {
      throw new DeliveryError(reasonOf(error), false);
    }
    if (status < 200 || status > 299) throw new DeliveryError(`the receiver answers ${status}`, false);
  }
}

/** HMAC-SHA-256 over `timestamp.body`, hexadecimal. */
function signature(secret: string, timestamp: string, body: string): string {
  return createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex');
}

/** What fetch says itself is "fetch failed". */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return `no answer within ${POST_TIMEOUT_MS / 1000} s`;
  return error.cause instanceof Error ? error.cause.message : error.message;
}
