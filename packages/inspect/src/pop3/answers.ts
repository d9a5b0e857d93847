/** Of a text for people in a line of ours: RFC 2449 section 4 allows a line 512 bytes. */
const MAX_ANSWER_CHARACTERS = 200;

/** RFC 3206: the fault is of the system; try later, or do not. */
type Persistence = 'SYS/TEMP' | 'SYS/PERM';

/** The lines that we say in the server's place. */
export class Answers {
  readonly #reference: string;

  /** @param init.reference ends every line, so that a user's complaint leads to a line of the log */
  constructor(init: { readonly reference: string }) {
    this.#reference = printableAscii(init.reference);
  }

  refusal(persistence: Persistence, text: string): Buffer {
    return Buffer.from(`-ERR [${persistence}] ${printableAscii(text)} (${this.#reference})\r\n`, 'latin1');
  }
}

function printableAscii(text: string): string {
  return text.slice(0, MAX_ANSWER_CHARACTERS).replaceAll(/[^ -~]/gu, '?');
}
