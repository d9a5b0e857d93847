import type { InspectorSink, UninspectedCause, Violation } from '../inspector.ts';

/** A sink that writes down what it hears: the bytes of each direction, and the events in their order. */
export class Recorder implements InspectorSink {
  readonly #server: Buffer[] = [];
  readonly #client: Buffer[] = [];
  readonly #message: Buffer[] = [];
  readonly events: string[] = [];
  readonly violations: Violation[] = [];

  get server(): Buffer {
    return Buffer.concat(this.#server);
  }

  get client(): Buffer {
    return Buffer.concat(this.#client);
  }

  /** The content of all messages, one behind the other. */
  get message(): Buffer {
    return Buffer.concat(this.#message);
  }

  toServer(bytes: Buffer): void {
    this.#server.push(bytes);
  }

  toClient(bytes: Buffer): void {
    this.#client.push(bytes);
  }

  onMessageData(bytes: Buffer): void {
    this.#message.push(bytes);
  }

  endServer(): void {
    this.events.push('endServer');
  }

  endClient(): void {
    this.events.push('endClient');
  }

  resetServer(): void {
    this.events.push('resetServer');
  }

  onMessageStart(): void {
    this.events.push('messageStart');
  }

  onMessageEnd(): void {
    this.events.push('messageEnd');
  }

  onMessageAbort(): void {
    this.events.push('messageAbort');
  }

  releaseContent(fromByte: number): void {
    this.events.push(`releaseContent ${fromByte}`);
  }

  onUninspected(cause: UninspectedCause): void {
    this.events.push(`uninspected ${cause}`);
  }

  onViolation(violation: Violation): void {
    this.violations.push(violation);
    this.events.push(`violation ${violation.code} ${violation.by}`);
  }
}
