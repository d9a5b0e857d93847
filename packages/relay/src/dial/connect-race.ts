import { connect, type Socket } from 'node:net';
import { Refusal, type RefusalCode } from '@sekisho/wire';
import { formatAddress, type IpAddress } from '../policy/ip-address.ts';

/** RFC 8305 5: the recommended delay between two attempts. */
const ATTEMPT_DELAY_MS = 250;
/** So that a destination whose line was cut is noticed before the idle deadline; the kernel's timer, not ours. */
const KEEP_ALIVE_AFTER_MS = 60_000;

export interface RaceHandler {
  /** Once: the socket has no listeners left and nothing was read. It is open until its owner closes it. */
  onConnected(socket: Socket, address: IpAddress): void;
  /** Once: every address failed. */
  onFailed(refusal: Refusal): void;
}

/**
 * Connects to the first of several addresses that answers (RFC 8305): the next one is tried when the last has failed or
 * has been silent for 250 ms. Only the addresses given are ever connected to. Its deadline is its owner's: cancel().
 */
export class ConnectRace {
  readonly #addresses: readonly IpAddress[];
  readonly #port: number;
  readonly #handler: RaceHandler;
  readonly #running = new Set<Socket>();
  #next = 0;
  #timer: NodeJS.Timeout | undefined;
  #worst: RefusalCode = 'CONNECT_UNREACHABLE';
  #isOver = false;

  constructor(addresses: readonly IpAddress[], port: number, handler: RaceHandler) {
    this.#addresses = addresses;
    this.#port = port;
    this.#handler = handler;
    this.#tryNext();
  }

  /** Ends every attempt; the handler hears nothing more. */
  cancel(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    for (const socket of this.#running) socket.destroy();
    this.#running.clear();
  }

  #tryNext(): void {
    clearTimeout(this.#timer);
    const address = this.#addresses[this.#next];
    this.#next += 1;
    if (address === undefined) {
      if (this.#running.size === 0) this.#fail();
      return;
    }
    this.#attempt(address);
    if (this.#next < this.#addresses.length) this.#timer = setTimeout(() => this.#tryNext(), ATTEMPT_DELAY_MS);
  }

  #attempt(address: IpAddress): void {
    const socket = connect({
      host: formatAddress(address),
      port: this.#port,
      // The mail server may end its side while the client still speaks, and the other way round.
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_AFTER_MS,
    });
    this.#running.add(socket);
    socket.once('connect', () => {
      if (this.#isOver) return;
      this.#running.delete(socket);
      this.cancel();
      socket.removeAllListeners('error');
      this.#handler.onConnected(socket, address);
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#running.delete(socket);
      if (this.#isOver) return;
      this.#note(error.code ?? '');
      this.#tryNext();
    });
  }

  /** Of several failures the one that says most: a host that answered, however it did. */
  #note(errno: string): void {
    const code = refusalOf(errno);
    if (WEIGHT.indexOf(code) > WEIGHT.indexOf(this.#worst)) this.#worst = code;
  }

  #fail(): void {
    this.#isOver = true;
    this.#handler.onFailed(new Refusal(this.#worst, TEXT[this.#worst] ?? 'the destination cannot be reached'));
  }
}

/** The later, the more it says. */
const WEIGHT: readonly RefusalCode[] = ['CONNECT_UNREACHABLE', 'CONNECT_TIMEOUT', 'CONNECT_REFUSED', 'UNABLE'];
const TEXT: Partial<Record<RefusalCode, string>> = {
  CONNECT_REFUSED: 'the destination refused the connection',
  CONNECT_TIMEOUT: 'the destination did not answer in time',
  UNABLE: 'this relay has no descriptors left',
};

function refusalOf(errno: string): RefusalCode {
  switch (errno) {
    case 'ECONNREFUSED':
    case 'ECONNRESET':
      return 'CONNECT_REFUSED';
    case 'ETIMEDOUT':
      return 'CONNECT_TIMEOUT';
    // Ours, not the destination's: another relay may well connect.
    case 'EMFILE':
    case 'ENFILE':
    case 'ENOBUFS':
    case 'ENOMEM':
      return 'UNABLE';
    default:
      return 'CONNECT_UNREACHABLE';
  }
}
