import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { availableParallelism, cpus } from 'node:os';
import { type Clamd, startClamd } from '../test/kit/clamd.ts';
import { dotStuff, textMail } from '../test/kit/mails.ts';
import { Mesh, type MeshSite } from '../test/kit/mesh.ts';
import { freePort } from '../test/kit/ports.ts';
import { startProcess, stopAllProcesses, waitForPort } from '../test/kit/process.ts';
import { connectSmtpWire } from '../test/kit/smtp-wire.ts';

/**
 * What inspection costs: mails per second and bytes per second through client -> agent -> relay -> smtp-sink with a clamd
 * beside the relay, against the same mails given to the same clamd directly, in turns; and the CPU of the relay's worker
 * with inspection on and off.
 *
 * clamd has the first core for itself in both cases, and all the rest the others: else the sender, the agent and the
 * destination, which are on other machines in operation, would be paid for by clamd. With --shared they are.
 *
 * clamd has one signature only: a real database makes it slower, and so the share of the rest smaller. The mails are what
 * it makes of them: text, and attachments that it decodes.
 *
 *     node bench/inspection.ts [--shared] [--json]
 */

const ROUNDS = 3;
const CLIENTS = 8;
const CASES = [
  { bytes: 4 * 1024, mails: 800, isText: true },
  { bytes: 100 * 1024, mails: 400, isText: false },
  { bytes: 5 * 1024 * 1024, mails: 24, isText: false },
];
const MIB = 1024 * 1024;

interface Run {
  readonly seconds: number;
  readonly relayCpuSeconds: number;
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

const isShared = process.argv.includes('--shared');
// Before anything is started: children are where their parent is.
if (!isShared) pin(process.pid, `1-${availableParallelism() - 1}`);
// It remembers what it has found clean: the same mail a second time would cost it nothing.
const clamd = await startClamd({ settings: { DisableCache: 'yes' } });
if (!isShared) pin(clamd.pid ?? 0, '0');
const mesh = await Mesh.create();
try {
  const sink = await freePort();
  await startProcess({ command: 'smtp-sink', args: ['-u', 'nobody', '-c', `127.0.0.1:${sink}`, '1024'] });
  await waitForPort({ host: '127.0.0.1', port: sink });
  const on = await lane('inspected', '127.0.1.1', '02:00:5e:10:00:01', sink, { clamd: [clamd.address], maxScansPerScanner: CLIENTS });
  const off = await lane('blind', '127.0.1.2', '02:00:5e:10:00:02', sink, undefined);
  const results = [];
  for (const { bytes, mails, isText } of CASES) {
    const raw = mailOf(bytes, isText);
    const content = dotStuff(raw);
    const runs: Record<'direct' | 'inspected' | 'blind', Run[]> = { direct: [], inspected: [], blind: [] };
    await direct(raw, CLIENTS);
    await through(on, content, CLIENTS);
    for (let round = 0; round < ROUNDS; round += 1) {
      runs.direct.push(await direct(raw, mails));
      runs.inspected.push(await through(on, content, mails));
      runs.blind.push(await through(off, content, mails));
    }
    const seconds = { direct: median(runs.direct.map((run) => run.seconds)), inspected: median(runs.inspected.map((run) => run.seconds)) };
    const cpu = (of: readonly Run[]): number => (median(of.map((run) => run.relayCpuSeconds)) / (mails * raw.length)) * 1e9;
    results.push({
      bytes,
      mails,
      directMibPerSecond: (mails * raw.length) / MIB / seconds.direct,
      inspectedMibPerSecond: (mails * raw.length) / MIB / seconds.inspected,
      directMailsPerSecond: mails / seconds.direct,
      inspectedMailsPerSecond: mails / seconds.inspected,
      ratio: seconds.direct / seconds.inspected,
      relayCpuSecondsPerGb: { inspected: cpu(runs.inspected), blind: cpu(runs.blind) },
    });
  }
  report(results);
} finally {
  await mesh.stop();
  await clamd.stop();
  await stopAllProcesses();
}

/** A mail of text, or one with an attachment in base64, of about so many bytes. */
function mailOf(bytes: number, isText: boolean): Buffer {
  if (isText) return textMail(1, bytes).raw;
  const attachment = randomBytes((bytes * 3) / 4.1).toString('base64').replaceAll(/.{76}/gu, '$&\r\n');
  const type = 'Content-Type: multipart/mixed; boundary=part';
  const part = 'Content-Type: application/octet-stream; name=a.bin\r\nContent-Transfer-Encoding: base64';
  return Buffer.from(`From: a@example.com\r\nTo: b@example.net\r\nMIME-Version: 1.0\r\n${type}\r\n\r\n--part\r\n${part}\r\n\r\n${attachment}\r\n--part--\r\n`);
}

function pin(pid: number, cores: string): void {
  const { status, stderr } = spawnSync('taskset', ['-a', '-c', '-p', cores, String(pid)], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`taskset (util-linux) is needed, and two cores; or use --shared. ${stderr}`);
}

interface Lane {
  readonly port: number;
  readonly site: MeshSite;
}

async function lane(name: string, address: string, mac: string, sink: number, inspect: unknown): Promise<Lane> {
  const site = await mesh.addSite({
    name,
    servers: [{ name: 's1', address, roles: ['manager', 'auth', 'relay'] }],
    settings: { 'relay.destinations.extraPorts': [sink], ...(inspect === undefined ? {} : { 'relay.inspect': inspect }) },
  });
  await site.start();
  mesh.publish([site]);
  const agent = await mesh.startAgent({ mac, forward: [`127.0.0.1:${sink}/smtp`] });
  await agent.waitForEvents('lease', 1);
  return { port: agent.ports[0] ?? 0, site };
}

/** Gives clamd the mails as the relay does: one connection each, so many at once. */
async function direct(raw: Buffer, mails: number): Promise<Run> {
  const startMs = performance.now();
  await spread(mails, async (next) => {
    while (next()) await scan(clamd, raw);
  });
  return { seconds: (performance.now() - startMs) / 1000, relayCpuSeconds: 0 };
}

async function through({ port, site }: Lane, content: Buffer, mails: number): Promise<Run> {
  const before = workerCpuSeconds(site);
  const startMs = performance.now();
  await spread(mails, async (next) => {
    const wire = await connectSmtpWire({ host: '127.0.0.1', port, timeoutMs: 120_000 });
    await wire.reply();
    await expect(wire.command('EHLO bench.example.com'), '250');
    while (next()) {
      await expect(wire.command('MAIL FROM:<a@example.com>'), '250');
      await expect(wire.command('RCPT TO:<b@example.net>'), '250');
      await expect(wire.command('DATA'), '354');
      wire.write(content);
      await expect(wire.reply(), '250');
    }
    wire.close();
  });
  return { seconds: (performance.now() - startMs) / 1000, relayCpuSeconds: workerCpuSeconds(site) - before };
}

/** Runs CLIENTS loops at once; `next` says whether there is another mail to be sent. */
async function spread(mails: number, loop: (next: () => boolean) => Promise<void>): Promise<void> {
  let left = mails;
  const next = (): boolean => (left -= 1) >= 0;
  await Promise.all(Array.from({ length: CLIENTS }, () => loop(next)));
}

async function expect(reply: Promise<string>, code: string): Promise<void> {
  const text = await reply;
  if (!text.startsWith(code)) throw new Error(`expected ${code}, and was told ${text}`);
}

async function scan({ socketPath }: Clamd, raw: Buffer): Promise<void> {
  const socket = connect(socketPath);
  await once(socket, 'connect');
  socket.write('zINSTREAM\0');
  for (let at = 0; at < raw.length; at += 65_536) {
    const chunk = raw.subarray(at, at + 65_536);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(chunk.length);
    socket.cork();
    socket.write(length);
    if (!socket.write(chunk)) await new Promise((resolve) => (socket.once('drain', () => resolve(undefined)), socket.uncork()));
    else socket.uncork();
  }
  socket.write(Buffer.alloc(4));
  let answer = '';
  for await (const chunk of socket) answer += String(chunk);
  if (!answer.startsWith('stream: OK')) throw new Error(`clamd said ${answer}`);
}

/** What the threads of the relay's worker, the child of its supervisor, have had of the processor, to the nanosecond. */
function workerCpuSeconds(site: MeshSite): number {
  const parent = site.process('s1', 'relay').pid;
  const children = readdirSync('/proc').filter((entry) => /^\d+$/u.test(entry) && parentOf(entry) === String(parent));
  const threads = children.flatMap((pid) => readdirSync(`/proc/${pid}/task`).map((thread) => `/proc/${pid}/task/${thread}/schedstat`));
  return threads.reduce((sum, file) => sum + Number(readFileSync(file, 'utf8').split(' ')[0]), 0) / 1e9;
}

/** proc(5): the second field behind the name in parentheses. */
function parentOf(pid: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /u, '').split(' ')[1];
  } catch {
    return undefined; // it has just ended
  }
}

