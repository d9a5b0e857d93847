import { randomBytes } from 'node:crypto';
import { DeliveryError } from './alert/delivery-error.ts';
import type { Way } from './alert/target.ts';
import type { OutbreakSettings } from './settings.ts';

export interface TestOutcome {
  readonly way: Way;
  readonly address: string;
  /** Null when it went out. */
  readonly failure: string | null;
}

/** Sends a message that says it is a test to every administrator and to the webhook. No customer hears of it. */
export async function sendTest({ site, to, submission, webhook }: Pick<OutbreakSettings, 'site' | 'to' | 'submission' | 'webhook'>): Promise<TestOutcome[]> {
  const [{ Submission }, { Webhook }] = await Promise.all([import('./alert/submission.ts'), import('./alert/webhook.ts')]);
  const id = randomBytes(20).toString('hex');
  const outcomes: TestOutcome[] = [];
  const server = new Submission(submission, { site });
  const text = testText(site);
  for (const address of to) {
    const mail = { to: address, subject: `[Sekisho ${site}] Test: this would be an alert`, text, id: `${id}-${outcomes.length}`, stage: 'test' } as const;
    outcomes.push(await outcome('mail', address, () => server.send(mail)));
  }
  if (webhook !== undefined) {
    const hook = new Webhook({ clock: Date }, { ...webhook, site });
    outcomes.push(await outcome('webhook', webhook.url, () => hook.postTest(id)));
  }
  return outcomes;
}

/** Why no mail could be sent now; null when one could. Sends none. */
export async function submissionProblem({ site, submission }: Pick<OutbreakSettings, 'site' | 'submission'>): Promise<string | null> {
  const { Submission } = await import('./alert/submission.ts');
  return (await outcome('mail', '', () => new Submission(submission, { site }).verify())).failure;
}

async function outcome(way: Way, address: string, send: () => Promise<unknown>): Promise<TestOutcome> {
  try {
    await send();
    return { way, address, failure: null };
  } catch (error) {
    if (!(error instanceof DeliveryError)) throw error;
    return { way, address, failure: error.message };
  }
}

function testText(site: string): string {
  return [`This is a test. There is no outbreak at site ${site}.`, '', 'Somebody has called: sekisho outbreak test', 'An alert would arrive like this mail.', ''].join('\n');
}
