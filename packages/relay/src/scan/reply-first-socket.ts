// oxlint-disable no-underscore-dangle -- these are the names of Node's stream API
import { Socket } from 'node:net';

type WriteCallback = (error?: Error | null) => void;

/**
 * A socket that a failed write does not close. clamd answers `INSTREAM size limit exceeded. ERROR` and closes while we
 * still send: an ordinary socket is destroyed by the EPIPE, and the answer, which has arrived by then, is never read.
 * Here the write never completes, and reading goes on to the end; whoever waits for the write needs a time limit.
 */
export class ReplyFirstSocket extends Socket {
  override _write(chunk: Buffer, encoding: BufferEncoding, callback: WriteCallback): void {
    super._write(chunk, encoding, unlessFailed(callback));
  }

  override _writev(chunks: Parameters<NonNullable<Socket['_writev']>>[0], callback: WriteCallback): void {
    super._writev?.(chunks, unlessFailed(callback));
  }
}

function unlessFailed(callback: WriteCallback): WriteCallback {
  return (error) => {
    if (!error) callback();
  };
}
