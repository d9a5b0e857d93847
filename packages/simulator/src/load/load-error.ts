import { REFUSALS, type RefusalCode } from '@sekisho/wire';

/** Why a session of a simulated office failed; a closed set, with what it means for people. */
export const LOAD_ERRORS = {
  connect_refused: 'nobody listens where the client connects to',
  connect_failed: 'no connection, for another reason of the system',
  local_ports: 'this machine has no local port left',
  tls: 'the TLS handshake with the simulated server failed',
  refused_temporary: 'a 4xx, or an -ERR that is not permanent; the table of refusals has the codes of Sekisho',
  refused_permanent: 'a 5xx, or an -ERR [SYS/PERM]',
  reset: 'the connection was reset',
  closed: 'the connection was closed before its time',
  protocol: 'an answer that makes no sense',
  altered: 'a fetched mail had other bytes than it must have',
  silent: 'no byte moved for the time that --timeout says',
  not_started: 'with an open loop: as many sessions as --clients allows were running already',
  unfinished: 'still running when the run was over, and broken off',
} as const;

export type LoadErrorCode = keyof typeof LOAD_ERRORS;

/** How far a session had come. `final`: the mail was sent whole, and its reply was not there yet. */
export const STAGES = ['connect', 'greeting', 'commands', 'content', 'final', 'quit'] as const;
export type Stage = (typeof STAGES)[number];

/** What a simulated client has to say of its end. */
export interface Failure {
  readonly code: LoadErrorCode;
  readonly stage: Stage;
  /** The code of an agent or a relay that refused. */
  readonly refusal?: RefusalCode | undefined;
}

/** The code of Sekisho in a greeting that refuses: `421 4.3.2 … (FULL, session …)`. */
export function refusalIn(line: string): RefusalCode | undefined {
  const [, code = ''] = /\(([A-Z_]+), session /u.exec(line) ?? [];
  return isRefusal(code) ? code : undefined;
}

function isRefusal(code: string): code is RefusalCode {
  return Object.hasOwn(REFUSALS, code);
}

/** What an error of a socket means. */
export function codeOfSocketError(error: NodeJS.ErrnoException, isConnected: boolean): LoadErrorCode {
  if (isConnected) return error.code === 'ECONNRESET' || error.code === 'EPIPE' ? 'reset' : 'closed';
  if (error.code === 'ECONNREFUSED') return 'connect_refused';
  if (error.code === 'EADDRNOTAVAIL' || error.code === 'EADDRINUSE') return 'local_ports';
  return 'connect_failed';
}
