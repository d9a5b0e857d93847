import { ChannelError, type Credentials, greet, type GreetInit, type Greeting, sayHello, secureContext } from '@sekisho/channel';
import { printable } from '@sekisho/telemetry';
import { macBytes, refusalCode, ticketTimes } from '@sekisho/wire';
import { daysLeft } from '../files/days-left.ts';

/** One address of the managers' name, asked. What a server said of itself is printable. */
export type Probe = { readonly address: string; readonly tookMs: number } & (ProbeAnswer | ProbeFailure);

export interface ProbeAnswer {
  readonly ok: true;
  readonly site: string;
  readonly manager: string;
  readonly certificateDays: number;
  /** Its clock minus ours, give or take half of `tookMs`; null when it cannot be told. */
  readonly clockOffsetMs: number | null;
  /** A device is not told these. */
  readonly software: string | null;
  readonly config: string | null;
  readonly stack: string | null;
  /** Of a lease, for a device. */
  readonly relays: readonly string[] | null;
}

export interface ProbeFailure {
  readonly ok: false;
  /** `impostor`: somebody answers who is no manager of this operator. `refused`: a manager, and it says no. */
  readonly kind: 'silent' | 'impostor' | 'refused' | 'broken';
  readonly reason: string;
}

/** Asks an address of the managers' name. It never throws for what is at the other end. */
export type Ask = (address: string) => Promise<Probe>;

export interface AskInit {
  readonly port: number;
  /** The name that must be in a manager's certificate. */
  readonly name: string;
  readonly timeoutMs: number;
}


/** Asks as a server of the mesh does. */
export function askAsServer(context: GreetInit['context'], init: AskInit): Ask {
  return (address) => probed(address, async () => fromGreeting(await greet(target(address, context, init))));
}

/** Asks as the agent of a device does, for a lease; it is used for nothing. */
export function askAsDevice(credentials: Credentials, mac: string, init: AskInit): Ask {
  const context = secureContext(credentials);
  return (address) =>
    probed(address, async () => {
      const { answer, site, certificateExpiresAtMs, askedAtMs, answeredAtMs } = await sayHello(target(address, context, init), macBytes(mac));
      if (answer.type === 'refuse') throw new ChannelError('PROTOCOL', `refused: ${refusalCode(answer.code)}: ${answer.text}`);
      if (answer.type === 'welcome' || answer.site !== site)
        throw new ChannelError('IDENTITY', `what it says is not of site ${site}, which its certificate names`);
      const issuedAtMs = ticketTimes(answer.ticket).expiresAtMs - answer.ttlMs;
      return {
        ok: true,
        site,
        manager: printable(answer.manager),
        certificateDays: daysLeft(certificateExpiresAtMs, Date.now()),
        clockOffsetMs: Math.round(issuedAtMs - (askedAtMs + answeredAtMs) / 2),
        software: null,
        config: null,
        stack: null,
        relays: answer.relays.map(({ name }) => printable(name)),
      };
    });
}

function target(address: string, context: GreetInit['context'], { port, name, timeoutMs }: AskInit): GreetInit {
  return { host: address, port, context, expect: { role: 'manager', serverName: name }, timeoutMs };
}

async function probed(address: string, ask: () => Promise<ProbeAnswer>): Promise<Probe> {
  const startedAtMs = performance.now();
  const took = (): { address: string; tookMs: number } => ({ address, tookMs: Math.round(performance.now() - startedAtMs) });
  try {
    const answer = await ask();
    return { ...took(), ...answer };
  } catch (error) {
    // A ticket, or a frame, that cannot be read.
    if (!(error instanceof ChannelError)) return { ...took(), ok: false, kind: 'broken', reason: printable(String(error)) };
    return { ...took(), ok: false, kind: kindOf(error), reason: printable(error.message) };
  }
}

function kindOf({ code, message }: ChannelError): ProbeFailure['kind'] {
  if (code === 'TLS' || code === 'IDENTITY') return 'impostor';
  if (code === 'TIMEOUT' || code === 'UNREACHABLE') return 'silent';
  return message.startsWith('refused: ') ? 'refused' : 'broken';
}

function fromGreeting({ site, name, certificateExpiresAtMs, clockOffsetMs, software, config, stack }: Greeting): ProbeAnswer {
  const words = (text: string | undefined): string | null => (text === undefined ? null : printable(text));
  return {
    ok: true,
    site,
    manager: printable(name),
    certificateDays: daysLeft(certificateExpiresAtMs, Date.now()),
    clockOffsetMs: clockOffsetMs ?? null,
    software: printable(software),
    config: words(config),
    stack: words(stack),
    relays: null,
  };
}
