import { MAIL_PROTOCOLS, MAX_DESTINATION_BYTES, MAX_NAME_BYTES, MAX_SIGNATURE_BYTES, type Message, macBytes } from '@sekisho/wire';
import type { Detection } from '../inspect/detection.ts';
import { fitText } from './fit-text.ts';

/** A detection as managers get it. */
export function detectionMessage(id: number, detection: Detection): Message<'detection'> {
  const { key, at, mac, signature, protocol, client, destination, session } = detection;
  return {
    type: 'detection',
    id,
    key,
    at,
    mac: macBytes(mac),
    signature: fitText(signature, MAX_SIGNATURE_BYTES),
    protocol: MAIL_PROTOCOLS.indexOf(protocol),
    client: fitText(client, MAX_NAME_BYTES),
    destination: fitText(destination, MAX_DESTINATION_BYTES),
    session: Buffer.from(session, 'hex'),
  };
}
