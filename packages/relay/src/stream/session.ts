import type { Socket } from 'node:net';
import { HeldBytes, Splice, type SpliceEnd } from '@sekisho/channel';
import type { UninspectedCause, Violation } from '@sekisho/inspect';
import { printable } from '@sekisho/telemetry';
import {
  encodeFrame,
  FrameReader,
  MAIL_PROTOCOLS,
  type MailProtocol,
  type Message,
  type MuxStream,
  type MuxStreamHandler,
  Refusal,
  REFUSALS,
  WireError,
} from '@sekisho/wire';
import type { Admission } from '../admission.ts';
import { parseEndpoint } from '../dial/client-address.ts';
import type { RaceHandler } from '../dial/connect-race.ts';
import { Dial } from '../dial/dial.ts';
import { encodeProxyV2 } from '../dial/proxy-v2.ts';
import { Findings } from '../inspect/findings.ts';
import { InspectedPipe, type InspectedPipeOwner } from '../inspect/inspected-pipe.ts';
import type { InspectedProtocol, Inspection, Verdict } from '../inspect/inspection.ts';
import { parseHost } from '../policy/host.ts';
import { formatAddress, type IpAddress } from '../policy/ip-address.ts';
import { rightOf } from '../policy/mail-right.ts';
import type { WorkerContext } from '../worker-context.ts';
import type { Outcome, SessionState } from './outcome.ts';
import { type Sweepable, ticksOf } from './sweep.ts';

/** The connection that a session belongs to. */
export interface SessionDevice {
  /** Undefined until the ticket was accepted. */
  readonly admission: Admission | undefined;
  /** The connection is gone, and its streams with it. */
  readonly closed: boolean;
  /** Calls begin() as soon as the ticket was accepted; throws Refusal when too many wait already. */
  waitForTicket(session: Session): void;
  sessionEnded(session: Session): void;
}

/** The agent sends no byte before `connected`; one that does is borne with, up to here. */
const MAX_EARLY_BYTES = 16 * 1024;
/** Of a session's id, in texts for people. */
const REFERENCE_BYTES = 4;

/** One mail session: a stream of a device, from its preamble to the summary line. */
export class Session implements MuxStreamHandler, RaceHandler, InspectedPipeOwner, Sweepable {
  deadlineTick: number;
  readonly #context: WorkerContext;
  readonly #device: SessionDevice;
  readonly #stream: MuxStream;
  readonly #startMs: number;
  #state: SessionState | undefined = 'preamble';
  #reader: FrameReader<'connect'> | undefined = new FrameReader(['connect']);
  #connect: Message<'connect'> | undefined;
  #protocol: MailProtocol = 'smtp';
  /** Set while the session is counted in the caps. */
  #mac: string | undefined;
  #early: HeldBytes | undefined;
  #endedEarly = false;
  #dial: Dial | undefined;
  #pipe: Splice | InspectedPipe | undefined;
  /** Set while its bytes are inspected, or would have been. */
  #findings: Findings | undefined;
  #isFarewell = false;
  #idleTicks = 0;
  #address = '';
  #connectMs = 0;
  #bytesUp = 0;
  #bytesDown = 0;

  constructor(context: WorkerContext, init: { readonly device: SessionDevice; readonly stream: MuxStream }) {
    this.#context = context;
    this.#device = init.device;
    this.#stream = init.stream;
    this.#startMs = context.now();
    this.deadlineTick = context.sweep.after(context.deadlines.preambleMs);
    context.sweep.add(this);
    context.tally.move(undefined, 'preamble');
    init.stream.handler = this;
    // At once: the agent asks the second relay when it hears nothing for 300 ms, and a destination may take longer.
    init.stream.accept();
  }

