import { createPrivateKey, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { identityOf } from '@sekisho/channel';
import { MAIL_PROTOCOLS, type MailProtocol, MAX_HOST_BYTES, parseMac, PROTOCOL_OF_PORT } from '@sekisho/wire';
import { z } from 'zod';
import { interceptSchema } from './intercept-schema.ts';
import { duration } from './quantities.ts';
import { dnsServer, hostName, logSchema } from './site-schema.ts';

/** agent.yaml: what `device enroll` writes and what is carried to the router, keys included. */

const FORWARD = /^(?:(?<listenHost>\[[0-9a-f:.]+\]|[\d.]+):)?(?<listenPort>\d{1,5})=(?<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+):(?<port>\d{1,5})(?:\/(?<protocol>[a-z0-9]+))?$/iu;

const certificate = () => z.string().refine((text) => readable(() => new X509Certificate(text)), { message: pemNeeded('CERTIFICATE'), abort: true });
const privateKey = () => z.string().refine((text) => readable(() => createPrivateKey(text)), { message: pemNeeded('PRIVATE KEY'), abort: true });

function pemNeeded(label: string): string {
  return `cannot be read: a PEM block is needed here, from -----BEGIN ${label}----- to -----END ${label}-----, as \`sekisho device enroll\` writes it`;
}

function readable(read: () => unknown): boolean {
  try {
    read();
    return true;
  } catch {
    return false;
  }
}

/**
 * `127.0.0.1:2525=mail.example.com:587`, an address to listen at and where its connections go. On a port that is not one
 * of mail's own, the protocol is said: `127.0.0.1:2525=mail.example.com:2587/smtp`.
 */
export const forwardSchema = z
  .string()
  .regex(FORWARD, 'a forward is ADDRESS:PORT=HOST:PORT, such as 127.0.0.1:2525=mail.example.com:587')
  .transform((text, context) => {
    const { listenHost = '127.0.0.1', listenPort, host = '', port, protocol } = FORWARD.exec(text)?.groups ?? {};
    const listen = { host: bare(listenHost), port: Number(listenPort) };
    const destination = { host: bare(host), port: Number(port) };
    const spoken = protocol === undefined ? PROTOCOL_OF_PORT.get(destination.port) : MAIL_PROTOCOLS.find((known) => known === protocol);
    const problem = forwardProblem(listen, destination, spoken);
    if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
    return { listen, destination, protocol: spoken ?? 'smtp' };
  });

interface Place {
  readonly host: string;
  readonly port: number;
}

function forwardProblem(listen: Place, destination: Place, protocol: MailProtocol | undefined): string | undefined {
  if (listen.port > 65_535 || destination.port < 1 || destination.port > 65_535) return 'a port is from 1 to 65535';
  if (isIP(listen.host) === 0) return 'an IP address to listen at is needed before the =, such as 127.0.0.1:2525 or [::1]:2525';
  if (!isDestination(destination.host))
    return 'a name or an IP address is needed after the =, such as mail.example.com:587 or [2001:db8::25]:587';
  if (protocol !== undefined) return undefined;
  return `port ${destination.port} does not tell the protocol; add it, one of ${MAIL_PROTOCOLS.join(', ')}: …:${destination.port}/smtp`;
}

function isDestination(host: string): boolean {
  return host.length <= MAX_HOST_BYTES && (!/^[\d.]+$|:/u.test(host) || isIP(host) !== 0);
}

function bare(host: string): string {
  return host.replace(/^\[(.*)\]$/u, '$1');
}

export const agentSchema = z
  .strictObject({
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
    intercept: interceptSchema.optional().meta({ description: "Carry the office's mail without its knowing ([interception](interception.md))." }),
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
    rehomeAfter: duration('15m', { min: '1s', max: '1d' }).meta({
      description: 'After so long with one manager, on average, another is chosen among all that are alive: so a site that is back gets its share again.',
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
    ca: certificate().meta({ description: "The operator's CA certificate." }),
    certificate: certificate().meta({ description: 'The certificate of the device.' }),
    key: privateKey().meta({ description: 'The key of the device. Whoever has it is the device.' }),
  })
  .superRefine(contradictions);

export type AgentConfig = z.output<typeof agentSchema>;

interface Refined {
  readonly mac: string;
  readonly dns: { readonly minTtl: number; readonly maxTtl: number };
  readonly forward: readonly z.output<typeof forwardSchema>[];
  readonly certificate: string;
  readonly key: string;
}

/** What is wrong although every key by itself is right. */
function contradictions({ mac, dns, forward, certificate: certificatePem, key }: Refined, context: z.RefinementCtx): void {
  const problem = (path: (string | number)[], message: string): void => context.addIssue({ code: 'custom', path, message });
  if (dns.minTtl > dns.maxTtl) problem(['dns', 'minTtl'], 'is longer than dns.maxTtl; make one of them fit');
  forward.forEach(({ listen }, index) => {
    const first = forward.findIndex((other) => other.listen.host === listen.host && other.listen.port === listen.port);
    if (first < index && listen.port !== 0)
      problem(['forward', index], `${listen.host} port ${listen.port} is already that of forward.${first}; choose another port`);
  });
  const proof = new X509Certificate(certificatePem);
  if (!proof.checkPrivateKey(createPrivateKey(key)))
    problem(['key'], 'does not belong to the certificate; take both from the same file of `sekisho device enroll` or `renew`');
  const identity = identityOf(proof);
  if (identity?.kind !== 'device')
    problem(['certificate'], 'is not the certificate of a device; `sekisho device enroll` makes one');
  else if (identity.mac !== mac) problem(['certificate'], `is that of ${identity.mac}, not of ${mac}; each device has its own file`);
}
