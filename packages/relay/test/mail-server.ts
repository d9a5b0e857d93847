import { once } from 'node:events';
import type { Socket } from 'node:net';

/** What a small mail server of the tests was told, and how it ended. */
interface SmtpTrace {
  /** Messages whose end it saw, as they were on the wire. */
  readonly messages: Buffer[];
  readonly commands: string[];
  /** Bytes of a message that has no end yet. */
  pending: number;
  ended: 'no' | 'fin' | 'reset';
}

const END = Buffer.from('\r\n.\r\n');

/** A scripted SMTP server that answers everything with 250 and keeps what it is given. One trace for each connection. */
export function smtpServer(init: { readonly capabilities?: readonly string[]; readonly onCommand?: (line: string) => string | undefined } = {}) {
  const traces: SmtpTrace[] = [];
  const serve = (socket: Socket): void => {
    const trace: SmtpTrace = { messages: [], commands: [], pending: 0, ended: 'no' };
    traces.push(trace);
    let buffer = Buffer.alloc(0);
    let content: Buffer[] | undefined;
    socket.write('220 mail.test ESMTP\r\n');
    socket.on('error', () => (trace.ended = 'reset'));
    socket.on('end', () => {
      trace.ended = 'fin';
      socket.end();
    });
    const take = (): boolean => {
      if (content !== undefined) return takeContent();
      const at = buffer.indexOf('\r\n');
      if (at === -1) return false;
      const line = buffer.toString('latin1', 0, at);
      buffer = buffer.subarray(at + 2);
      trace.commands.push(line);
      const own = init.onCommand?.(line);
      if (own !== undefined) socket.write(own);
      else if (/^EHLO/iu.test(line)) socket.write(['mail.test', ...(init.capabilities ?? ['PIPELINING'])].map((text, index, all) => `250${index === all.length - 1 ? ' ' : '-'}${text}\r\n`).join(''));
      else if (/^DATA$/iu.test(line)) {
        content = [Buffer.from('\r\n')];
        socket.write('354 go on\r\n');
      } else if (/^QUIT$/iu.test(line)) socket.end('221 bye\r\n');
      else socket.write('250 ok\r\n');
      return true;
    };
    const takeContent = (): boolean => {
      const all = Buffer.concat([...(content ?? []), buffer]);
      const at = all.indexOf(END);
      if (at === -1) {
        content = [all];
        buffer = Buffer.alloc(0);
        trace.pending = all.length - 2;
        return false;
      }
      content = undefined;
      trace.pending = 0;
      trace.messages.push(all.subarray(2, at + 2));
      buffer = all.subarray(at + END.length);
      socket.write('250 queued\r\n');
      return true;
    };
    socket.on('data', (chunk: Buffer) => {
      buffer = Buffer.concat([buffer, chunk]);
      while (take());
    });
  };
  return { serve, traces };
}

/** A scripted POP3 server with these messages, already stuffed, that anybody may read. */
export function pop3Server(messages: readonly Buffer[]) {
  const commands: string[] = [];
  const serve = (socket: Socket): void => {
    let text = '';
    socket.on('error', () => {});
    socket.on('end', () => socket.end());
    socket.write('+OK ready\r\n');
    void (async () => {
      for (;;) {
        const at = text.indexOf('\r\n');
        if (at === -1) {
          const [chunk] = (await once(socket, 'data')) as [Buffer];
          text += chunk.toString('latin1');
          continue;
        }
        const line = text.slice(0, at);
        text = text.slice(at + 2);
        commands.push(line);
        const [verb = '', number = ''] = line.split(' ');
        const message = messages[Number(number) - 1];
        if (verb === 'QUIT') return void socket.end('+OK bye\r\n');
        if (verb === 'RETR' && message !== undefined) socket.write(Buffer.concat([Buffer.from(`+OK ${message.length} octets\r\n`), message, Buffer.from('.\r\n')]));
        else socket.write('+OK\r\n');
      }
    })().catch(() => {});
  };
  return { serve, commands };
}