  /** The ticket was accepted: serves the preamble that waited for it. */
  begin(admission: Admission): void {
    const connect = this.#connect;
    if (connect === undefined || this.#state !== 'preamble') return;
    this.#guarded(() => this.#dialFor(admission, connect));
  }

  /** Ends the session with resets to both sides. */
  abort(outcome: Outcome): void {
    if (this.#state === undefined) return;
    this.#dial?.cancel();
    if (this.#pipe === undefined) this.#stream.reset();
    else this.#pipe.abort();
    this.#finish(outcome);
  }

  onDeadline(): void {
    if (this.#dial !== undefined && this.#state === 'connecting') return this.#dial.expire();
    if (this.#pipe !== undefined) return this.abort(this.#isFarewell ? this.#ended('completed') : 'idle');
    if (this.#state === 'closing') {
      // Refused, and the agent does not end its side.
      this.#stream.reset();
      return this.#finish('refused');
    }
    this.#refuse(
      this.#connect === undefined
        ? new Refusal('PROTOCOL', 'no preamble in time')
        : new Refusal('TICKET_REQUIRED', 'no ticket in time'),
    );
  }

  onAck(): void {}

  onDrain(): void {}

  /** Until the splice takes over: the preamble, and what may not be there. */
  onData(chunk: Buffer): void {
    if (this.#state === 'closing') return; // refused: not given back, so at most one window of it
    if (this.#reader === undefined) return this.#holdEarly(chunk);
    this.#guarded(() => this.#readPreamble(chunk));
  }

  onEnd(): void {
    if (this.#state === 'closing') return this.#finish('refused');
    this.#endedEarly = true;
    if (this.#connect === undefined) this.#refuse(new Refusal('PROTOCOL', 'the stream ended within its preamble'));
  }

  onReset(): void {
    this.#dial?.cancel();
    if (this.#state === 'closing') return this.#finish('refused');
    this.#finish(this.#device.closed ? 'device_lost' : 'abandoned');
  }

  onConnected(socket: Socket, address: IpAddress): void {
    const connect = this.#connect;
    if (connect === undefined) return;
    this.#dial = undefined;
    this.#connectMs = Math.round(this.#context.now() - this.#startMs);
    this.#address = formatAddress(address);
    this.#context.tally.connected(this.#connectMs);
    this.#move('streaming');
    this.#idleTicks = ticksOf(this.#context.deadlines.idleMs[rightOf(this.#protocol)]);
    this.#touch();
    if (this.#context.proxyTo.has(destinationOf(connect))) socket.write(proxyHeader(connect, address));
    this.#stream.write(encodeFrame({ type: 'connected', address: this.#address, connectMs: this.#connectMs }));
    this.#pipe = this.#pipeTo(socket, connect);
    this.#pipe.start(this.#early?.take() ?? []);
    this.#early = undefined;
    if (this.#endedEarly) this.#pipe.onEnd();
  }

  onFailed(refusal: Refusal): void {
    this.#dial = undefined;
    this.#refuse(refusal);
  }

  onBytesToSocket(bytes: number): void {
    this.#bytesUp += bytes;
    this.#context.tally.bytesUp += bytes;
    this.#touch();
  }

  onBytesToStream(bytes: number): void {
    this.#bytesDown += bytes;
    this.#context.tally.bytesDown += bytes;
    this.#touch();
  }

  onHalfClosed(): void {
    this.#move('closing');
  }

  onSpliceEnd(end: SpliceEnd): void {
    if (end === 'stream_reset') this.#finish(this.#device.closed ? 'device_lost' : this.#ended('client_reset'));
    else this.#finish(this.#ended(end === 'completed' ? 'completed' : 'server_reset'));
  }

  onScan(): void {
    if (this.#state === 'streaming') this.#move('scanning');
  }

  onScanOver(): void {
    if (this.#state === 'scanning') this.#move('streaming');
  }

  onVerdict(verdict: Verdict): void {
    this.#findings?.verdict(verdict);
    this.#touch();
  }

  onUninspected(cause: UninspectedCause): void {
    this.#findings?.uninspected(cause);
  }

  onViolation(violation: Violation): void {
    this.#findings?.broken(violation);
  }

  onFarewell(): void {
    this.#isFarewell = true;
    this.#move('closing');
    this.deadlineTick = this.#context.sweep.after(this.#context.deadlines.lingerMs);
  }

  onFault(error: unknown): void {
    this.#context.log.error(
      { event: 'session_failed', session: this.#connect?.session.toString('hex'), err: error },
      'an inspected session was broken off: see the disk of relay.inspect.spoolDir; if that is well, please report it',
    );
    this.abort('failed');
  }

  #ended(outcome: Outcome): Outcome {
    return this.#findings?.violation === undefined ? outcome : 'violation';
  }

  #pipeTo(socket: Socket, connect: Message<'connect'>): Splice | InspectedPipe {
    const { inspection } = this.#context;
    const stream = this.#stream;
    if (inspection === undefined) return new Splice({ stream, socket, owner: this });
    const inspected = this.#startFindings(inspection, connect);
    if (inspected === undefined) return new Splice({ stream, socket, owner: this });
    const reference = connect.session.toString('hex', 0, REFERENCE_BYTES);
    return new InspectedPipe({ stream, socket, owner: this, inspection }, { protocol: inspected, reference });
  }

  /** How the session is inspected; undefined when it passes unseen, which is counted. */
  #startFindings(inspection: Inspection, connect: Message<'connect'>): InspectedProtocol | undefined {
    const { log, onDetection } = this.#context;
    const unseen = inspection.unseen(this.#protocol, connect.port);
    const inspected = rightOf(this.#protocol) === 'smtp' ? 'smtp' : 'pop3';
    this.#findings = new Findings(
      { log, tally: inspection.tally, onDetection },
      { session: connect.session, mac: this.#mac ?? '', client: connect.client, destination: destinationOf(connect), protocol: this.#protocol, inspected },
    );
    if (unseen === undefined) return inspected;
    this.#findings.uninspected(unseen);
    return undefined;
  }

  #touch(): void {
    // A client that goes on sending would else be listened to for ever.
    if (this.#isFarewell) return;
    this.deadlineTick = this.#context.sweep.tick + this.#idleTicks;
  }

  #readPreamble(chunk: Buffer): void {
    const found = this.#reader?.pushOne(chunk);
    const rest = found?.rest ?? EMPTY;
    this.#stream.consumed(chunk.length - rest.length);
    if (found === undefined) return;
    this.#reader = undefined;
    // The id is a view of the whole TLS record; it outlives it by far.
    this.#connect = { ...found.message, session: Buffer.from(found.message.session) };
    if (rest.length > 0) this.#holdEarly(rest);
    const protocol = MAIL_PROTOCOLS[found.message.protocol];
    if (protocol === undefined) throw new Refusal('PROTOCOL', `${found.message.protocol} is no mail protocol`);
    this.#protocol = protocol;
    const { admission } = this.#device;
    if (admission === undefined) this.#device.waitForTicket(this);
    else this.#dialFor(admission, found.message);
  }

  #holdEarly(chunk: Buffer): void {
    this.#early ??= new HeldBytes();
    if (this.#early.bytes + chunk.length > MAX_EARLY_BYTES)
      return this.#refuse(new Refusal('PROTOCOL', 'bytes of the client before the destination was connected'));
    this.#early.push(chunk);
  }

  #dialFor(admission: Admission, connect: Message<'connect'>): void {
    const { gate, policy, caps, resolver, sweep, connectTimeoutMs } = this.#context;
    if (this.#context.isDraining()) throw new Refusal('DRAINING', 'this relay is being stopped');
    gate.checkSession(admission, rightOf(this.#protocol));
    policy.checkPort(connect.port, this.#protocol);
    const host = parseHost(connect.host);
    caps.beginSession(admission.mac);
    this.#mac = admission.mac;
    this.#move('connecting');
    this.deadlineTick = sweep.after(connectTimeoutMs);
    this.#dial = new Dial({ resolver, handler: this }, { host, port: connect.port });
  }

  /** Runs a step; what it throws is a refusal to the agent. */
  #guarded(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#refuse(this.#refusalFrom(error));
    }
  }

  #refusalFrom(error: unknown): Refusal {
    if (error instanceof Refusal) return error;
    if (error instanceof WireError) return new Refusal('PROTOCOL', error.message);
    this.#context.log.error({ event: 'session_failed', err: error }, 'a mistake of ours: please report it');
    return new Refusal('INTERNAL', 'the relay failed');
  }

  #refuse(refusal: Refusal): void {
    if (this.#state === undefined || this.#state === 'closing') return;
    const { number } = REFUSALS[refusal.code];
    const { sweep, deadlines, tally } = this.#context;
    this.#dial?.cancel();
    this.#early = undefined;
    this.#move('closing');
    this.deadlineTick = sweep.after(deadlines.lingerMs);
    tally.refused(refusal.code);
    this.#stream.write(encodeFrame({ type: 'refuse', id: 0, code: number, text: refusal.message }));
    this.#stream.end();
    this.#summarize('refused', refusal);
    this.#release();
    if (this.#endedEarly) this.#finish('refused');
  }

  #move(to: SessionState | undefined): void {
    this.#context.tally.move(this.#state, to);
    this.#state = to;
  }

  #release(): void {
    if (this.#mac !== undefined) this.#context.caps.endSession(this.#mac);
    this.#mac = undefined;
  }

  #finish(outcome: Outcome): void {
    if (this.#state === undefined) return;
    this.#move(undefined);
    this.#context.sweep.delete(this);
    this.#context.tally.outcome(outcome);
    if (outcome !== 'refused') this.#summarize(outcome);
    this.#release();
    this.#device.sessionEnded(this);
  }

  #summarize(outcome: Outcome, refusal?: Refusal): void {
    const connect = this.#connect;
    // A stranger, who needs no certificate of the operator's to get here, must not fill the log.
    const level = this.#device.admission === undefined ? 'debug' : 'info';
    this.#context.log[level](
      {
        event: 'session',
        session: connect?.session.toString('hex'),
        device: this.#device.admission?.mac,
        client: connect === undefined ? undefined : printable(connect.client),
        destination: connect === undefined ? undefined : printable(destinationOf(connect)),
        protocol: this.#protocol,
        address: this.#address === '' ? undefined : this.#address,
        bytesUp: this.#bytesUp,
        bytesDown: this.#bytesDown,
        connectMs: this.#connectMs,
        durationMs: Math.round(this.#context.now() - this.#startMs),
        ...this.#findings?.summary(),
        outcome,
        code: refusal?.code,
      },
      refusal === undefined ? `session ended: ${outcome}` : `session refused: ${refusal.message}`,
    );
  }
}

const EMPTY = Buffer.alloc(0);

/** As it is written in the configuration: `mail.example.com:25`, `[2001:db8::25]:25`. */
function destinationOf({ host, port }: Message<'connect'>): string {
  return host.includes(':') ? `[${host.toLowerCase()}]:${port}` : `${host.toLowerCase()}:${port}`;
}

function proxyHeader(connect: Message<'connect'>, address: IpAddress): Buffer {
  return encodeProxyV2({
    client: parseEndpoint(connect.client),
    destination: { address, port: connect.port },
    uniqueId: connect.session,
  });
}
