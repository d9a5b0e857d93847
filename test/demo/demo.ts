import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createTransport } from 'nodemailer';
import { type Clamd, hasClamd, startClamd } from '../kit/clamd.ts';
import { Mailbox } from '../kit/mailbox.ts';
import { Mesh, type MeshAgent, type MeshSite } from '../kit/mesh.ts';
import { fetchAllPop3 } from '../kit/pop3-client.ts';
import { startPop3Server } from '../kit/pop3-server.ts';
import { startSmtpLedger, type SmtpLedger } from '../kit/smtp-ledger.ts';
import { Background } from './background.ts';
import { showInspection } from './inspection.ts';
import { Story } from './story.ts';

/**
 * The whole story on one machine, on embedded parts only: a site, a device, mail through it, and what happens when
 * relays and managers die. Real processes, real TLS; the mail servers and the DNS are small ones of the test kit.
 */

const MAC = '02:00:5e:10:00:01';
const USER = 'office';
const PASSWORD = 'secret';
const MAILS = 200;
/** Leases this short let the demo show in seconds what takes minutes in operation. */
const TICKET_TTL = '10s';
const DECISION_LIMIT_MS = 5000;
const SESSION_LINE_MS = 5000;
const NO_CLAMD =
  'No clamd on this machine: inspection for viruses is not shown, and nothing stands in for it (Debian: apt-get install clamav-daemon).';

const story = new Story({ json: process.argv.includes('--json') });
let mesh: Mesh | undefined;
try {
  mesh = await Mesh.create();
  await tell(mesh);
} catch (error) {
  story.fail(error);
} finally {
  await mesh?.stop();
}
story.end();

async function tell(mesh: Mesh): Promise<void> {
  const mailbox = new Mailbox();
  const smtp = await startSmtpLedger({ mailbox });
  const pop3 = await startPop3Server({ mailbox, users: { [USER]: PASSWORD } });
  const scanners = hasClamd() ? await Promise.all([startClamd(), startClamd()]) : [];
  try {
    await chapters(mesh, { smtp, mailbox, pop3Port: pop3.port, scanners });
  } finally {
    await Promise.all([smtp.stop(), pop3.stop(), ...scanners.map((scanner) => scanner.stop())]);
  }
}

interface Surroundings {
  readonly smtp: SmtpLedger;
  readonly mailbox: Mailbox;
  readonly pop3Port: number;
  /** A pair of clamd, or none where there is no clamd. */
  readonly scanners: readonly Clamd[];
}

async function chapters(mesh: Mesh, { smtp, mailbox, pop3Port, scanners }: Surroundings): Promise<void> {
  const inspect = { clamd: scanners.map(({ address }) => address) };
  const site = await story.step('a site comes up', async () => {
    const made = await mesh.addSite({
      name: 'tokyo-1',
      servers: [
        { name: 's1', address: '127.0.1.1', roles: ['auth', 'relay', 'manager'] },
        { name: 's2', address: '127.0.1.2', roles: ['auth', 'relay', 'manager'] },
      ],
      settings: {
        'auth.ticketTtl': TICKET_TTL,
        'relay.destinations.extraPorts': [smtp.port, pop3Port],
        ...(scanners.length === 0 ? {} : { 'relay.inspect': inspect }),
      },
    });
    await made.start();
    mesh.publish([made]);
    return { value: made, words: 'two servers, each with a relay, a manager and an auth, found through DNS' };
  });

  const agent = await story.step('a device is enrolled', async () => {
    const value = await mesh.startAgent({ mac: MAC, forward: [`127.0.0.1:${smtp.port}/smtp`, `127.0.0.1:${pop3Port}/pop3`] });
    const [lease] = await value.waitForEvents('lease', 1);
    return { value, words: `${MAC} has proved its key; manager ${String(lease?.['manager'])} leased it relay ${String((lease?.['relays'] as string[] | undefined)?.[0])}` };
  });

  const [smtpPort = 0, fetchPort = 0] = agent.ports;
  await story.step('a mail goes out through the relay', async () => {
    const session = await sendOne(agent, smtpPort, 'first');
    expectRoute(session, 'relayed');
    await smtp.waitForMessages(1);
    return { value: undefined, words: `carried by relay ${String(session['relay'])}, session ${String(session['session']).slice(0, 8)}` };
  });

  await story.step('and is fetched through it', async () => {
    const mails = await fetchAllPop3({ host: '127.0.0.1', port: fetchPort, user: USER, password: PASSWORD });
    if (mails.length !== 1 || !mails[0]?.equals(smtp.messages[0]?.raw ?? Buffer.alloc(0)))
      throw new Error(`fetched ${mails.length} mails, and not the one that was sent, byte for byte`);
    return { value: undefined, words: `${mails[0].length} bytes over POP3, byte for byte what was sent` };
  });

  if (scanners.length === 0) story.remark(NO_CLAMD);
  else await showInspection(story, { smtp, mailbox, scanners, smtpPort, fetchPort, user: USER, password: PASSWORD });

  const background = new Background({ port: smtpPort, count: MAILS });
  background.start();
  try {
    await failures(site, agent, smtpPort);
  } finally {
    background.hurry();
  }

  await story.step(`${MAILS} mails sent meanwhile`, async () => {
    await background.done(20_000);
    const arrived = background.arrivedIn(smtp.messages.map(({ raw }) => raw));
    story.mails = { sent: background.accepted, delivered: arrived.unique };
    if (background.accepted !== MAILS || arrived.unique !== MAILS)
      throw new Error(`${background.accepted} were accepted and ${arrived.unique} arrived`);
    const again = background.retries === 0 ? '' : `; ${background.retries} had to be sent again by their client`;
    return { value: undefined, words: `${arrived.unique} arrived, none lost, ${arrived.duplicates} twice${again}` };
  });
}

