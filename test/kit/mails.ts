import { createHash } from 'node:crypto';

export interface TestMail {
  name: string;
  /** The whole message, every line ended with CRLF unless the name says otherwise. */
  raw: Buffer;
  /** SHA-256 of `raw`, hexadecimal. */
  sha256: string;
}

const MEBIBYTE = 1024 * 1024;
const CR = 0x0d;
const LF = 0x0a;
const DOT = 0x2e;
const HEADER = 'From: sender@example.com\r\nTo: recipient@example.net\r\n';

/** A deterministic generator (mulberry32), so that a failing mail can be made again from its seed. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A message of ordinary text lines of about `bytes` bytes, unique for each seed. */
export function textMail(seed: number, bytes = 1024): TestMail {
  return mail(`text ${seed}`, lines(seed, bytes, (random) => 0x41 + Math.floor(random() * 26)), seed);
}

/** Every shape that has broken a mail path before. `largeBytes` is the size of the biggest; default 25 MiB. */
export function mailShapes(seed = 1, largeBytes = 25 * MEBIBYTE): TestMail[] {
  const body = (text: string): Buffer => Buffer.from(text, 'latin1');
  return [
    mail('empty body', Buffer.alloc(0), seed),
    mail('one line', body('hello\r\n'), seed),
    mail('8-bit', lines(seed, 20_000, (random) => 0x21 + Math.floor(random() * 0xde)), seed),
    mail('line of 998', body(`${'x'.repeat(998)}\r\n`), seed),
    // Past what RFC 5321 allows and past Postfix's own records (2,048); fetchmail breaks lines only from 8,193 on.
    mail('line of 8000', body(`${'y'.repeat(8000)}\r\nend\r\n`), seed),
    mail('leading dots', body('.\r\n..\r\n...\r\n.leading\r\n..two\r\n \r\n.\r\n'), seed),
    mail('only dots', body('.\r\n'.repeat(5000)), seed),
    mail('ends in blank lines', body('text\r\n\r\n\r\n\r\n'), seed),
    mail('From at line start', body('From here on\r\n>From quoted\r\n'), seed),
    mail(`${Math.round(largeBytes / MEBIBYTE)} MiB`, lines(seed, largeBytes, (random) => 0x30 + Math.floor(random() * 64)), seed),
  ];
}

/** A message with one line of that length in the middle. */
export function longLineMail(lineBytes: number, seed = 1): TestMail {
  return mail(`line of ${lineBytes}`, Buffer.from(`start\r\n${'z'.repeat(lineBytes)}\r\nend\r\n`), seed);
}

/**
 * A message whose last line has no CRLF. SMTP can't say that (RFC 5321 4.1.1.4: the CRLF before the dot belongs to the
 * message), so every client adds one: compare with `raw` plus CRLF.
 */
export function unterminatedMail(seed = 1): TestMail {
  return mail('no newline at the end', Buffer.from('last line without end'), seed);
}

/** The body as SMTP's DATA wants it: dots stuffed after each CRLF, the final dot appended. */
export function dotStuff(raw: Buffer): Buffer {
  const stuffed = stuffDots(raw);
  const terminated = raw.length === 0 || endsWithCrlf(raw);
  return Buffer.concat([stuffed, Buffer.from(terminated ? '.\r\n' : '\r\n.\r\n')]);
}

/** Puts a dot before every line that begins with one; a line begins at the start and after CRLF, nowhere else. */
export function stuffDots(raw: Buffer): Buffer {
  const pieces: Buffer[] = [];
  const dot = Buffer.from('.');
  let from = 0;
  if (raw[0] === DOT) pieces.push(dot);
  for (let at = raw.indexOf('\r\n.'); at !== -1; at = raw.indexOf('\r\n.', at + 2)) {
    pieces.push(raw.subarray(from, at + 2), dot);
    from = at + 2;
  }
  pieces.push(raw.subarray(from));
  return Buffer.concat(pieces);
}

/** The reverse of `stuffDots`. */
export function unstuffDots(stuffed: Buffer): Buffer {
  const pieces: Buffer[] = [];
  let from = stuffed[0] === DOT ? 1 : 0;
  for (let at = stuffed.indexOf('\r\n.'); at !== -1; at = stuffed.indexOf('\r\n.', at + 3)) {
    pieces.push(stuffed.subarray(from, at + 2));
    from = at + 3;
  }
  pieces.push(stuffed.subarray(from));
  return Buffer.concat(pieces);
}

export function endsWithCrlf(raw: Buffer): boolean {
  return raw.length >= 2 && raw[raw.length - 2] === CR && raw[raw.length - 1] === LF;
}

export function sha256(raw: Buffer): string {
  return createHash('sha256').update(raw).digest('hex');
}

function mail(name: string, body: Buffer, seed: number): TestMail {
  const identity = `Subject: ${name}\r\nMessage-ID: <${name.replaceAll(' ', '-')}.${seed}@example.com>\r\n`;
  const mime = 'MIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n';
  const date = 'Date: Sat, 21 Nov 2026 08:00:00 +0000\r\n';
  const raw = Buffer.concat([Buffer.from(`${date}${HEADER}${identity}${mime}\r\n`), body]);
  return { name, raw, sha256: sha256(raw) };
}

/** Lines of 76 bytes, every byte from `byte`, made from 64 KiB of random ones so that 25 MiB take no time. */
function lines(seed: number, bytes: number, byte: (random: () => number) => number): Buffer {
  const lineBytes = 78;
  const random = seededRandom(seed);
  const block = Buffer.alloc(lineBytes * 840);
  for (let i = 0; i < block.length; i += 1) block[i] = byte(random);
  for (let end = lineBytes; end <= block.length; end += lineBytes) block.write('\r\n', end - 2);
  const body = Buffer.alloc(Math.max(1, Math.ceil(bytes / lineBytes)) * lineBytes);
  for (let at = 0; at < body.length; at += block.length) block.copy(body, at);
  return body;
}

/** What Postfix and an LMTP or virtual delivery put before a message. */
const TRACE_FIELD = /^(?:Return-Path|X-Original-To|Delivered-To|Received):/i;

/**
 * What the sender sent, from a message as it was delivered: the trace fields put before its first own header are taken
 * off, and lines end with CRLF again (Maildirs and fetchmail keep LF). For messages that neither begin with one of those
 * fields themselves nor hold bare CR or LF.
 */
export function asSent(delivered: Buffer): Buffer {
  let start = 0;
  while (TRACE_FIELD.test(lineAt(delivered, start))) {
    do start += lineAt(delivered, start).length;
    while (/^[ \t]/.test(lineAt(delivered, start)));
  }
  return withCrlf(delivered.subarray(start));
}

/** SHA-256 of `asSent`, to be compared with `TestMail.sha256`. */
export function bodyHash(delivered: Buffer): string {
  return sha256(asSent(delivered));
}

/** With its line end; empty at the end of the message. */
function lineAt(message: Buffer, start: number): string {
  const end = message.indexOf(LF, start);
  return message.toString('latin1', start, end === -1 ? message.length : end + 1);
}

function withCrlf(message: Buffer): Buffer {
  // latin1 maps every byte to one character and back.
  return Buffer.from(message.toString('latin1').replace(/\r?\n/g, '\r\n'), 'latin1');
}
