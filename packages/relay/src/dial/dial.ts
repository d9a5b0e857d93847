import type { Socket } from 'node:net';
import { Refusal } from '@sekisho/wire';
import type { Host } from '../policy/host.ts';
import type { IpAddress } from '../policy/ip-address.ts';
import type { DestinationResolver } from '../policy/resolve.ts';
import { ConnectRace, type RaceHandler } from './connect-race.ts';

/** The way to a destination: look it up once, then connect to what was found. */
export class Dial {
  readonly #handler: RaceHandler;
  readonly #health: DestinationResolver['health'];
  readonly #host: Host;
  #state: 'resolving' | 'connecting' | 'done' = 'resolving';
  #race: ConnectRace | undefined;

  constructor(
    components: { readonly resolver: DestinationResolver; readonly handler: RaceHandler },
    init: { readonly host: Host; readonly port: number },
  ) {
    this.#handler = components.handler;
    this.#health = components.resolver.health;
    this.#host = init.host;
    components.resolver.resolve(init.host).then(
      (addresses) => this.#connect(addresses, init.port),
      (error: unknown) => this.#fail(error),
    );
  }

  /** Its time is up: ends every attempt and says what was waited for. */
  expire(): void {
    if (this.#state === 'done') return;
    const wasResolving = this.#state === 'resolving';
    this.cancel();
    if (wasResolving && this.#host.kind === 'name') this.#health.failed(this.#host.name);
    this.#handler.onFailed(
      wasResolving
        ? new Refusal('DNS_FAILED', 'DNS gave no answer for the destination in time')
        : new Refusal('CONNECT_TIMEOUT', 'the destination did not answer in time'),
    );
  }

  /** Nobody wants the connection any more; the handler hears nothing. */
  cancel(): void {
    this.#state = 'done';
    this.#race?.cancel();
  }

  #connect(addresses: readonly IpAddress[], port: number): void {
    if (this.#state !== 'resolving') return;
    this.#state = 'connecting';
    this.#race = new ConnectRace(addresses, port, {
      onConnected: (socket: Socket, address: IpAddress) => {
        this.#state = 'done';
        this.#handler.onConnected(socket, address);
      },
      onFailed: (refusal) => this.#fail(refusal),
    });
  }

  #fail(error: unknown): void {
    if (this.#state === 'done') return;
    this.#state = 'done';
    this.#handler.onFailed(error instanceof Refusal ? error : new Refusal('INTERNAL', 'the destination was not dialled'));
  }
}