async function failures(site: MeshSite, agent: MeshAgent, port: number): Promise<void> {
  await story.step('the relay is killed, the next mail takes another', async () => {
    const before = String((await sendOne(agent, port, 'before'))['relay']);
    await site.killRole(before, 'relay');
    const started = performance.now();
    const session = await sendOne(agent, port, 'after');
    const ms = Math.round(performance.now() - started);
    if (session['route'] !== 'relayed' || session['relay'] === before)
      throw new Error(`it went ${String(session['route'])} by ${String(session['relay'])}`);
    await site.startRole(before, 'relay');
    return { value: undefined, words: `${before} is dead; ${String(session['relay'])} carried the next one in ${ms} ms` };
  });

  await story.step('all managers stop, mail goes direct', async () => {
    for (const { name } of site.servers) await site.killRole(name, 'manager');
    let relayed = 0;
    for (let attempt = 0; ; attempt += 1) {
      const started = performance.now();
      const session = await sendOne(agent, port, `alone ${attempt}`);
      const ms = Math.round(performance.now() - started);
      if (session['route'] === 'direct') {
        if (ms > DECISION_LIMIT_MS) throw new Error(`the first direct mail took ${ms} ms`);
        return { value: undefined, words: `${relayed} more by the lease that was left, then direct in ${ms} ms, counted and logged` };
      }
      relayed += 1;
      if (attempt > 100) throw new Error('no mail went direct though every manager is dead');
      await sleep(200);
    }
  });

  await story.step('they return, mail is relayed again', async () => {
    await Promise.all(site.servers.map(({ name }) => site.startRole(name, 'manager')));
    const started = performance.now();
    for (;;) {
      const session = await sendOne(agent, port, 'back');
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      if (session['route'] === 'relayed') return { value: undefined, words: `relayed again ${seconds} s after they were back` };
      if (performance.now() - started > 20_000) throw new Error('mail still goes direct 20 s after the managers returned');
      await sleep(200);
    }
  });
}

/** Sends a mail through the agent and returns the agent's own line about that session. */
async function sendOne(agent: MeshAgent, port: number, subject: string): Promise<Record<string, unknown>> {
  // The client's port tells its session from those of the mails that are sent in the background.
  const socket = connect({ host: '127.0.0.1', port });
  await once(socket, 'connect');
  const client = `127.0.0.1:${socket.localPort}`;
  const transport = createTransport({ connection: socket, ignoreTLS: true });
  await transport.sendMail({ from: 'office@office.example', to: 'friend@mail.example', subject, text: 'Konnichiwa.\n' });
  transport.close();
  const deadline = performance.now() + SESSION_LINE_MS;
  for (;;) {
    const line = agent.events('session').find((event) => event['client'] === client);
    if (line !== undefined) return line;
    if (performance.now() > deadline) throw new Error(`the agent has no line about the session of ${client}:\n${agent.process.output}`);
    await sleep(10);
  }
}

function expectRoute(session: Record<string, unknown>, route: string): void {
  if (session['route'] !== route) throw new Error(`it went ${String(session['route'])}, see the agent's log`);
}
