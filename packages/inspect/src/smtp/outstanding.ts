/** Commands that wait for their replies; a client that pipelines more is read no further until one comes. */
export const MAX_OUTSTANDING_COMMANDS = 100;

/** What a reply of the server answers. */
export type Asked =
  | 'greeting' // the connection itself
  | 'command'
  | 'ehlo'
  | 'data'
  | 'auth'
  | 'starttls'
  | 'message'
  | 'notice' // nothing: it goes
  | 'verdict'; // nothing: it refuses a message whose end it has not seen

/** What we answer ourselves; after the last one nothing follows. */
export interface LocalAnswer {
  readonly bytes: Buffer;
  readonly isLast: boolean;
}

/** Who is answered next: replies come in the order of the commands (RFC 2920 3.1), and our answers among them. */
export class Outstanding {
  readonly #queue: (Asked | LocalAnswer)[] = ['greeting'];

  get isEmpty(): boolean {
    return this.#queue.length === 0;
  }

  get isFull(): boolean {
    return this.#queue.length >= MAX_OUTSTANDING_COMMANDS;
  }

  /** What the server's reply is for; undefined: for nothing. Our answers must have been taken. */
  get asked(): Asked | undefined {
    const [first] = this.#queue;
    return typeof first === 'string' ? first : undefined;
  }

  push(next: Asked | LocalAnswer): void {
    this.#queue.push(next);
  }

  /** The server's reply is complete. */
  settle(): void {
    this.#queue.shift();
  }

  /** An answer of ours whose turn it is. */
  takeLocal(): LocalAnswer | undefined {
    const [first] = this.#queue;
    if (first === undefined || typeof first === 'string') return undefined;
    this.#queue.shift();
    return first;
  }
}
