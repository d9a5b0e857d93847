import { printable } from '@sekisho/telemetry';
import { createTransport } from 'nodemailer';
import type { SubmissionSettings } from '../settings.ts';
import type { Stage } from '../core/outbreak.ts';
import { DeliveryError } from './delivery-error.ts';

const CONNECT_TIMEOUT_MS = 10_000;
const GREETING_TIMEOUT_MS = 15_000;
/** Silence of the server in the middle of a conversation. */
const SILENCE_TIMEOUT_MS = 30_000;
/** One mail in all. Below CLAIM_MS. */
const SEND_TIMEOUT_MS = 60_000;

export interface AlertMail {
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  /** Without domain. */
  readonly id: string;
  readonly stage: Stage | 'test';
}

/** Hands mails to a submission server, each over a connection of its own: months may lie between two alerts. */
export class Submission {
  readonly #settings: SubmissionSettings;
  readonly #site: string;

  constructor(settings: SubmissionSettings, init: { readonly site: string }) {
    this.#settings = settings;
    this.#site = init.site;
  }

  /** Resolves with the server's answer once it has taken the mail. Rejects with DeliveryError. @param signal gives up */
  async send({ to, subject, text, id, stage }: AlertMail, signal?: AbortSignal): Promise<string> {
    const { from } = this.#settings;
    const timeout = AbortSignal.timeout(SEND_TIMEOUT_MS);
    try {
      const { response } = await this.#transport().sendMail({
        envelope: { from, to: [to] },
        from: { name: `Sekisho ${this.#site}`, address: from },
        to: { name: '', address: to },
        subject,
        text,
        messageId: `<${id}@${from.slice(from.lastIndexOf('@') + 1)}>`,
        // RFC 3834 5, and what others go by: no robot answers to an alert.
        headers: { 'Auto-Submitted': 'auto-generated', Precedence: 'bulk', 'X-Auto-Response-Suppress': 'All', 'X-Sekisho-Alert': stage },
        xMailer: false,
        disableFileAccess: true,
        disableUrlAccess: true,
        signal: signal === undefined ? timeout : AbortSignal.any([timeout, signal]),
      });
      return printable(response);
    } catch (error) {
      throw failure(error);
    }
  }

  /** Whether a mail would be taken: connects, secures, authenticates, and goes. Rejects with DeliveryError. */
  async verify(): Promise<void> {
    try {
      await this.#transport().verify();
    } catch (error) {
      throw failure(error);
    }
  }

  #transport() {
    const { host, port, tls, caPem, login } = this.#settings;
    return createTransport({
      host,
      port,
      secure: tls === 'implicit',
      requireTLS: tls === 'starttls',
      ignoreTLS: tls === 'none',
      ...(caPem === undefined ? {} : { tls: { ca: caPem } }),
      // A server that offers no AUTH to us has forgotten it, or is another one.
      ...(login === undefined ? {} : { auth: { user: login.user, pass: login.password }, forceAuth: true }),
      connectionTimeout: CONNECT_TIMEOUT_MS,
      dnsTimeout: CONNECT_TIMEOUT_MS,
      greetingTimeout: GREETING_TIMEOUT_MS,
      socketTimeout: SILENCE_TIMEOUT_MS,
      disableFileAccess: true,
      disableUrlAccess: true,
    });
  }
}

function failure(error: unknown): DeliveryError {
  const { code, message } = error instanceof Error ? (error as NodeJS.ErrnoException) : { code: undefined, message: String(error) };
  if (code === 'EABORT') return new DeliveryError('it took too long, or this process stops', false);
  return new DeliveryError(message, code === 'EENVELOPE' || code === 'EMESSAGE');
}
