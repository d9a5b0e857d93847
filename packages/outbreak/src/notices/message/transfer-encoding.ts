/** Undoes a Content-Transfer-Encoding (RFC 2045 6). What is not well-formed in `encoded`, one character a byte, stays as it is. */
export function decodeTransfer(encoded: string, encoding: string | undefined): Buffer {
  switch (encoding?.trim().toLowerCase()) {
    case 'base64':
      return Buffer.from(encoded, 'base64');
    case 'quoted-printable':
      return decodeQuoted(encoded.replaceAll(/=[\t ]*\r?\n/gu, ''));
    default:
      return Buffer.from(encoded, 'latin1');
  }
}

/** `=41` is A, as in quoted-printable and in the Q encoding of headers. */
export function decodeQuoted(encoded: string): Buffer {
  const decoded = encoded.replaceAll(/=([0-9a-f]{2})/giu, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(decoded, 'latin1');
}
