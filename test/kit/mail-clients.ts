import { chmod, mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { dotStuff } from './mails.ts';
import { runProcess } from './process.ts';
import { makeTempDir } from './temp-dir.ts';

type ClientTls = 'none' | 'starttls' | 'implicit';

export interface SubmissionInit {
  server: { address: string; port: number };
  from: string;
  to: readonly string[];
  /** The message, lines ended with CRLF. */
  raw: Buffer;
  /** Default none. The certificate of the server is not verified: that is the business of the client under test. */
  tls?: ClientTls;
  auth?: { user: string; password: string; mechanism?: 'PLAIN' | 'LOGIN' };
  /** Of the whole run; default 60 s. */
  timeoutMs?: number;
}

export interface ClientResult {
  /** The client's own exit code; 0 is success. */
  code: number | null;
  /** What it printed; with swaks the whole conversation but for the message. */
  transcript: string;
}

/**
 * Sends a message with swaks, byte for byte: dots are stuffed here because swaks leaves a message it gets as data alone.
 *
 * @throws for a message without any line end, which swaks would take for the name of a file
 */
export async function runSwaks(init: SubmissionInit): Promise<ClientResult> {
  if (!init.raw.includes('\n')) throw new Error('swaks cannot send a message without a line end');
  const dir = await makeTempDir('swaks');
  try {
    const file = join(dir.path, 'data');
    // Swaks itself ends the line of the final dot.
    await writeFile(file, dotStuff(init.raw).subarray(0, -'\r\n'.length));
    const { server, tls, auth } = init;
    const args = ['--server', server.address, '--port', String(server.port), '--helo', 'client.example.com'];
    args.push('--from', init.from, '--to', init.to.join(','), '--no-data-fixup', '--data', `@${file}`, '--suppress-data');
    if (tls === 'starttls') args.push('--tls');
    if (tls === 'implicit') args.push('--tls-on-connect');
    if (auth !== undefined) {
      args.push('--auth', auth.mechanism ?? 'PLAIN', '--auth-user', auth.user, '--auth-password', auth.password);
    }
    return await run('swaks', args, init);
  } finally {
    await dir.remove();
  }
}

/** Sends a message with msmtp, which is given it with LF as any Unix program and adds no header here. */
export async function runMsmtp(init: SubmissionInit): Promise<ClientResult> {
  const dir = await makeTempDir('msmtp');
  try {
    const { server, tls, auth } = init;
    const options = [`host ${server.address}`, `port ${server.port}`, `from ${init.from}`, 'domain client.example.com'];
    options.push(`tls ${tls === undefined || tls === 'none' ? 'off' : 'on'}`, `tls_starttls ${tls === 'implicit' ? 'off' : 'on'}`);
    options.push('tls_certcheck off', 'set_from_header off', 'set_date_header off', 'set_msgid_header off');
    options.push('remove_bcc_headers off', 'undisclosed_recipients off', 'timeout 60');
    if (auth === undefined) options.push('auth off');
    else options.push(`auth ${(auth.mechanism ?? 'PLAIN').toLowerCase()}`, `user ${auth.user}`, `password "${auth.password}"`);
    const file = join(dir.path, 'msmtprc');
    await writeFile(file, `account default\n${options.join('\n')}\n`, { mode: 0o600 });
    const stdin = Buffer.from(init.raw.toString('latin1').replaceAll('\r\n', '\n'), 'latin1');
    return await run('msmtp', ['--file', file, '--debug', '--', ...init.to], { ...init, stdin });
  } finally {
    await dir.remove();
  }
}

export interface FetchmailInit {
  server: { address: string; port: number };
  protocol?: 'POP3' | 'IMAP';
  user: string;
  password: string;
  /** Default none. */
  tls?: ClientTls;
  /** Leave the messages on the server; default false. */
  keep?: boolean;
  timeoutMs?: number;
}

export interface FetchmailResult extends ClientResult {
  /** In the order in which they were handed over, lines ended with LF as on any Unix system. */
  messages: Buffer[];
}

/** fetchmail's exit code for "there was no mail". */
export const FETCHMAIL_NO_MAIL = 1;

/**
 * Fetches all messages with fetchmail and hands each to a delivery agent that keeps it in a file. fetchmail changes mail
 * by default; this takes that away: `invisible` (no Received header of its own), `no rewrite` (addresses stay),
 * `pass8bits` and `no mimedecode` (the body stays), `no dropstatus` and `no dropdelivered` (headers stay). What remains is
 * that CRLF becomes LF, which `asSent` of mails.ts turns back, and that it breaks lines of more than 8,192 bytes.
 */
export async function runFetchmail(init: FetchmailInit): Promise<FetchmailResult> {
  const dir = await makeTempDir('fetchmail');
  try {
    const inbox = join(dir.path, 'inbox');
    const agent = join(dir.path, 'deliver');
    const config = join(dir.path, 'fetchmailrc');
    await mkdir(inbox);
    await writeFile(agent, `#!/bin/sh\nexec cat >"$(printf '%s/%06d' '${inbox}' "$(ls '${inbox}' | wc -l)")"\n`);
    await chmod(agent, 0o700);
    await writeFile(config, fetchmailConfiguration(init, agent), { mode: 0o600 });
    const args = ['--fetchmailrc', config, '--pidfile', join(dir.path, 'pid'), '--idfile', join(dir.path, 'ids')];
    const options = { timeoutMs: init.timeoutMs ?? 60_000, env: { FETCHMAILHOME: dir.path, HOME: dir.path } };
    const result = await run('fetchmail', [...args, '--nodetach', '--nosyslog', '-v'], options);
    const names = (await readdir(inbox)).sort();
    return { ...result, messages: await Promise.all(names.map((name) => readFile(join(inbox, name)))) };
  } finally {
    await dir.remove();
  }
}

function fetchmailConfiguration(init: FetchmailInit, agent: string): string {
  const { server, user, password, tls } = init;
  const secure = { none: "sslproto ''", starttls: "sslproto 'TLS1.2+' no sslcertck", implicit: 'ssl no sslcertck' }[tls ?? 'none'];
  return `
set invisible
set no bouncemail
poll ${server.address} service ${server.port} protocol ${init.protocol ?? 'POP3'} auth password timeout 60
  user ${quoted(user)} password ${quoted(password)} is root here
  ${secure} fetchall ${init.keep === true ? 'keep' : 'no keep'} no rewrite pass8bits no mimedecode no dropstatus no dropdelivered
  mda ${quoted(agent)}
`;
}

async function run(
  command: string,
  args: readonly string[],
  options: { timeoutMs?: number; env?: Record<string, string>; stdin?: Buffer },
): Promise<ClientResult> {
  const { timeoutMs, env, stdin } = options;
  const result = await runProcess({
    command,
    args,
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(env === undefined ? {} : { env }),
    ...(stdin === undefined ? {} : { stdin }),
  });
  return { code: result.code, transcript: result.output };
}

/** As fetchmail's configuration file wants it: a quote can't be escaped by itself, but by its number. */
function quoted(text: string): string {
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\042')}"`;
}
