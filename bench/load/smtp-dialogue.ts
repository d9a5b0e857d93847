/** The bytes of one mail, and the end of its data. */
const MAIL = Buffer.from(`Subject: bench\r\n\r\n${`${'m'.repeat(62)}\r\n`.repeat(64)}.\r\n`);
/** What smtp-source says, in answer to each reply. */
const COMMANDS: readonly Buffer[] = [
  ...['HELO bench.example.com', 'MAIL FROM:<a@example.com>', 'RCPT TO:<b@example.net>', 'DATA'].map((line) => Buffer.from(`${line}\r\n`)),
  MAIL,
  Buffer.from('QUIT\r\n'),
];

/** A client's side of a session of one mail, with a server whose replies have one line each. */
export class SmtpDialogue {
  #step = 0;
  #reply = '';

  /**
   * @returns what to send next, if a reply is complete; `done` after the last one
   * @throws Error when the server refuses
   */
  received(chunk: Buffer): Buffer | 'done' | undefined {
    this.#reply += chunk.toString('latin1');
    if (!this.#reply.endsWith('\n')) return undefined;
    if (!/^[23]/u.test(this.#reply)) throw new Error(`the server said ${this.#reply}`);
    this.#reply = '';
    this.#step += 1;
    return COMMANDS[this.#step - 1] ?? 'done';
  }
}
