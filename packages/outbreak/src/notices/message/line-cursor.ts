/** Reads the lines of a mail in turn: CRLF and LF both end one. Each character is looked at once. */
export class LineCursor {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** Where the next line begins. */
  get at(): number {
    return this.#at;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#text.length;
  }

  /** The next line without its ending, and it stays the next. */
  peek(): string {
    return this.#line().replace(/\r$/u, '');
  }

  /** Goes past the next line. */
  skip(): void {
    this.#at += this.#line().length + 1;
  }

  #line(): string {
    const end = this.#text.indexOf('\n', this.#at);
    return this.#text.slice(this.#at, end === -1 ? this.#text.length : end);
  }
}
