/** One broken name is its owner's business; so many different ones in a row are a reason to look at the resolver. */
export const SUSPICIOUS_NAMES = 5;

/**
 * Whether destinations can be looked up at all. Names that fail only raise the suspicion, since a device may dial names
 * whose servers are broken on purpose; the verdict is that of a probe which nobody else can choose.
 */
export class DnsHealth {
  readonly #probe: () => Promise<boolean>;
  readonly #failedNames = new Set<string>();
  #probing = false;
  #dead = false;

  /** @param probe asks the resolver something that it must know; resolves to whether it answered at all */
  constructor(components: { readonly probe: () => Promise<boolean> }) {
    this.#probe = components.probe;
  }

  get dead(): boolean {
    return this.#dead;
  }

  /** The resolver answered, if only that a name does not exist. */
  answered(): void {
    this.#dead = false;
    if (this.#failedNames.size > 0) this.#failedNames.clear();
  }

  /** A name got no answer in time, or SERVFAIL. */
  failed(name: string): void {
    if (this.#dead) return;
    this.#failedNames.add(name);
    if (this.#failedNames.size >= SUSPICIOUS_NAMES) void this.#check();
  }

  /** To be called now and then: a relay that calls itself unable gets no sessions from which it could learn better. */
  recheck(): void {
    if (this.#dead) void this.#check();
  }

  async #check(): Promise<void> {
    if (this.#probing) return;
    this.#probing = true;
    const isAnswering = await this.#probe();
    this.#probing = false;
    this.#failedNames.clear();
    this.#dead = !isAnswering;
  }
}
