import { createTransport } from 'nodemailer';
import { type Clamd, EICAR } from '../kit/clamd.ts';
import type { Mailbox } from '../kit/mailbox.ts';
import { fetchAllPop3 } from '../kit/pop3-client.ts';
import type { SmtpLedger } from '../kit/smtp-ledger.ts';
import type { Story } from './story.ts';

/** What the steps about viruses need: a site that inspects through these scanners. */
export interface InspectionScene {
  readonly smtp: SmtpLedger;
  readonly mailbox: Mailbox;
  readonly scanners: readonly Clamd[];
  readonly smtpPort: number;
  readonly fetchPort: number;
  readonly user: string;
  readonly password: string;
}

const RECOVERY_MS = 20_000;

/** Viruses go neither out nor in, and with the scanners dead nothing passes unscanned. */
export async function showInspection(story: Story, scene: InspectionScene): Promise<void> {
  const { smtp, mailbox, scanners } = scene;

  await story.step('a virus is stopped on its way out', async () => {
    const before = smtp.messages.length;
    const reply = await refusal(scene, EICAR);
    if (!reply.startsWith('554')) throw new Error(`the virus was answered with ${reply}`);
    if (smtp.messages.length !== before) throw new Error('the destination has taken it');
    return { value: undefined, words: reply };
  });

  await story.step('and replaced by a notice on its way in', async () => {
    const original = Buffer.from(`From: friend@mail.example\r\nSubject: look at this\r\n\r\n${EICAR}\r\n`);
    mailbox.deliver(original);
    const { fetchPort: port, user, password } = scene;
    const fetched = (await fetchAllPop3({ host: '127.0.0.1', port, user, password })).at(-1) ?? Buffer.alloc(0);
    if (fetched.includes(EICAR)) throw new Error('the client has got the virus');
    const kept = mailbox.list().at(-1);
    if (kept?.raw.equals(original) !== true) throw new Error('the original is not on its server any more');
    const subject = /^Subject: (.*)\r$/mu.exec(fetched.toString('latin1'))?.[1] ?? 'no subject';
    return { value: undefined, words: `"${subject}"; the original is still on its server` };
  });

  await story.step('one scanner is killed, the other takes over', async () => {
    await scanners[0]?.kill();
    await sendClean(scene);
    return { value: undefined, words: 'scanned by the other one; `status` shows one of two' };
  });

  await story.step('both are killed: nothing passes unscanned', async () => {
    await Promise.all(scanners.map((scanner) => scanner.kill()));
    const reply = await refusal(scene, 'just a word');
    if (!reply.startsWith('451')) throw new Error(`without scanners a mail was answered with ${reply}`);
    return { value: undefined, words: reply };
  });

  await story.step('a scanner is back, mail flows again', async () => {
    const started = performance.now();
    await scanners[0]?.restart();
    for (;;) {
      try {
        await sendClean(scene);
        return { value: undefined, words: `accepted ${((performance.now() - started) / 1000).toFixed(1)} s after it was started` };
      } catch (error) {
        if (performance.now() - started > RECOVERY_MS) throw error;
      }
    }
  });
}

async function sendClean(scene: InspectionScene): Promise<void> {
  await send(scene, 'nothing special');
}

/** What the client was told; throws when the mail was accepted. */
async function refusal(scene: InspectionScene, text: string): Promise<string> {
  try {
    await send(scene, text);
  } catch (error) {
    const { response } = error as { response?: string };
    if (response !== undefined) return response;
    throw error;
  }
  throw new Error('it was accepted');
}

async function send({ smtpPort }: InspectionScene, text: string): Promise<void> {
  const transport = createTransport({ host: '127.0.0.1', port: smtpPort, ignoreTLS: true });
  try {
    await transport.sendMail({ from: 'office@office.example', to: 'friend@mail.example', subject: 'Inspected', text: `${text}\n` });
  } finally {
    transport.close();
  }
}
