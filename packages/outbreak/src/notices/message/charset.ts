/**
 * Decodes text of a mail. A charset that is unknown, missing or ASCII is taken for UTF-8, and for Windows-1252 if the bytes
 * are not that: gateways send what they found in the mail they stopped, and any text is better than none.
 */
export function decodeText(bytes: Uint8Array, charset: string | undefined): string {
  const named = charset === undefined || /^(?:us-)?ascii$/iu.test(charset) ? undefined : decoderFor(charset);
  if (named !== undefined) return named.decode(bytes);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder('windows-1252').decode(bytes);
  }
}

function decoderFor(charset: string): TextDecoder | undefined {
  try {
    return new TextDecoder(charset);
  } catch {
    return undefined;
  }
}
