import { freePort } from '../../test/kit/ports.ts';
import { runProcess, startProcess, type TestProcess, waitForPort } from '../../test/kit/process.ts';
import { debianProgram } from '../peers/debian-program.ts';

const MAX_SESSIONS = 10_000;
const TIMEOUT_MS = 120_000;

/** Postfix' smtp-sink: takes every mail and throws it away; greets at once. */
export async function startSink(): Promise<{ readonly port: number; readonly child: TestProcess }> {
  const port = await freePort();
  const program = debianProgram('smtp-sink', 'postfix');
  // It refuses to be root, and gives up on a silent client after 100 s unless told otherwise.
  const args = ['-u', 'nobody', '-m', `${MAX_SESSIONS}`, '-t', '600', `127.0.0.1:${port}`, '1024'];
  const child = await startProcess({ command: program, args });
  await waitForPort({ host: '127.0.0.1', port });
  return { port, child };
}

/** Of each mail, if nothing else is said. */
const MAIL_BYTES = 4096;

/**
 * Sends mails with Postfix' smtp-source, one in each session.
 * @returns seconds
 * @throws Error when one of them failed
 */
export async function sendMails(port: number, mails: number, atOnce: number, bytes = MAIL_BYTES): Promise<number> {
  const args = ['-s', `${atOnce}`, '-l', `${bytes}`, '-m', `${mails}`, '-f', 'a@example.com', '-t', 'b@example.net', `127.0.0.1:${port}`];
  const startMs = performance.now();
  const { code, output } = await runProcess({ command: debianProgram('smtp-source', 'postfix'), args, timeoutMs: TIMEOUT_MS });
  const seconds = (performance.now() - startMs) / 1000;
  if (code !== 0 || output !== '') throw new Error(`smtp-source ended with ${code}: ${output}`);
  return seconds;
}
