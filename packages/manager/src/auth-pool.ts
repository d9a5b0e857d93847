import { ChannelError } from '@sekisho/channel';
import { type Message, Refusal, type RefusalCode, refusalCode } from '@sekisho/wire';

/** What auth says about a device. Anything else is about auth or this manager, and the next auth may do better. */
const DECISIONS: ReadonlySet<RefusalCode> = new Set([
  'DEVICE_REFUSED',
  'DEVICE_DISABLED',
  'DEVICE_REVOKED',
  'DEVICE_EXPIRED',
  'RATE_LIMITED',
]);

/** One auth, as the pool needs it: a SiteLink is one. */
export interface AuthLink {
  readonly up: boolean;
  readonly trusted: boolean;
  authorize(question: Omit<Message<'authorize'>, 'id'>, timeoutMs: number): Promise<Message>;
}

export interface AuthPoolComponents {
  readonly links: readonly AuthLink[];
  /** Milliseconds that never go back. */
  readonly clock: { now(): number };
}

/** Asks the auths of the site in their order; the one that did not answer last comes last. */
export class AuthPool {
  readonly #components: AuthPoolComponents;
  readonly #timeoutMs: number;

  constructor(components: AuthPoolComponents, init: { readonly timeoutMs: number }) {
    this.#components = components;
    this.#timeoutMs = init.timeoutMs;
  }

  /**
   * Returns auth's grant, or throws Refusal: auth's own; INTERNAL when those that answered did so with a failure of
   * theirs, which must not let the device go direct; or AUTH_UNAVAILABLE, an absence, when nobody has answered in time.
   */
  async authorize(question: Omit<Message<'authorize'>, 'id'>): Promise<Message<'grant'>> {
    const { links, clock } = this.#components;
    const up = links.filter((link) => link.up);
    const order = [...up.filter((link) => link.trusted), ...up.filter((link) => !link.trusted)];
    const untilMs = clock.now() + this.#timeoutMs;
    // Half of the time for the first, so that a silent one leaves some to the second.
    const attemptMs = order.length > 1 ? this.#timeoutMs / 2 : this.#timeoutMs;
    let failure: RefusalCode | undefined;
    for (const link of order) {
      const leftMs = untilMs - clock.now();
      if (leftMs <= 0) break;
      const answer = await ask(link, question, Math.min(leftMs, attemptMs));
      if (answer?.type === 'grant') return answer;
      if (answer?.type === 'refuse') failure = failureIn(answer);
    }
    if (failure !== undefined) throw new Refusal('INTERNAL', `auth answers with ${failure}; its log says why`);
    throw new Refusal('AUTH_UNAVAILABLE', 'no auth of this site answers');
  }
}

async function ask(
  link: AuthLink,
  question: Omit<Message<'authorize'>, 'id'>,
  timeoutMs: number,
): Promise<Message | undefined> {
  try {
    return await link.authorize(question, timeoutMs);
  } catch (error) {
    if (error instanceof ChannelError) return undefined;
    throw error;
  }
}

/** What went wrong at auth, so that the next one should be asked. Throws the Refusal when it is a decision. */
function failureIn({ code: number, text, retryAfterMs }: Message<'refuse'>): RefusalCode {
  const code = refusalCode(number);
  if (DECISIONS.has(code)) throw new Refusal(code, text, retryAfterMs ?? 0);
  return code;
}
