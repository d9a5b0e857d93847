import { spawn } from 'node:child_process';
import type { Writable } from 'node:stream';
import { type Logger, printable } from '@sekisho/telemetry';

/** What is not read by the helper yet; a service manager that is so far behind learns no more from more of it. */
const MAX_UNSENT_BYTES = 4096;
const MAX_STATUS_CHARS = 200;

/**
 * Node has no UNIX datagram sockets, so systemd-notify sends. A shell of 1 MB that lives as long as we do starts it: a
 * fork of a manager with 800 MB in it would hold up its loop for 40 ms each time (docs/decisions/009). It hears no signal, as
 * all processes get one when a machine goes down, and what is said then matters.
 */
const HELPER = `trap '' TERM INT HUP; while IFS='\t' read -r a b c; do /usr/bin/systemd-notify \${a:+"$a"} \${b:+"$b"} \${c:+"$c"}; done`;

/** Tells the service manager how this process is: sd_notify(3). */
export class Notifier {
  /** How often a sign of life is due, half of the time after which its absence is a death; undefined: none is wanted. */
  readonly watchdogIntervalMs: number | undefined;
  readonly #log: Logger;
  readonly #helper: Writable;
  #failed = false;

  /**
   * Of NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, which are removed, so that no child speaks for us. Undefined when
   * nobody listens. To be called early: the helper is forked from what is in memory now.
   */
  static fromEnvironment(components: { readonly log: Logger }, env: NodeJS.ProcessEnv, pid: number): Notifier | undefined {
    const { NOTIFY_SOCKET: socket, WATCHDOG_USEC: usec, WATCHDOG_PID: watched } = env;
    for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete env[name];
    if (socket === undefined || socket === '') return undefined;
    const isWatched = Number(usec) > 0 && (watched === undefined || watched === String(pid));
    return new Notifier(components, { socket, watchdogIntervalMs: isWatched ? Number(usec) / 2000 : undefined });
  }

  private constructor({ log }: { readonly log: Logger }, init: { readonly socket: string; readonly watchdogIntervalMs: number | undefined }) {
    this.#log = log;
    this.watchdogIntervalMs = init.watchdogIntervalMs;
    const helper = spawn('/bin/sh', ['-c', HELPER], { env: { NOTIFY_SOCKET: init.socket }, stdio: ['pipe', 'ignore', 'inherit'] });
    helper.on('error', (error) => this.#onFailure(error.message));
    helper.on('exit', (code, signal) => this.#onFailure(`it ended with ${signal ?? code}`));
    helper.stdin.on('error', (error) => this.#onFailure(error.message));
    // It ends when its input does, which is when we end; until then it keeps nobody alive.
    helper.unref();
    if ('unref' in helper.stdin && typeof helper.stdin.unref === 'function') helper.stdin.unref();
    this.#helper = helper.stdin;
  }

  /** Started up: it serves. */
  ready(status: string): void {
    this.#send('READY=1', statusField(status));
  }

  /** Alive, and proven to be. */
  alive(status: string): void {
    this.#send('WATCHDOG=1', statusField(status));
  }

  /** Only a line for `systemctl status`. */
  status(status: string): void {
    this.#send(statusField(status));
  }

  /** It takes nothing new, and may need so long to let the old finish, whatever TimeoutStopSec= says. */
  stopping(status: string, withinMs: number | undefined): void {
    const extend = withinMs === undefined ? [] : [`EXTEND_TIMEOUT_USEC=${Math.round(withinMs * 1000)}`];
    this.#send('STOPPING=1', statusField(status), ...extend);
  }

  #send(...fields: string[]): void {
    if (this.#failed || this.#helper.writableLength > MAX_UNSENT_BYTES) return;
    this.#helper.write(`${fields.join('\t')}\n`);
  }

  #onFailure(reason: string): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#log.error(
      { event: 'notify_failed', reason: printable(reason) },
      'the service manager cannot be told how this process is and will restart it: see that /bin/sh and /usr/bin/systemd-notify can be run',
    );
  }
}

function statusField(status: string): string {
  return `STATUS=${printable(status).replaceAll(/\s+/gu, ' ').slice(0, MAX_STATUS_CHARS)}`;
}
