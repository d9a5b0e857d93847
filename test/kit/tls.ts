import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export interface TlsPair {
  /** PEM. The certificate is its own CA: give it to a client as `ca` to have it verified. */
  cert: string;
  /** PEM. */
  key: string;
  certPath: string;
  keyPath: string;
}

/**
 * The self-signed pair of the test destinations, valid for mail.example.com, localhost, *.test, 127.0.0.1, 127.0.0.2
 * and ::1 until 2126. A file of the repository, so that the demo needs no openssl; it secures nothing.
 */
export function destinationTls(): TlsPair {
  const certPath = fileURLToPath(new URL('fixtures/destination-cert.pem', import.meta.url));
  const keyPath = fileURLToPath(new URL('fixtures/destination-key.pem', import.meta.url));
  return { cert: readFileSync(certPath, 'utf8'), key: readFileSync(keyPath, 'utf8'), certPath, keyPath };
}
