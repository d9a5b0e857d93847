import { spawn } from 'node:child_process';
import { printable } from '@sekisho/telemetry';
import { CommandError, EXIT } from '../exit-codes.ts';

/** For the update, and for nsupdate as a whole. */
const UPDATE_TIMEOUT_S = 10;
const RUN_TIMEOUT_MS = 15_000;
const MAX_OUTPUT_CHARS = 4096;

/** What a server or nsupdate says, and what it means here; the first that fits counts. */
const EXPLANATIONS: readonly (readonly [RegExp, string])[] = [
  // It goes on without a key then, and is refused.
  [/could not read key/u, 'The key file cannot be read: take one that tsig-keygen wrote'],
  [/BADTIME/u, 'The clocks of this machine and of the DNS server differ by more than 5 minutes: look at NTP here and there'],
  [/BADSIG|tsig verify failure/iu, 'The server knows a key of that name with another secret: bring the key file of that server'],
  [/BADKEY/u, 'The server knows no key of that name: add it to its configuration, or bring the key file that it has'],
  [/NXRRSET|YXRRSET/u, 'The addresses of the name have changed meanwhile, so nothing was done: look at them and run this again'],
  [/NOTAUTH/u, 'The server is not in charge of the zone: name its primary with --server, and the zone with --zone'],
  [/NOTZONE/u, 'The name is not in the zone of --zone'],
  [/REFUSED/u, 'The server does not let this key change the name: look at update-policy of the zone (deploy/dns) and at the log of the server'],
  [/NOTIMP/u, 'The server takes no updates: edit its zone by hand'],
  [/SERVFAIL/u, 'The server could not write the zone: its log says why; named must be allowed to write in the directory of the zone file'],
  [/timed out|communication with|connection refused|unreachable/iu, 'The server does not answer: look at --server, and whether it is reached from here by UDP and TCP'],
];

/**
 * Runs nsupdate. The key stays in its file; it is on no command line.
 * @throws CommandError that says in words why the update was not made
 */
export async function nsupdate(script: readonly string[], keyFile: string | undefined): Promise<void> {
  const options = ['-t', String(UPDATE_TIMEOUT_S), ...(keyFile === undefined ? [] : ['-k', keyFile])];
  const { code, output } = await run('nsupdate', options, `${script.join('\n')}\n`);
  if (code === 0) return;
  const said = printable(output.trim().replaceAll(/\s*\n\s*/gu, '; '));
  throw new CommandError(`The zone was not changed. ${explain(output)}. nsupdate said: ${said}`);
}

function explain(output: string): string {
  return EXPLANATIONS.find(([pattern]) => pattern.test(output))?.[1] ?? 'Why, only nsupdate knows';
}

function run(command: string, args: readonly string[], input: string): Promise<{ code: number | null; output: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ code: number | null; output: string }>();
  const child = spawn(command, args, { timeout: RUN_TIMEOUT_MS, env: { ...process.env, LC_ALL: 'C' } });
  let output = '';
  const keep = (chunk: Buffer): void => void (output = (output + chunk.toString()).slice(-MAX_OUTPUT_CHARS));
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  // It ended before it read everything: its exit code says so.
  child.stdin.on('error', () => {});
  child.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') return reject(error);
    reject(new CommandError('nsupdate is not on this machine. Install it (Debian: bind9-dnsutils), or run this without --server and change the zone by hand.', EXIT.unavailable));
  });
  child.on('close', (code) => resolve({ code, output }));
  child.stdin.end(input);
  return promise;
}
