import { quoted, quotedField } from './header-fields.ts';

const DOMAIN = 'sekisho.invalid';

export interface WithheldNoticeInit {
  readonly at: Date;
  readonly kind: 'infected' | 'unscannable';
  /** What the scanner calls it. */
  readonly signature?: string;
  /** Why it could not be scanned. */
  readonly cause?: string;
  /** Names the relay. */
  readonly relay: string;
  /** Names the session. */
  readonly reference: string;
  /** The beginning of the message that is withheld: a stranger's text. */
  readonly header: Buffer;
}

/**
 * The message that a client gets in place of one that is withheld: RFC 5322, plain text, CRLF, dots not stuffed. What a
 * stranger wrote is quoted in its body and nowhere else.
 */
export function withheldNotice(init: WithheldNoticeInit): Buffer {
  const { at, kind, header } = init;
  const isInfected = kind === 'infected';
  const field = (name: string): string => quotedField(header, name) ?? '(not given)';
  const found = isInfected
    ? `A virus was found: ${quoted(init.signature ?? 'without a name')}`
    : `It could not be checked for viruses: ${quoted(init.cause ?? 'no reason was given')}`;
  const lines = [
    `From: "Sekisho" <inspection@${DOMAIN}>`,
    `Date: ${at.toUTCString().replace('GMT', '+0000')}`,
    `Subject: A message was withheld: ${isInfected ? 'it contains a virus' : 'it could not be checked'}`,
    // Two messages of one session are withheld at different times: clients drop what has an id they know.
    `Message-ID: <withheld.${atom(quoted(init.reference))}.${at.getTime().toString(36)}@${DOMAIN}>`,
    'Auto-Submitted: auto-generated',
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: 8bit',
    '',
    'You get this notice in place of a message that was withheld from you.',
    '',
    'The message says of itself (this may be forged):',
    '',
    `    From:    ${field('From')}`,
    `    Subject: ${field('Subject')}`,
    `    Date:    ${field('Date')}`,
    '',
    found,
    '',
    'The message itself is still on the mail server. Your mail program may take',
    'it for fetched and delete it the next time, unless it is set to leave',
    'messages on the server.',
    ...(isInfected ? INFECTED_ADVICE : UNSCANNABLE_ADVICE),
    '',
    `    Relay:     ${quoted(init.relay)}`,
    `    Reference: ${quoted(init.reference)}`,
    `    Time:      ${at.toISOString()}`,
    '',
  ];
  return Buffer.from(lines.join('\r\n'), 'utf8');
}

const INFECTED_ADVICE = [
  '',
  'What to do: do not try to get hold of it. If you know the sender, tell them',
  'by another way that their computer may be infected. Your administrator can',
  'delete the message on the server, and look into it with this reference:',
];

const UNSCANNABLE_ADVICE = [
  '',
  'What to do: fetch your mail again later. If this notice comes again and you',
  'expect the message, ask your administrator, with this reference:',
];

/** RFC 5322 section 3.2.3: what may stand in a message id without quotes. */
function atom(text: string): string {
  return text.replaceAll(/[^A-Za-z0-9-]/gu, '-') || '-';
}
