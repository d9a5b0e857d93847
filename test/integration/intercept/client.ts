import { connect } from 'node:net';
import { SmtpConversation } from '../../kit/smtp-conversation.ts';

/**
 * A mail client in a namespace of its own, `client.ts HOST PORT WHAT`: sends a mail with that subject. `hold SUBJECT` stops after
 * DATA until SIGUSR2 comes, `loop` sends mails until then, `banner` prints what the server says first.
 */

const [host = '', port = '', what = '', subject = ''] = process.argv.slice(2);
const SILENCE_MS = 5000;

if (what === 'banner') {
  const socket = connect({ host, port: Number(port) });
  socket.setTimeout(SILENCE_MS, () => socket.destroy(new Error('silence')));
  socket.on('connect', () => process.stdout.write(`I am ${socket.localAddress}:${socket.localPort}\n`));
  socket.on('data', (bytes: Buffer) => process.stdout.write(bytes));
  socket.on('error', (error: NodeJS.ErrnoException) => process.stdout.write(`${error.code ?? error.message}\n`));
} else if (what === 'loop') {
  const over = new AbortController();
  process.once('SIGUSR2', () => over.abort());
  for (let number = 1; !over.signal.aborted; number += 1) {
    try {
      const conversation = await SmtpConversation.open(Number(port), host);
      await conversation.untilData();
      await conversation.finish(`loop ${number}`);
      process.stdout.write('sent\n');
    } catch (error) {
      process.stdout.write(`failed: ${String(error)}\n`);
    }
  }
  process.stdout.write('over\n');
} else {
  const conversation = await SmtpConversation.open(Number(port), host);
  await conversation.untilData();
  process.stdout.write(`open ${conversation.client}\n`);
  if (what === 'hold') await new Promise<void>((resolve) => process.once('SIGUSR2', resolve));
  await conversation.finish(what === 'hold' ? subject : what);
  process.stdout.write('sent\n');
}
