import type { Socket } from 'node:net';
import type { Paced, Pacer } from '../pacer.ts';
import { type Mail, MailSource, type RunId, SLICE_BYTES } from './mail.ts';

/** Who was idle, or is slower than it may be, does not save up for more than this. */
const MAX_ALLOWANCE_BYTES = 2 * SLICE_BYTES;

/** Writes the contents of mails to a socket, as fast as it takes them or as the pacer allows. */
export class ContentPump implements Paced {
  readonly #socket: Socket;
  readonly #pacer: Pacer | undefined;
  readonly #run: RunId;
  readonly #onSent: (mail: Mail) => void;
  #mail: Mail | undefined;
  #source: MailSource | undefined;
  #allowance = 0;
  #isFull = false;

  constructor(
    components: { readonly socket: Socket; readonly pacer: Pacer | undefined; readonly onSent: (mail: Mail) => void },
    init: { readonly run: RunId },
  ) {
    this.#socket = components.socket;
    this.#pacer = components.pacer;
    this.#onSent = components.onSent;
    this.#run = init.run;
    this.#pacer?.add(this);
    this.#socket.on('drain', () => {
      this.#isFull = false;
      this.#pump();
    });
  }

  /** Sends all of a mail; onSent is called when its last byte was written, perhaps at once. */
  send(mail: Mail): void {
    this.#mail = mail;
    this.#source = new MailSource(this.#run, mail);
    this.#pump();
  }

  refill(bytes: number): void {
    this.#allowance = Math.min(this.#allowance + bytes, MAX_ALLOWANCE_BYTES);
    this.#pump();
  }

  close(): void {
    this.#source = undefined;
    this.#pacer?.remove(this);
  }

  #pump(): void {
    while (this.#source !== undefined && !this.#isFull && (this.#pacer === undefined || this.#allowance > 0)) {
      const piece = this.#source.take();
      if (piece === undefined) return;
      this.#allowance -= piece.length;
      this.#isFull = !this.#socket.write(piece);
      // In this turn: the reply to the last byte may come before the socket has drained.
      if (this.#source.isTaken) this.#finish();
    }
  }

  #finish(): void {
    const mail = this.#mail;
    this.#source = undefined;
    if (mail !== undefined) this.#onSent(mail);
  }
}
