import { EICAR } from './clamd.ts';
import { sha256, textMail } from './mails.ts';
import type { TestMail } from './mails.ts';
import { zip } from './zip.ts';

const MEBIBYTE = 1024 * 1024;
const EICAR_FILE = Buffer.from(EICAR);
const BOUNDARY = '=_sekisho_boundary';

interface Part {
  type: string;
  filename: string;
  content: Buffer;
  /** Default base64. */
  encoding?: '7bit' | 'base64';
}

/** The EICAR test in every shape of mail that it is to be found in. `largeBytes` is the size of the biggest; default 20 MiB. */
export function infectedMails(seed = 1, largeBytes = 20 * MEBIBYTE): TestMail[] {
  const com = { type: 'application/octet-stream', filename: 'eicar.com', content: EICAR_FILE };
  const archive = zip([{ name: 'eicar.com', content: EICAR_FILE }]);
  const nested = zip([{ name: 'inner.zip', content: zip([{ name: 'eicar.com', content: EICAR_FILE }], { method: 'stored' }) }]);
  return [
    eicarInBody(seed),
    withAttachment('plain attachment', seed, { ...com, encoding: '7bit' }),
    withAttachment('base64 attachment', seed, com),
    withAttachment('zip', seed, zipPart(archive)),
    withAttachment('zip in a zip', seed, zipPart(nested)),
    eicarAtTheEnd(seed, largeBytes),
  ];
}

/** In the text of the mail, its last line. */
export function eicarInBody(seed = 1): TestMail {
  return renamed('EICAR in the body', Buffer.concat([textMail(seed).raw, Buffer.from(`${EICAR}\r\n`)]));
}

/** As a base64 attachment behind `bytes` of text. */
export function eicarAtTheEnd(seed: number, bytes: number): TestMail {
  const com = { type: 'application/octet-stream', filename: 'eicar.com', content: EICAR_FILE };
  return withAttachment(`EICAR behind ${bytes} bytes`, seed, com, bytes);
}

/** A clean file in a zip that says it is encrypted. */
export function encryptedZipMail(seed = 1): TestMail {
  const archive = zip([{ name: 'letter.txt', content: Buffer.from('nobody can read this') }], { encrypted: true });
  return withAttachment('encrypted zip', seed, zipPart(archive));
}

/** A clean file in a zip. */
export function cleanZipMail(seed = 1): TestMail {
  return withAttachment('clean zip', seed, zipPart(zip([{ name: 'letter.txt', content: Buffer.from('good news') }])));
}

function zipPart(content: Buffer): Part {
  return { type: 'application/zip', filename: 'files.zip', content };
}

function withAttachment(name: string, seed: number, part: Part, textBytes = 1024): TestMail {
  const text = textMail(seed, textBytes).raw;
  const head = text.indexOf('\r\n\r\n');
  // All but the MIME fields of the text, which become those of its part.
  const fields = text.subarray(0, text.indexOf('MIME-Version:')).toString('latin1');
  const mimeHead = [
    `${fields}MIME-Version: 1.0`,
    `Content-Type: multipart/mixed; boundary="${BOUNDARY}"`,
    '',
    `--${BOUNDARY}`,
    'Content-Type: text/plain; charset=us-ascii',
    '',
    '',
  ].join('\r\n');
  const encoding = part.encoding ?? 'base64';
  const partHead = [
    '',
    `--${BOUNDARY}`,
    `Content-Type: ${part.type}; name="${part.filename}"`,
    `Content-Disposition: attachment; filename="${part.filename}"`,
    `Content-Transfer-Encoding: ${encoding}`,
    '',
    '',
  ].join('\r\n');
  const content = encoding === '7bit' ? part.content : Buffer.from(base64Lines(part.content));
  const end = `\r\n--${BOUNDARY}--\r\n`;
  return renamed(name, Buffer.concat([Buffer.from(mimeHead), text.subarray(head + 4), Buffer.from(partHead), content, Buffer.from(end)]));
}

/** RFC 2045 6.8: lines of at most 76 characters. */
function base64Lines(content: Buffer): string {
  return (content.toString('base64').match(/.{1,76}/gu) ?? []).join('\r\n');
}

function renamed(name: string, raw: Buffer): TestMail {
  return { name, raw, sha256: sha256(raw) };
}