interface Result {
  readonly bytes: number;
  readonly directMibPerSecond: number;
  readonly inspectedMibPerSecond: number;
  readonly directMailsPerSecond: number;
  readonly inspectedMailsPerSecond: number;
  readonly ratio: number;
  readonly relayCpuSecondsPerGb: { readonly inspected: number; readonly blind: number };
}

function report(results: readonly Result[]): void {
  if (process.argv.includes('--json')) return console.log(JSON.stringify({ cores: cpus().length, isShared, results }));
  const cores = isShared ? 'all share the cores' : 'clamd has one core for itself';
  console.log(`${cpus()[0]?.model ?? 'unknown CPU'}, ${cpus().length} cores, ${cores}, Node ${process.version}; ${CLIENTS} at once, median of ${ROUNDS} rounds`);
  for (const { bytes, ratio, relayCpuSecondsPerGb: cpu, ...rest } of results)
    console.log(
      `${String(Math.round(bytes / 1024)).padStart(5)} KiB: clamd directly ${rest.directMibPerSecond.toFixed(1)} MiB/s (${rest.directMailsPerSecond.toFixed(0)} mails/s), ` +
        `through the relay ${rest.inspectedMibPerSecond.toFixed(1)} MiB/s (${rest.inspectedMailsPerSecond.toFixed(0)} mails/s): ${(100 * ratio).toFixed(0)} %; ` +
        `relay ${cpu.inspected.toFixed(2)} CPU s/GB, ${cpu.blind.toFixed(2)} without inspection`,
    );
}
