import { EICAR } from '../../kit/clamd.ts';
import { sha256, unstuffDots } from '../../kit/mails.ts';
import { BrokenOff, Conversation } from './conversation.ts';
import type { Attempt, Box, Target } from './events.ts';

interface Fetched {
  readonly outcome: Attempt['outcome'];
  readonly reply: string;
  readonly virusFetched: boolean;
}

const FETCHES = { pop3: fetchPop3, imap: fetchImap } as const;

/** One connection that fetches all mails of a box and compares each. */
export async function fetchBox(protocol: 'pop3' | 'imap', target: Target, box: Box): Promise<Attempt> {
  const startedAt = Date.now();
  let conversation: Conversation | undefined;
  let result: Fetched;
  try {
    conversation = await Conversation.open(target);
    result = await FETCHES[protocol](conversation, box);
  } catch (error) {
    if (!(error instanceof BrokenOff)) throw error;
    result = { outcome: 'broken', reply: error.message, virusFetched: false };
  } finally {
    conversation?.close();
  }
  return {
    kind: 'fetch',
    protocol,
    client: conversation?.client ?? '',
    startedAt,
    endedAt: Date.now(),
    decisionMs: conversation?.decidedAfterMs ?? Date.now() - startedAt,
    greeted: conversation?.decisionMs !== undefined,
    longestWaitMs: conversation?.longestWaitMs ?? 0,
    ...result,
  };
}

async function fetchPop3(conversation: Conversation, box: Box): Promise<Fetched> {
  for (const command of [undefined, `USER ${box.user}`, `PASS ${box.password}`]) {
    if (command !== undefined) conversation.write(`${command}\r\n`);
    const line = await conversation.line();
    if (!line.startsWith('+OK')) return { outcome: 'later', reply: line, virusFetched: false };
  }
  const found: Buffer[] = [];
  for (const index of box.mails.keys()) {
    conversation.write(`RETR ${index + 1}\r\n`);
    const line = await conversation.line();
    if (!line.startsWith('+OK')) return { outcome: 'later', reply: line, virusFetched: false };
    const body = await conversation.through('\r\n.\r\n');
    found.push(unstuffDots(body.subarray(0, -'.\r\n'.length)));
  }
  conversation.write('QUIT\r\n');
  await conversation.line().catch(() => undefined);
  return compare(found, box);
}

async function fetchImap(conversation: Conversation, box: Box): Promise<Fetched> {
  const greeting = await conversation.line();
  if (!greeting.startsWith('* OK')) return { outcome: 'later', reply: greeting, virusFetched: false };
  for (const [index, command] of [`LOGIN ${box.user} ${box.password}`, 'SELECT INBOX'].entries()) {
    const done = await imapCommand(conversation, `a${index} ${command}`);
    if (!/^\S+ OK/u.test(done)) return { outcome: 'later', reply: done, virusFetched: false };
  }
  const found: Buffer[] = [];
  conversation.write('b FETCH 1:* BODY.PEEK[]\r\n');
  for (;;) {
    const line = await conversation.line();
    const literal = /^\* \d+ FETCH .*\{(\d+)\}$/u.exec(line)?.[1];
    if (literal !== undefined) found.push(await conversation.bytes(Number(literal)));
    if (line.startsWith('b ')) break;
  }
  await imapCommand(conversation, 'c LOGOUT').catch(() => undefined);
  return compare(found, box);
}

/** The line that ends the answer. */
async function imapCommand(conversation: Conversation, line: string): Promise<string> {
  const tag = line.slice(0, line.indexOf(' ') + 1);
  conversation.write(`${line}\r\n`);
  for (;;) {
    const answer = await conversation.line();
    if (answer.startsWith(tag)) return answer;
  }
}

/** An infected mail may have been replaced by a notice; every other one must be what is stored. */
function compare(found: readonly Buffer[], box: Box): Fetched {
  const virusFetched = found.some((mail) => mail.includes(EICAR));
  const wrong = box.mails.findIndex(({ hash, infected }, index) => {
    const mail = found[index];
    return mail === undefined || (!infected && sha256(mail) !== hash);
  });
  if (wrong >= 0) return { outcome: 'altered', reply: `mail ${wrong + 1} of ${box.user}: ${found[wrong]?.length ?? 'no'} bytes, another hash`, virusFetched };
  return { outcome: 'accepted', reply: '', virusFetched };
}
