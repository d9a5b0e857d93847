import type { Socket } from 'node:net';

/**
 * Breaks a connection off with RST, so that what was cut off does not look like an end.
 *
 * While a FIN is on its way (end() was called, 'finish' has not come) libuv refuses to reset (EINVAL), and Node then
 * forgets the handle without closing it: the descriptor and the connection would stay for good. That moment is waited
 * for; it is less than a turn of the event loop.
 */
export function resetSocket(socket: Socket): void {
  const isEnding = socket.writableEnded && !socket.writableFinished && socket.writableLength === 0;
  if (isEnding && !socket.destroyed) socket.once('finish', () => socket.resetAndDestroy());
  else socket.resetAndDestroy();
}
