import { isIP } from 'node:net';
import { MAX_WEIGHT, parseStoreUrl, StoreError } from '@sekisho/store';
import { MAX_RELAYS } from '@sekisho/wire';
import { z } from 'zod';
import { outbreakSchema } from './outbreak-schema.ts';
import { duration, size } from './quantities.ts';

/**
 * site.yaml: one file, the same on every server of a site. Each key says what it is and why its default is what it is;
 * docs/configuration.md and docs/config.schema.json are made from this file.
 */

const SITE_NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/u;
const SERVER_NAME = /^[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?$/u;
const HOST_NAME = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/iu;

const port = () => z.int().min(1).max(65_535);
const count = (max: number) => z.int().min(1).max(max);
const serverName = () => z.string().regex(SERVER_NAME, 'a name is 1 to 63 of a-z, 0-9, "." and "-"');
const serverNameOrAddress = () =>
  z.string().refine((text) => SERVER_NAME.test(text) || isIP(text) !== 0, {
    message: 'the name or the address of a server is needed here',
    // Whether there is such a server is asked next, and would be asked in vain.
    abort: true,
  }).transform(canonical);
const address = () =>
  z.string().refine((text) => isIP(text) !== 0 && !text.includes('%'), 'an IP address is needed here, such as 192.0.2.11 or 2001:db8::11');
const serverAddress = () =>
  address().refine((text) => !/^[0:.]+$/u.test(text), 'nobody can reach a server at this address; enter the one that others use').transform(canonical);
const cidr = () =>
  z.string().refine((text) => isCidr(text), 'a network is needed here, such as 10.0.0.0/8 or 2001:db8::/32');
const hostPort = () =>
  z.string().refine((text) => isHostPort(text), 'host:port is needed here, such as mail.example.com:25');
export const dnsServer = () =>
  z.string().refine((text) => isDnsServer(text), 'an address with or without a port is needed here, such as 192.0.2.53 or [2001:db8::1]:5353');
/** As a browser sends it in Host, in small letters. */
const pageHost = () =>
  z
    .string()
    .transform((text) => text.toLowerCase())
    .refine((text) => /^(?:\[[0-9a-f:.]+\]|[^\s:[\]/@]+)(?::\d{1,5})?$/u.test(text) && URL.canParse(`https://${text}`), 'a name with or without a port is needed here, such as status.example.com or 192.0.2.11:7080');
export const hostName = () => z.string().regex(HOST_NAME, 'a DNS name is needed here, such as manager.example.com');

/** What is wrong with the url of a store. It never repeats the url, which may hold a password. */
function storeProblem(url: string): string | undefined {
  try {
    const address = parseStoreUrl(url);
    if (address.kind === 'redis' && address.password !== undefined)
      return 'holds a password, and this file is read by many; write it into a file of its own and name that in store.passwordFile';
    return undefined;
  } catch (error) {
    if (error instanceof StoreError) return error.message;
    throw error;
  }
}

/** `10.0.0.0/8`, `2001:db8::/32`. */
export function isCidr(text: string): boolean {
  const [network = '', bits = '', ...rest] = text.split('/');
  const version = isIP(network);
  return version !== 0 && rest.length === 0 && /^\d{1,3}$/u.test(bits) && Number(bits) <= (version === 4 ? 32 : 128);
}

function isHostPort(text: string): boolean {
  const [, v6, name, portText] = /^(?:\[([0-9a-f:.]+)\]|([^\s:[\]]+)):(\d{1,5})$/iu.exec(text) ?? [];
  return isPort(Number(portText)) && (v6 === undefined ? name !== undefined : isIP(v6) === 6);
}

function isDnsServer(text: string): boolean {
  if (isIP(text) !== 0) return true;
  const [, v4 = '', v6 = '', portText] = /^(?:([\d.]+)|\[([0-9a-f:.]+)\]):(\d{1,5})$/iu.exec(text) ?? [];
  return isPort(Number(portText)) && (isIP(v4) === 4 || isIP(v6) === 6);
}

function isPort(number: number): boolean {
  return number >= 1 && number <= 65_535;
}

/** One spelling for each address, so that two are the same when their texts are. */
function canonical(text: string): string {
  return isIP(text) === 6 ? new URL(`http://[${text}]`).hostname.slice(1, -1) : text;
}

const server = z.strictObject({
  name: serverName().meta({ description: 'The name of the server in tables, leases, tickets and logs.' }),
  address: serverAddress().meta({ description: 'The address at which agents and the other servers of the site reach it.' }),
  roles: z
    .array(z.enum(['manager', 'auth', 'relay', 'outbreak']))
    .min(1)
    .meta({ description: 'What runs on it. All servers relay; two of them manage and authenticate, and watch for outbreaks if `outbreak` is set.' }),
});

const ports = z.strictObject({
  manager: port().default(7025).meta({ description: 'Agents ask here. The same at every site: DNS gives addresses only.' }),
  relay: port().default(7026).meta({ description: 'Agents bring mail here.' }),
  relayControl: port().default(7027).meta({ description: 'Managers of the site ask relays for their load here.' }),
  auth: port().default(7028).meta({ description: 'Managers of the site ask for tickets here.' }),
});

const table = z.strictObject({
  policy: z.enum(['least-load', 'weighted']).default('least-load').meta({
    description: 'How a relay is chosen. `least-load`: the lowest load per weight. `weighted`: turns by weight alone.',
  }),
  relays: z
    .array(z.union([serverNameOrAddress(), z.strictObject({ relay: serverNameOrAddress(), weight: count(MAX_WEIGHT).default(1) })]))
    .max(1000)
    .prefault([])
    .meta({
      description:
        'Servers by name or address; one that stands there twice gets twice the share, as does `{ relay: s3, weight: 2 }`. Empty: every server with the role relay, once.',
    }),
});

const manager = z.strictObject({
  maxAgents: count(1_000_000).default(10_000).meta({ description: 'Agents connected at once; one descriptor each.' }),
  maxPerAddress: count(100_000).default(100).meta({ description: 'Connections from one address, or one /64 of IPv6; offices may share one.' }),
  probeInterval: duration('1s', { min: '100ms', max: '1m' }).meta({ description: 'How often a relay is asked for its load.' }),
  probeTimeout: duration('1s', { min: '50ms', max: '1m' }).meta({ description: 'A relay that takes longer has failed this probe.' }),
  maxLoadPerCore: z.number().positive().default(4).meta({
    description: 'Load average per core above which a relay is marked overloaded.',
  }),
  maxHottestCore: z.number().positive().default(0.95).meta({
    description: 'How busy the busiest core may be, 1 being all the time, before a relay is marked overloaded. Above 1: it does not count, for machines that do other work, too.',
  }),
});

const auth = z.strictObject({
  proof: z.enum(['certificate', 'mac-only']).default('certificate').meta({
    description: '`mac-only` admits registered devices by their MAC alone, which anybody can claim. It is loud when on.',
  }),
  ticketTtl: duration('10m', { min: '10s', max: '1d' }).meta({
    description: 'How long a ticket, and with it a lease, holds: the longest a revoked device can go on.',
  }),
  revocations: z
    .strictObject({
      file: z.string().optional().meta({ description: 'The revocation list of the operator, read again when it changes.' }),
      urls: z.array(z.url({ protocol: /^https?$/u })).default([]).meta({
        description: 'Where to fetch it. It is signed, so plain HTTP will do.',
      }),
      refresh: duration('5m', { min: '1s', max: '1d' }).meta({ description: 'How often file and URLs are looked at.' }),
      maxAge: duration('35d', { min: '1m', max: '365d' }).meta({ description: 'An older list is an alarm.' }),
    })
    .prefault({}),
});

const unscannable = (standard: 'pass' | 'defer') => z.enum(['pass', 'defer', 'reject']).default(standard);

const inspect = z.strictObject({
  clamd: z
    .array(z.string().regex(/^(?:unix:\/.+|tcp:(?:\[[0-9a-f:.]+\]|[^\s:[\]]+):\d{1,5})$/iu, 'unix:/PATH or tcp:HOST:PORT is needed here'))
    .min(1)
    .max(16)
    .meta({
      description:
        'The anti-virus gateways (clamd), two or more: scans are spread over them, and one stands in for another. clamd has no passwords and obeys SHUTDOWN: a UNIX socket, or a port that only this site reaches.',
    }),
  smtp: z.boolean().default(true).meta({ description: 'Whether messages that are sent are inspected.' }),
  pop3: z.boolean().default(true).meta({ description: 'Whether messages that are fetched are inspected.' }),
  onInfected: z
    .strictObject({
      smtp: z.enum(['reject', 'pass']).default('reject').meta({
        description: '`reject`: 554 5.7.1 with the name of the virus, and the destination never sees the end of the message. `pass`: delivered, reported and counted, to see what would happen.',
      }),
      pop3: z.enum(['replace', 'pass']).default('replace').meta({
        description: '`replace`: the client gets a notice in its place, the original stays on the server. `pass`: as above.',
      }),
    })
    .prefault({}),
  onUnscannable: z
    .strictObject({
      tooBig: unscannable('pass').meta({
        description: 'Larger than maxScanBytes, or past a limit of clamd (`Heuristics.Limits`). `pass`: delivered unscanned, and counted. `defer`: 451, or -ERR [SYS/TEMP]: the client tries again. `reject`: 554, or a notice in its place.',
      }),
      scannerDown: unscannable('defer').meta({ description: 'No scanner answers, or there is no room to keep the message. The same three.' }),
      timeout: unscannable('defer').meta({ description: 'No verdict within scanTimeout. The same three.' }),
      encrypted: unscannable('pass').meta({ description: 'clamd says that it is encrypted, which it does if told to (`AlertEncrypted`). The same three.' }),
    })
    .prefault({}),
  starttls: z.enum(['pass', 'hide', 'refuse']).default('pass').meta({
    description: 'What follows STARTTLS or STLS can\'t be inspected. `pass`: it goes through, and is counted as uninspected. `hide`: not offered to the client. `refuse`: offered, and refused with words.',
  }),
  maxScanBytes: size('25MB', { min: '1KB', max: '2GB' }).meta({ description: 'A larger message is not scanned. Not above StreamMaxLength of clamd (25M as Debian ships it).' }),
  scanTimeout: duration('20s', { min: '1s', max: '10m' }).meta({
    description: 'From the end of a message to its verdict. Clients give up on their final reply near 30 s, and send again.',
  }),
  maxScansPerScanner: count(1000).default(8).meta({ description: 'Scans that one clamd gets at once from this relay; it has 10 threads as Debian ships it.' }),
  spoolDir: z.string().optional().meta({
    description: 'Where messages wait for their verdict that are larger than 64 KiB; relative to this file. Not set: `spool` in stateDir. The files have no names, so nothing is left of them, whatever happens.',
  }),
  maxSpoolBytes: size('2GB', { min: '1MB', max: '1000GB' }).meta({ description: 'What all waiting messages of a relay may take, memory and disk. What is past it counts as scannerDown.' }),
});

const relay = z.strictObject({
  workers: z.union([z.literal('auto'), count(256)]).default('auto').meta({ description: '`auto`: one for each core.' }),
  maxDevices: count(1_000_000).default(2000).meta({ description: 'Connected devices at once; one descriptor each.' }),
  maxSessions: count(1_000_000).default(4000).meta({
    description: 'Mail sessions at once; one descriptor each. "Full" is an answer; without it a surge takes all down.',
  }),
  maxSessionsPerDevice: count(100_000).default(200).meta({ description: 'Mail sessions of one device at once.' }),
  maxPerAddress: count(100_000).default(50).meta({ description: 'Connections from one address, or one /64 of IPv6 (Postfix has 50, too).' }),
  window: size('256KiB', { min: '256KiB', max: '64MiB' }).meta({
    description: 'Bytes of one session that may wait in each direction: bounds memory, and speed on long lines.',
  }),
  connectTimeout: duration('4s', { min: '100ms', max: '1m' }).meta({
    description: 'To resolve and reach a destination. Below the 5 s in which an agent decides.',
  }),
  drainTimeout: duration('11m', { min: '0ms', max: '1d' }).meta({
    description: 'How long conversations may go on after a stop was asked for: more than the 600 s of RFC 5321 4.5.3.2.6.',
  }),
  bytesPerSecondLimit: size('0B', { min: '0B', max: '1000GB' }).meta({
    description: 'What the line of this server carries; a relay near it counts as loaded though its CPU is idle. 0B: unknown.',
  }),
  destinations: z
    .strictObject({
      extraPorts: z.array(port()).max(100).default([]).meta({
        description: 'Allowed besides 25 465 587 110 995 143 993.',
      }),
      allow: z.array(cidr()).max(1000).default([]).meta({
        description:
          'Networks that are reachable although they are private, loopback or otherwise refused. A stale line here is a hole.',
      }),
    })
    .prefault({}),
  inspect: inspect.optional().meta({ description: 'Inspection for viruses (docs/inspection.md). Not set: nothing is inspected.' }),
  proxyProtocol: z.array(hostPort()).max(1000).default([]).meta({
    description: 'Destinations that are told the address of the client with a PROXY protocol version 2 header.',
  }),
  dns: z
    .strictObject({
      servers: z.array(dnsServer()).max(8).default([]).meta({
        description: 'For the names of destinations. Empty: those of the system.',
      }),
    })
    .prefault({}),
});

const metrics = z.strictObject({
  address: address().default('127.0.0.1').meta({ description: 'Who can read metrics learns much; keep it on loopback.' }),
  manager: port().optional().meta({ description: 'Serves GET /metrics of this role here. Not set: not served.' }),
  relay: port().optional().meta({ description: 'The same for the relay.' }),
  auth: port().optional().meta({ description: 'The same for auth.' }),
  outbreak: port().optional().meta({ description: 'The same for the watch for outbreaks.' }),
});

const page = z.strictObject({
  address: address().default('127.0.0.1').meta({
    description: 'Who reaches the page reads it without a token, and it has no TLS of its own: keep it on loopback, behind a proxy or a tunnel.',
  }),
  port: port().optional().meta({ description: 'Managers serve their status page here. Not set: not served.' }),
  hosts: z.array(pageHost()).max(16).default([]).meta({
    description: 'Names by which a browser may call the page besides its address and loopback; with the port unless it is 443. Others are refused (DNS rebinding).',
  }),
  tokenFile: z.string().optional().meta({
    description: 'The file that `sekisho page token` made: who has its token may drain, undrain and weigh at the page. Relative to this file. Not set: the page is read-only.',
  }),
});

export const logSchema = z.strictObject({
  level: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info').meta({
    description: '`info` is one line a session and one for each change of state.',
  }),
});

