import type { Socket } from 'node:net';

const CHUNK = Buffer.alloc(256 * 1024, 0x6d);

/** Writes that many bytes, as fast as they are taken. */
export function writeBytes(socket: Socket, bytes: number): void {
  let left = bytes;
  const write = (): void => {
    while (left > 0) {
      const chunk = left < CHUNK.length ? CHUNK.subarray(0, left) : CHUNK;
      left -= chunk.length;
      if (!socket.write(chunk)) return;
    }
    socket.off('drain', write);
  };
  socket.on('drain', write);
  write();
}
