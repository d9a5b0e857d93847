import { setTimeout as sleep } from 'node:timers/promises';
import { dotStuff } from '../../kit/mails.ts';
import { BrokenOff, Conversation } from './conversation.ts';
import type { Attempt, Target } from './events.ts';
import type { OrderedMail } from './mail-order.ts';

export interface SubmissionInit {
  readonly target: Target;
  readonly tls?: boolean;
  readonly recipient: string;
  /** The message is sent in so many parts with pauses: a client on a slow line. */
  readonly slow?: { readonly parts: number; readonly pauseMs: number };
}

/** One attempt to send a mail: one connection, one command at a time. */
export async function submit(mail: OrderedMail, init: SubmissionInit): Promise<Attempt> {
  const startedAt = Date.now();
  const base = { kind: 'submission', protocol: init.tls === true ? 'smtps' : 'smtp', id: mail.id, hash: mail.sha256, infected: mail.infected, startedAt } as const;
  let conversation: Conversation | undefined;
  let greeted = false;
  const told = (outcome: Attempt['outcome'], reply: string): Attempt => ({
    ...base,
    client: conversation?.client ?? '',
    endedAt: Date.now(),
    decisionMs: conversation?.decidedAfterMs ?? Date.now() - startedAt,
    greeted,
    longestWaitMs: conversation?.longestWaitMs ?? 0,
    outcome,
    reply,
  });
  try {
    conversation = await Conversation.open(init.target, init);
    const reply = await converse(conversation, mail, init, () => {
      greeted = true;
    });
    return told(outcomeOf(reply), reply);
  } catch (error) {
    if (!(error instanceof BrokenOff)) throw error;
    return told('broken', error.message);
  } finally {
    conversation?.close();
  }
}

async function converse(conversation: Conversation, mail: OrderedMail, init: SubmissionInit, onGreeting: () => void): Promise<string> {
  const greeting = await conversation.reply();
  if (!greeting.startsWith('220')) return greeting;
  onGreeting();
  for (const [line, wanted] of [
    ['EHLO client.example.com', '250'],
    ['MAIL FROM:<sender@example.com>', '250'],
    [`RCPT TO:<${init.recipient}>`, '250'],
    ['DATA', '354'],
  ] as const) {
    const reply = await conversation.command(line);
    if (!reply.startsWith(wanted)) return reply;
  }
  const content = dotStuff(mail.raw);
  const { parts, pauseMs } = init.slow ?? { parts: 1, pauseMs: 0 };
  const partBytes = Math.ceil(content.length / parts);
  for (let at = 0; at < content.length; at += partBytes) {
    if (at > 0) await sleep(pauseMs);
    conversation.write(content.subarray(at, at + partBytes));
  }
  await conversation.flushed();
  const reply = await conversation.reply();
  // The mail is delivered; what becomes of the farewell is nobody's concern.
  if (reply.startsWith('250')) await conversation.command('QUIT').catch(() => undefined);
  return reply;
}

function outcomeOf(reply: string): Attempt['outcome'] {
  if (reply.startsWith('2')) return 'accepted';
  if (reply.startsWith('4')) return 'later';
  return /Eicar/iu.test(reply) ? 'infected' : 'refused';
}