export const siteSchema = z
  .strictObject({
    site: z.string().regex(SITE_NAME, 'a site is named with 1 to 63 of a-z, 0-9 and "-"').meta({
      description: 'The name of the site, the one in its certificates.',
    }),
    managerName: hostName().meta({
      description: 'The DNS name by which agents find managers, the same at every site.',
    }),
    keys: z.string().default('keys').meta({
      description: 'The directory with certificates and keys that `site init` made; relative to this file.',
    }),
    stateDir: z.string().default('state').meta({
      description: 'Where the embedded store, the sockets for administration and the last known revocation list are; relative to this file.',
    }),
    store: z
      .strictObject({
        url: z
          .string()
          .regex(/^(?:sqlite:.+|rediss?:\/\/.+|redis\+unix:.+)$/u, {
            message: 'sqlite:FILE, redis://HOST:PORT, rediss://HOST:PORT or redis+unix:/SOCKET',
            abort: true,
          })
          .superRefine((url, context) => {
            const message = storeProblem(url);
            if (message !== undefined) context.addIssue({ code: 'custom', message });
          })
          .default('sqlite:state/site.db')
          .meta({
            description: 'SQLite for a site whose managers run on one server, Redis where two managers must see the same.',
          }),
        passwordFile: z.string().optional().meta({ description: 'A file that holds the password for Redis.' }),
        caFile: z.string().optional().meta({
          description: 'For `rediss:`: the CA in PEM that signed the certificate of Redis. Not set: those that the system trusts.',
        }),
        certFile: z.string().optional().meta({
          description: 'For a Redis that asks its clients for a certificate (`tls-auth-clients`): ours, in PEM.',
        }),
        keyFile: z.string().optional().meta({ description: 'The key of `store.certFile`, in PEM; readable by its owner only.' }),
      })
      .superRefine(({ url, ...files }, context) => {
        const problem = (key: string, message: string): void => context.addIssue({ code: 'custom', path: [key], message });
        for (const key of ['caFile', 'certFile', 'keyFile'] as const)
          if (files[key] !== undefined && !url.startsWith('rediss:')) problem(key, 'is for a store.url that begins with rediss: only');
        if (files.certFile !== undefined && files.keyFile === undefined) problem('certFile', 'needs its key: name it in store.keyFile');
        if (files.keyFile !== undefined && files.certFile === undefined) problem('keyFile', 'needs its certificate: name it in store.certFile');
      })
      .prefault({}),
    ports: ports.prefault({}),
    servers: z.array(server).min(1).max(64).meta({ description: 'The servers of the site.' }),
    table: table.prefault({}),
    manager: manager.prefault({}),
    auth: auth.prefault({}),
    relay: relay.prefault({}),
    outbreak: outbreakSchema.optional().meta({ description: 'The alarm when a virus breaks out (docs/outbreak.md). Not set: nobody is told.' }),
    metrics: metrics.prefault({}),
    page: page.prefault({}).meta({ description: 'The status page of managers (docs/status-page.md).' }),
    log: logSchema.prefault({}),
  })
  .superRefine(contradictions);

