/** The header of a message: names as they stand there, in their order, with values unfolded. */
export function headersOf(raw: Buffer): { readonly names: string[]; readonly values: ReadonlyMap<string, string>; readonly body: string } {
  const text = raw.toString('latin1');
  const end = text.indexOf('\r\n\r\n');
  const lines = text.slice(0, end).replaceAll(/\r\n[ \t]/gu, ' ').split('\r\n');
  const pairs = lines.map((line) => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon), line.slice(colon + 1).trim()] as const;
  });
  return { names: pairs.map(([name]) => name), values: new Map(pairs), body: decode(text.slice(end + 4), new Map(pairs)) };
}

function decode(body: string, values: ReadonlyMap<string, string>): string {
  const encoding = values.get('Content-Transfer-Encoding');
  if (encoding === 'base64') return Buffer.from(body, 'base64').toString('utf8');
  if (encoding !== 'quoted-printable') return body;
  const bytes = body.replaceAll(/=\r\n/gu, '').replaceAll(/=([0-9A-F]{2})/gu, (_, hex: string) => String.fromCodePoint(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, 'latin1').toString('utf8');
}
