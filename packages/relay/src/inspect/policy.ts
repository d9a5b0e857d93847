import { type Disposition, withheldNotice } from '@sekisho/inspect';
import type { ScanResult, UnscannableCause } from '../scan/scanner.ts';
import type { InspectSettings } from './settings.ts';

/** What was done with a message: a closed set, for logs and metrics (docs/inspection.md). */
export const ACTIONS = ['delivered', 'rejected', 'deferred', 'replaced'] as const;
export type Action = (typeof ACTIONS)[number];

/** A message as its judge sees it. */
export interface JudgedMessage {
  readonly protocol: 'smtp' | 'pop3';
  readonly relay: string;
  /** Of the session, for people. */
  readonly reference: string;
  readonly at: Date;
  /** The beginning of its header, for the notice in its place; POP3 only. */
  readonly header: Buffer;
}

/** What the operator's policy makes of a verdict. */
export function dispositionOf(
  policy: Pick<InspectSettings, 'onInfected' | 'onUnscannable'>,
  result: ScanResult,
  message: JudgedMessage,
): { readonly action: Action; readonly disposition: Disposition } {
  if (result.kind === 'clean') return DELIVERED;
  if (result.kind === 'infected') {
    if (policy.onInfected[message.protocol] === 'pass') return DELIVERED;
    return refused(message, `a virus was found: ${result.signature}`, { kind: 'infected', signature: result.signature });
  }
  const key = POLICY_KEYS[result.cause];
  const action = key === undefined ? 'reject' : policy.onUnscannable[key];
  // What is fetched and was not kept can't be given, whatever the policy says.
  const isLost = result.cause === 'no_room' && message.protocol === 'pop3';
  if (action === 'pass' && !isLost) return DELIVERED;
  const text = `the message could not be checked for viruses: ${CAUSE_TEXTS[result.cause]}`;
  if (action !== 'reject') return { action: 'deferred', disposition: { action: 'refuse', temporary: true, text } };
  return refused(message, text, { kind: 'unscannable', cause: CAUSE_TEXTS[result.cause] });
}

const DELIVERED = { action: 'delivered', disposition: { action: 'release' } } as const;

/** Undefined: there is nothing to choose. */
const POLICY_KEYS: Readonly<Record<UnscannableCause, keyof InspectSettings['onUnscannable'] | undefined>> = {
  too_big: 'tooBig',
  limits: 'tooBig',
  encrypted: 'encrypted',
  scanner_down: 'scannerDown',
  no_room: 'scannerDown',
  timeout: 'timeout',
  // Its reader may see another message than the scanner.
  ambiguous: undefined,
};

const CAUSE_TEXTS: Readonly<Record<UnscannableCause, string>> = {
  too_big: 'it is too big',
  limits: 'it is past a limit of the scanner',
  encrypted: 'it is encrypted',
  scanner_down: 'no scanner is available, try again later',
  no_room: 'the relay has no room for it now, try again later',
  timeout: 'the scanner took too long, try again later',
  ambiguous: 'mail programs would not agree where its lines end',
};

type Finding = { readonly kind: 'infected'; readonly signature: string } | { readonly kind: 'unscannable'; readonly cause: string };

function refused(message: JudgedMessage, text: string, finding: Finding): ReturnType<typeof dispositionOf> {
  if (message.protocol === 'smtp') return { action: 'rejected', disposition: { action: 'refuse', temporary: false, text } };
  const { at, relay, reference, header } = message;
  const notice = withheldNotice({ ...finding, at, relay, reference, header });
  return { action: 'replaced', disposition: { action: 'replace', notice } };
}