export type SiteConfig = z.output<typeof siteSchema>;

interface Refined {
  readonly servers: readonly z.output<typeof server>[];
  readonly ports: z.output<typeof ports>;
  readonly table: z.output<typeof table>;
  readonly outbreak?: z.output<typeof outbreakSchema> | undefined;
  readonly metrics: z.output<typeof metrics>;
  readonly page: z.output<typeof page>;
}

/** What is wrong although every key by itself is right. */
function contradictions(config: Refined, context: z.RefinementCtx): void {
  const problem = (path: (string | number)[], message: string): void => context.addIssue({ code: 'custom', path, message });
  config.servers.forEach((server, index) => {
    for (const key of ['name', 'address'] as const) {
      const first = config.servers.findIndex((other) => other[key] === server[key]);
      if (first < index)
        problem(['servers', index, key], `${server[key]} is already the ${key} of servers.${first}; each server needs its own`);
    }
    if (new Set(server.roles).size < server.roles.length) problem(['servers', index, 'roles'], 'names a role twice; remove one of the two');
  });
  const has = (role: 'manager' | 'auth' | 'relay' | 'outbreak'): boolean => config.servers.some(({ roles }) => roles.includes(role));
  for (const role of ['manager', 'auth', 'relay'] as const) {
    if (!has(role)) problem(['servers'], `no server has the role ${role}; a site needs at least one that does`);
  }
  if (has('outbreak') && config.outbreak === undefined)
    problem(['servers'], 'a server has the role outbreak, but nothing says who is told: add a section `outbreak` with `to` and `submission`');
  if (!has('outbreak') && config.outbreak !== undefined)
    problem(['outbreak'], 'no server has the role outbreak, so nobody would be told; add it to the roles of one or two servers, best those that manage');
  const relays = config.servers.filter(({ roles }) => roles.includes('relay'));
  if (relays.length > MAX_RELAYS) problem(['servers'], `${relays.length} relays; a site has at most ${MAX_RELAYS}. Make two sites of it`);
  config.table.relays.forEach((entry, index) => {
    const wanted = typeof entry === 'string' ? entry : entry.relay;
    if (!relays.some(({ name, address }) => name === wanted || address === wanted))
      problem(['table', 'relays', index], `${wanted} is no server with the role relay; those are ${names(relays)}`);
  });
  const seen = new Map<number, string>();
  const { manager, relay, auth, outbreak } = config.metrics;
  for (const [section, ports] of Object.entries({ ports: config.ports, metrics: { manager, relay, auth, outbreak }, page: { port: config.page.port } }))
    for (const [key, port] of Object.entries(ports)) {
      if (port === undefined) continue;
      const other = seen.get(port);
      if (other !== undefined) problem([section, key], `${port} is already ${other}; choose another port`);
      seen.set(port, `${section}.${key}`);
    }
}

function names(servers: readonly { name: string }[]): string {
  return servers.map(({ name }) => name).join(', ') || 'none';
}
