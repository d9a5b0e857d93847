import type { TLSSocket } from 'node:tls';
import { addressOf, ChannelError, MuxConnection, type Peer } from '@sekisho/channel';
import { printable } from '@sekisho/telemetry';
import { chooseVersion, type Message, type MuxStream, PROTOCOL_VERSIONS, Refusal } from '@sekisho/wire';
import type { Admission } from './admission.ts';
import { Signalling, type SignallingHandler } from './signalling.ts';
import { Session, type SessionDevice } from './stream/session.ts';
import type { Sweepable } from './stream/sweep.ts';
import type { Reject } from './tally.ts';
import type { WorkerContext } from './worker-context.ts';

const SIGNALLING_STREAM = 1;
/** Sessions may be opened before the ticket is accepted, which takes one turn; so many may wait for it. */
const MAX_WAITING_SESSIONS = 64;
/** Streams besides the sessions that count: signalling, and refused ones that the agent has not ended yet. */
const SPARE_STREAMS = 64;
/** A ticket is renewed each few minutes; checking one costs a signature's verification. */
const TICKET_BURST = 10;
const TICKET_REFILL_MS = 5000;

export interface DeviceConnectionHandler {
  onConnectionEnd(connection: DeviceConnection): void;
}

/** The connection of one device: its ticket, and all its sessions. */
export class DeviceConnection implements SessionDevice, SignallingHandler, Sweepable {
  deadlineTick: number;
  readonly #context: WorkerContext;
  readonly #peer: Peer;
  readonly #handler: DeviceConnectionHandler;
  readonly #address: string;
  readonly #mux: MuxConnection;
  readonly #sessions = new Set<Session>();
  readonly #waiting = new Set<Session>();
  #signalling: Signalling | undefined;
  #admission: Admission | undefined;
  #ticketsLeft = TICKET_BURST;
  #lastTicketMs: number;
  #isRejected = false;

