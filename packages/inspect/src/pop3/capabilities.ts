import { GrowingBuffer } from '../growing-buffer.ts';

/** A CAPA reply, with its status line. Dovecot's has 200 bytes. */
export const MAX_CAPABILITIES_BYTES = 16 * 1024;

/**
 * What we understand, RFC 2449 and those after it. An extension that we do not know may bring a command with a reply of
 * its own shape, or a message on another way.
 */
const UNDERSTOOD: ReadonlySet<string> = new Set([
  'TOP',
  'USER',
  'SASL',
  'RESP-CODES',
  'AUTH-RESP-CODE',
  'LOGIN-DELAY',
  'PIPELINING',
  'EXPIRE',
  'UIDL',
  'IMPLEMENTATION',
  'STLS',
  'LANG',
  'UTF8',
]);

/** A CAPA reply as the client may see it. */
export class CapabilitiesReply {
  readonly #hidesTls: boolean;
  readonly #passing = new GrowingBuffer();
  #bytes: number;

  constructor(init: { readonly statusLine: Buffer; readonly hidesTls: boolean }) {
    this.#hidesTls = init.hidesTls;
    this.#passing.push(init.statusLine);
    this.#bytes = init.statusLine.length;
  }

  get isTooLong(): boolean {
    return this.#bytes > MAX_CAPABILITIES_BYTES;
  }

  /** @param line one capability, with its CRLF */
  push(line: Buffer): void {
    this.#bytes += line.length;
    if (!this.isTooLong && this.#passes(line)) this.#passing.push(line);
  }

  /** The whole reply. */
  end(finalDot: Buffer): Buffer {
    this.#passing.push(finalDot);
    return this.#passing.take();
  }

  #passes(line: Buffer): boolean {
    const keyword = /^[^ \r]*/u.exec(line.toString('latin1'))?.[0].toUpperCase() ?? '';
    return UNDERSTOOD.has(keyword) && !(this.#hidesTls && keyword === 'STLS');
  }
}
