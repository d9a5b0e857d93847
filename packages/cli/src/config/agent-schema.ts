import { z } from 'zod';
import { MAIL_PROTOCOLS, type MailProtocol, parseMac, PROTOCOL_OF_PORT } from '@sekisho/wire';
import { duration } from './quantities.ts';
import { dnsServer, hostName, logSchema } from './site-schema.ts';

/** agent.yaml: what `device enroll` writes and what is carried to the router, keys included. */


const pem = (label: string) =>
  z.string().refine((text) => text.includes(`-----BEGIN ${label}-----`), `a PEM block is needed here: -----BEGIN ${label}-----`);

const FORWARD = /^(?:(?<listenHost>\[[0-9a-f:.]+\]|[\d.]+):)?(?<listenPort>\d{1,5})=(?<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+):(?<port>\d{1,5})(?:\/(?<protocol>[a-z0-9]+))?$/iu;

/**
 * `127.0.0.1:2525=mail.example.com:587`, an address to listen at and where its connections go. On a port that is not one
 * of mail's own, the protocol is said: `127.0.0.1:2525=mail.example.com:2587/smtp`.
 */
export const forwardSchema = z
  .string()
  .regex(FORWARD, 'a forward is ADDRESS:PORT=HOST:PORT, such as 127.0.0.1:2525=mail.example.com:587')
  .transform((text, context) => {
    const { listenHost = '127.0.0.1', listenPort, host = '', port, protocol } = FORWARD.exec(text)?.groups ?? {};
    const destination = { host: bare(host), port: Number(port) };
    const spoken = protocol === undefined ? PROTOCOL_OF_PORT.get(destination.port) : MAIL_PROTOCOLS.find((known) => known === protocol);
    const problem = forwardProblem(Number(listenPort), destination.port, spoken);
    if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
    return { listen: { host: bare(listenHost), port: Number(listenPort) }, destination, protocol: spoken ?? 'smtp' };
  });

function forwardProblem(listenPort: number, port: number, protocol: MailProtocol | undefined): string | undefined {
  if (listenPort > 65_535 || port < 1 || port > 65_535) return 'a port is at most 65535';
  if (protocol !== undefined) return undefined;
  return `port ${port} does not tell the protocol; add it, one of ${MAIL_PROTOCOLS.join(', ')}: …:${port}/smtp`;
}

function bare(host: string): string {
  return host.replace(/^\[(.*)\]$/u, '$1');
}

export const agentSchema = z.strictObject({
  mac: z
    .string()
    .transform((text, context) => {
      try {
        return parseMac(text);
      } catch (error) {
        context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) });
        return z.NEVER;
      }
    })
    .meta({ description: 'The MAC address of the device. It identifies; the key below proves.' }),
  label: z.string().max(200).optional().meta({ description: 'For people.' }),
  manager: z
    .strictObject({
      name: hostName().meta({ description: 'The DNS name of the managers, also the name in their certificates.' }),
      port: z.int().min(1).max(65_535).default(7025).meta({ description: 'The same at every site.' }),
    })
    .meta({ description: 'How managers are found.' }),
  dns: z
    .strictObject({
      servers: z.array(dnsServer()).max(8).default([]).meta({ description: 'Empty: those of the system.' }),
      minTtl: duration('30s', { min: '100ms', max: '1h' }).meta({ description: 'A shorter TTL is not respected.' }),
      maxTtl: duration('20m', { min: '100ms', max: '1d' }).meta({ description: 'Nor is a longer one.' }),
    })
    .prefault({}),
  failMode: z.enum(['open', 'closed']).default('open').meta({
    description: '`open`: mail goes directly to its destination when no site can be reached. `closed`: clients are told to try later.',
  }),
  forward: z.array(forwardSchema).max(64).default([]).meta({
    description: 'Listeners, each with its destination; `--forward` adds more.',
  }),
  managerStagger: duration('300ms', { min: '10ms', max: '1m' }).meta({
    description: 'A manager that is silent for so long is raced against the next.',
  }),
  managerBudget: duration('5s', { min: '100ms', max: '5m' }).meta({ description: 'When all managers are silent, after so long.' }),
  ackTimeout: duration('300ms', { min: '10ms', max: '1m' }).meta({
    description: 'A relay that has not acknowledged a session for so long is raced against the second.',
  }),
  decisionBudget: duration('5s', { min: '100ms', max: '5m' }).meta({
    description: 'A client waits no longer until it is decided how its connection goes.',
  }),
  deadAfter: duration('10s', { min: '500ms', max: '10m' }).meta({
    description: 'A connection to a manager or relay without a byte for so long is dead, even if nothing was reset.',
  }),
  maxSessions: z.int().min(1).max(100_000).default(500).meta({ description: 'Client connections at once; two descriptors each.' }),
  maxPerClient: z.int().min(1).max(100_000).default(100).meta({ description: 'Client connections from one address at once.' }),
  metrics: z
    .strictObject({
      address: z.string().default('127.0.0.1').meta({ description: 'Where to serve metrics.' }),
      port: z.int().min(1).max(65_535).optional().meta({ description: 'Not set: not served.' }),
    })
    .prefault({}),
  log: logSchema.prefault({}),
  ca: pem('CERTIFICATE').meta({ description: "The operator's CA certificate." }),
  certificate: pem('CERTIFICATE').meta({ description: 'The certificate of the device.' }),
  key: pem('PRIVATE KEY').meta({ description: 'The key of the device. Whoever has it is the device.' }),
});

export type AgentConfig = z.output<typeof agentSchema>;