  constructor(
    components: { readonly context: WorkerContext; readonly handler: DeviceConnectionHandler },
    init: { readonly socket: TLSSocket; readonly peer: Peer },
  ) {
    const { context } = components;
    this.#context = context;
    this.#handler = components.handler;
    this.#peer = init.peer;
    this.#address = addressOf(init.socket);
    this.#lastTicketMs = context.now();
    this.deadlineTick = context.sweep.after(context.deadlines.ticketMs);
    context.sweep.add(this);
    this.#mux = new MuxConnection(
      init.socket,
      {
        role: 'server',
        windowBytes: context.windowBytes,
        maxStreams: context.maxSessionsPerDevice + SPARE_STREAMS,
        deadAfterMs: context.deadlines.deadMs,
      },
      {
        onStream: (stream) => this.#onStream(stream),
        onGoAway: () => {},
        onClose: (error) => this.#onClose(error),
      },
    );
  }

  get admission(): Admission | undefined {
    return this.#admission;
  }

  get closed(): boolean {
    return this.#mux.closed;
  }

  /** Tells the agent to open its next sessions elsewhere. */
  goAway(): void {
    this.#mux.goAway();
  }

  /** Closes the connection if it has no session and has said all that it had to say. */
  closeIfIdle(): void {
    if (this.#sessions.size === 0 && this.#mux.socket.writableLength === 0)
      this.#mux.close(new ChannelError('CLOSED', 'drained'));
  }

  /** Ends the connection and its sessions. */
  close(): void {
    for (const session of this.#sessions) session.abort('stopped');
    this.#mux.close(new ChannelError('CLOSED', 'the relay is stopped'));
  }

  waitForTicket(session: Session): void {
    if (this.#waiting.size >= MAX_WAITING_SESSIONS)
      throw new Refusal('TICKET_REQUIRED', 'too many sessions before the ticket');
    this.#waiting.add(session);
  }

  sessionEnded(session: Session): void {
    this.#sessions.delete(session);
    this.#waiting.delete(session);
  }

  /** No ticket in time. */
  onDeadline(): void {
    this.#context.sweep.delete(this);
    if (this.#admission === undefined) this.#reject('no_ticket', new Refusal('TICKET_REQUIRED', 'no ticket in time'));
  }

  onTicket(message: Message<'ticket'>): void {
    try {
      const version = chooseVersion(message.versions, PROTOCOL_VERSIONS);
      if (version === undefined) throw new Refusal('VERSION', 'this relay speaks none of these versions');
      this.#takeTicket();
      const admission = this.#context.gate.admit(message.ticket, this.#peer);
      this.#accept(admission, message);
      const { gate, maxSessionsPerDevice } = this.#context;
      this.#signalling?.admit({ version, ttlMs: gate.ttlMs(admission), maxSessions: maxSessionsPerDevice });
      for (const session of this.#waiting) session.begin(admission);
      this.#waiting.clear();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.#refuse(error);
    }
  }

  onBye(message: Message<'bye'>): void {
    this.#context.log.debug(
      { event: 'bye', session: message.session.toString('hex'), device: this.#admission?.mac, outcome: message.outcome },
      'the agent says that a session ended',
    );
  }

  onViolation(refusal: Refusal): void {
    this.#reject('violation', refusal);
  }

  #onStream(stream: MuxStream): void {
    if (this.#signalling !== undefined) {
      const session = new Session(this.#context, { device: this, stream });
      this.#sessions.add(session);
      return;
    }
    if (stream.id === SIGNALLING_STREAM) this.#signalling = new Signalling(stream, this);
    else this.#reject('violation', new Refusal('PROTOCOL', 'the first stream is the signalling stream'));
  }

  /** @throws Refusal RATE_LIMITED */
  #takeTicket(): void {
    const now = this.#context.now();
    const refilled = Math.floor((now - this.#lastTicketMs) / TICKET_REFILL_MS);
    this.#ticketsLeft = Math.min(TICKET_BURST, this.#ticketsLeft + refilled);
    this.#lastTicketMs += refilled * TICKET_REFILL_MS;
    if (this.#ticketsLeft === 0) throw new Refusal('RATE_LIMITED', 'too many tickets', TICKET_REFILL_MS);
    this.#ticketsLeft -= 1;
  }

  /** @throws Refusal TICKET_MISMATCH, DRAINING, FULL or DEVICE_FULL */
  #accept(admission: Admission, message: Message<'ticket'>): void {
    if (this.#admission !== undefined) {
      if (this.#admission.mac !== admission.mac) throw new Refusal('TICKET_MISMATCH', 'the ticket is for another device');
      this.#admission = admission;
      return;
    }
    if (this.#context.isDraining()) throw new Refusal('DRAINING', 'this relay is being stopped');
    this.#context.caps.beginConnection(admission.mac);
    this.#admission = admission;
    this.#context.sweep.delete(this);
    this.#context.log.info(
      { event: 'device_connected', device: admission.mac, address: this.#address, software: printable(message.software) },
      'a device is connected',
    );
  }

  /** The first ticket decides about the connection; a later one that is wrong only changes nothing. */
  #refuse(refusal: Refusal): void {
    this.#context.tally.refused(refusal.code);
    this.#context.log.warn(
      { event: 'ticket_refused', code: refusal.code, address: this.#address, device: this.#claimedDevice() },
      `a ticket was refused: ${refusal.message}`,
    );
    this.#signalling?.refuse(refusal);
    if (this.#admission !== undefined && refusal.code !== 'RATE_LIMITED') return;
    this.#isRejected = true;
    this.#mux.close(new ChannelError('PROTOCOL', refusal.message));
  }

  #reject(reason: Reject, refusal: Refusal): void {
    if (this.#mux.closed) return;
    this.#noteRejected(reason, refusal.message);
    this.#signalling?.refuse(refusal);
    this.#mux.close(new ChannelError('PROTOCOL', refusal.message));
  }

  #noteRejected(reason: Reject, message: string): void {
    this.#isRejected = true;
    this.#context.tally.rejected(reason);
    this.#context.log.warn(
      { event: 'connection_rejected', reason, address: this.#address, device: this.#claimedDevice() },
      `a connection was closed: ${message}`,
    );
  }

  #claimedDevice(): string | undefined {
    const { identity } = this.#peer;
    return identity?.kind === 'device' ? identity.mac : undefined;
  }

  #onClose(error: ChannelError): void {
    this.#context.sweep.delete(this);
    // Found by the multiplexer itself.
    if (error.code === 'PROTOCOL' && !this.#isRejected) this.#noteRejected('violation', error.message);
    if (this.#admission !== undefined) {
      this.#context.caps.endConnection(this.#admission.mac);
      this.#context.log.info(
        { event: 'device_disconnected', device: this.#admission.mac, address: this.#address, code: error.code },
        `a device is gone: ${error.message}`,
      );
    }
    this.#handler.onConnectionEnd(this);
  }
}
