import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startProcess, type TestProcess } from './process.ts';
import { makeTempDir, type TempDir } from './temp-dir.ts';

/**
 * Node has no UNIX datagram sockets; perl is on every Debian. A receiver without room for descriptors drops the one that
 * systemd-notify sends along to learn that its message was taken.
 */
const RECEIVER = `
use Socket;
socket(my $socket, PF_UNIX, SOCK_DGRAM, 0) or die $!;
bind($socket, sockaddr_un($ARGV[0])) or die $!;
$| = 1;
print "bound\\n";
while (defined recv($socket, my $message, 4096, 0)) { $message =~ s/\\n/\\t/g; print "$message\\n"; }
`;
const POLL_MS = 20;
/** A process of ours starts in half a second, and in many on a machine that is busy. */
const PATIENCE_MS = 30_000;

/** A real datagram socket in the place of the service manager's, and what was said to it. */
export class NotifySocket {
  readonly path: string;
  readonly #receiver: TestProcess;
  readonly #temp: TempDir;

  constructor(init: { readonly path: string; readonly receiver: TestProcess; readonly temp: TempDir }) {
    this.path = init.path;
    this.#receiver = init.receiver;
    this.#temp = init.temp;
  }

  /** Each message as the list of its assignments, oldest first; those of sd_notify_barrier(3) not. */
  get messages(): string[][] {
    const lines = this.#receiver.stdout.toString().split('\n').slice(1, -1);
    return lines.filter((line) => !line.startsWith('BARRIER=')).map((line) => line.split('\t').filter((one) => one !== ''));
  }

  count(assignment: string): number {
    return this.messages.filter((message) => message.includes(assignment)).length;
  }

  /** Resolves with the first message that has this assignment and that is not one of the first `after`. */
  async waitFor(assignment: RegExp, options: { readonly after?: number; readonly timeoutMs?: number } = {}): Promise<string[]> {
    const { after = 0, timeoutMs = PATIENCE_MS } = options;
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const found = this.messages.slice(after).find((message) => message.some((one) => assignment.test(one)));
      if (found !== undefined) return found;
      if (performance.now() > deadline) throw new Error(`no ${String(assignment)} within ${timeoutMs} ms; there was ${JSON.stringify(this.messages)}`);
      await sleep(POLL_MS);
    }
  }

  async close(): Promise<void> {
    await this.#receiver.stop();
    await this.#temp.remove();
  }
}

export async function openNotifySocket(): Promise<NotifySocket> {
  const temp = await makeTempDir('notify');
  const path = join(temp.path, 'notify');
  const receiver = await startProcess({ command: 'perl', args: ['-e', RECEIVER, path] });
  await receiver.waitForOutput(/^bound$/mu);
  return new NotifySocket({ path, receiver, temp });
}
