import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Attempt, Order, Report, Target, TrafficInit } from './events.ts';
import { fetchBox } from './fetch.ts';
import { MailOrder, type OrderedMail } from './mail-order.ts';
import { submit, type SubmissionInit } from './submission.ts';

/**
 * The mail programs of an office, all in one process: three that send over SMTP (one of them sometimes over IPv6), one whose mails take
 * long, one over TLS, one that fetches by POP3 and one by IMAP. Each tries again until it has a final answer, as mail programs do, only sooner.
 */

const FIRST_RETRY_MS = 200;
const LONGEST_RETRY_MS = 2000;
/** Every so many mails over IPv6. */
const IPV6_EVERY = 4;
const SLOW = { parts: 16, pauseMs: 400 };
const IDLE_POLL_MS = 50;

const init = JSON.parse(process.argv[2] ?? '') as TrafficInit;
const control = connect(init.socketPath);
const mails = new MailOrder(init);
let working = false;
let abandoning = false;
let busy = 0;

function isWorking(): boolean {
  return working;
}

function isBusy(): boolean {
  return busy > 0;
}

function report(what: Report): void {
  control.write(`${JSON.stringify(what)}\n`);
}

function told(attempt: Attempt): Attempt {
  report({ report: 'attempt', attempt });
  return attempt;
}

/** Sends one mail, as often as it takes. */
async function deliver(mail: OrderedMail, options: SubmissionInit): Promise<void> {
  report({ report: 'sent', id: mail.id, hash: mail.sha256, infected: mail.infected });
  for (let pauseMs = FIRST_RETRY_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_RETRY_MS)) {
    const { outcome, reply } = told(await submit(mail, options));
    if (outcome !== 'later' && outcome !== 'broken') return;
    if (abandoning) return report({ report: 'abandoned', id: mail.id, reply });
    await sleep(pauseMs);
  }
}

async function lane(work: (turn: number) => Promise<void>): Promise<void> {
  for (let turn = 0; ; turn += 1) {
    while (!isWorking()) await sleep(IDLE_POLL_MS);
    busy += 1;
    await work(turn);
    busy -= 1;
    await sleep(init.pauseMs * (0.5 + Math.random()));
  }
}

async function fetchLane(protocol: 'pop3' | 'imap', target: Target): Promise<void> {
  const box = protocol === 'pop3' ? init.pop3Box : init.imapBox;
  await lane(async () => {
    const { outcome } = told(await fetchBox(protocol, target, box));
    if (outcome !== 'accepted') await sleep(LONGEST_RETRY_MS);
  });
}

async function obey({ order }: Order): Promise<void> {
  working = order === 'start';
  abandoning = order === 'abandon';
  if (working) return;
  while (isBusy()) await sleep(IDLE_POLL_MS);
  if (!working) report({ report: 'idle' });
}

control.on('close', () => process.exit(0));
control.on('error', () => process.exit(1));
createInterface({ input: control }).on('line', (line) => void obey(JSON.parse(line) as Order));

const { recipient, smtp, smtps, smtp6, submission } = init;
const lanes = [
  lane(() => deliver(mails.next(), { target: smtp, recipient })),
  lane(() => deliver(mails.next(), { target: submission, recipient })),
  lane((turn) => deliver(mails.next(), { target: turn % IPV6_EVERY === 0 ? smtp6 : smtp, recipient })),
  lane(() => deliver(mails.next({ clean: true }), { target: smtp, recipient, slow: SLOW })),
  // What is inside TLS passes unseen, so no virus is sent there.
  lane(() => deliver(mails.next({ clean: true, small: true }), { target: smtps, tls: true, recipient })),
  fetchLane('pop3', init.pop3),
  fetchLane('imap', init.imap),
];
await Promise.all(lanes);
