export interface StoredMail {
  /** Unique within its mailbox and never used again: the UIDL of POP3. */
  uid: string;
  /** Lines end with CRLF. */
  raw: Buffer;
}

/** A mailbox in memory: the SMTP ledger delivers into it, the POP3 server serves it. */
export class Mailbox {
  #mails: StoredMail[] = [];
  #delivered = 0;

  get size(): number {
    return this.#mails.length;
  }

  deliver(raw: Buffer): string {
    this.#delivered += 1;
    const uid = `mail-${this.#delivered}`;
    this.#mails.push({ uid, raw });
    return uid;
  }

  /** What is there now, in order of delivery; a copy that later deliveries do not change. */
  list(): StoredMail[] {
    return [...this.#mails];
  }

  /** Uids that are not there any more are passed over. */
  remove(uids: ReadonlySet<string>): void {
    this.#mails = this.#mails.filter((mail) => !uids.has(mail.uid));
  }
}
