import type { Disposition, Inspector, InspectorSink, ViolationCode } from '../inspector.ts';
import { Answers } from './answers.ts';
import { CapabilitiesReply } from './capabilities.ts';
import { type CommandFault, parseCommand, type Pop3Command } from './command.ts';
import { HeldMessage } from './held-message.ts';
import { LineReader } from '../line-reader.ts';
import { readList } from './list-reply.ts';
import { MessageEnd } from './message-end.ts';
import { type Awaited, OutstandingCommands } from './outstanding-commands.ts';
import { WithheldMessages } from './withheld-messages.ts';

/** A command with its CRLF. RFC 2449 section 4 says 255. */
export const MAX_COMMAND_BYTES = 512;
/** A line of an AUTH exchange, either way: what RFC 4954 section 4 gives SMTP. Tokens of OAuth have 4 KiB. */
export const MAX_AUTH_LINE_BYTES = 12_288;
/** A line of a reply. RFC 2449 section 4 says 512. */
export const MAX_REPLY_LINE_BYTES = 4096;

type State =
  | 'reply' // between replies: a status line comes next, or nothing was asked
  | 'challenge' // of AUTH: the client's line comes next
  | 'list'
  | 'capabilities'
  | 'message' // its content comes
  | 'held' // its end has come: decide() is next
  | 'releasing' // contentReleased() is next
  | 'blind' // TLS
  | 'ended' // both sides were told
  | 'dead'; // after a violation

const FINAL_DOT = Buffer.from('.\r\n');

const FAULT_TEXTS: Readonly<Record<CommandFault, string>> = {
  unknown_command: 'unknown command',
  bad_argument: 'wrong arguments',
};

/**
 * POP3 seen from the middle, from the greeting on. Every command has its place in a queue, and so has what we answer
 * ourselves: replies come in the order of the commands. The reply to RETR and TOP is held until decide().
 */
export class Pop3Inspector implements Inspector {
  readonly #sink: InspectorSink;
  readonly #starttls: 'pass' | 'hide' | 'refuse';
  readonly #answers: Answers;

  #state: State = 'reply';
  readonly #outstanding = new OutstandingCommands();
  readonly #commandLines = new LineReader();
  readonly #replyLines = new LineReader();
  #capabilities: CapabilitiesReply | undefined;

  #held: HeldMessage | undefined;
  readonly #messageEnd: MessageEnd;
  readonly #withheld = new WithheldMessages();

  /** The client's FIN was passed on. */
  #serverWasEnded = false;
  /** The server's FIN waits for a held message. */
  #serverHasEnded = false;
  /** After STLS; it is the client's to begin. */
  #handshakeHasBegun = false;

  /** @param init.reference a short id, put at the end of every line that we say ourselves */
  constructor(
    components: { readonly sink: InspectorSink },
    init: { readonly starttls: 'pass' | 'hide' | 'refuse'; readonly reference: string },
  ) {
    this.#sink = components.sink;
    this.#starttls = init.starttls;
    this.#answers = new Answers({ reference: init.reference });
    this.#messageEnd = new MessageEnd({
      onContent: (content) => {
        this.#held?.header.push(content);
        this.#sink.onMessageData(content);
      },
    });
  }

  get state(): State {
    return this.#state;
  }

  /** The beginning of the message that comes or is held, its header at most, as it is on the wire. Empty: there is none. */
  get messageHeader(): Buffer {
    return Buffer.from(this.#held?.header.bytes ?? '');
  }

  /**
   * Some clients would read another message than the one that comes or is held, or see another end of it (MessageEnd): a
   * verdict on it says nothing about theirs. It can be replaced or refused, and the rest of the mailbox stays within reach;
   * decide(release) is answered with a violation by the server.
   */
  get messageIsAmbiguous(): boolean {
    return this.#held !== undefined && this.#messageEnd.isAmbiguous;
  }

  fromClient(bytes: Buffer): number {
    let at = 0;
    while (at < bytes.length) {
      const next = this.#takeFromClient(bytes, at);
      if (next === at) break;
      at = next;
    }
    return at;
  }

  fromServer(bytes: Buffer): number {
    let at = 0;
    while (at < bytes.length) {
      const next = this.#takeFromServer(bytes, at);
      if (next === at) break;
      at = next;
    }
    return at;
  }

  clientEnded(): void {
    if (this.#isOver || this.#serverWasEnded) return;
    if (this.#state === 'message' || this.#state === 'held') {
      // Nobody waits for it any more.
      this.#sink.onMessageAbort();
      return this.#breakOff();
    }
    this.#serverWasEnded = true;
    this.#sink.endServer();
  }

  serverEnded(): void {
    if (this.#isOver) return;
    if (this.#state === 'blind') return this.#sink.endClient();
    this.#serverHasEnded = true;
    if (this.#state === 'held' || this.#state === 'releasing') return;
    if (this.#state === 'message') this.#sink.onMessageAbort();
    this.#finish();
  }

  decide(disposition: Disposition): void {
    const held = this.#held;
    if (this.#state !== 'held' || held === undefined) return;
    if (disposition.action === 'release') return this.#release(held);
    this.#withheld.add(held.number);
    if (disposition.action === 'replace') return this.#completeReply(held.replacement(disposition.notice));
    // What was said cannot be taken back, and with a final dot it would be a message.
    if (held.hasGiven) return this.#breakOff();
    this.#completeReply(this.#answers.refusal(disposition.temporary ? 'SYS/TEMP' : 'SYS/PERM', disposition.text));
  }

  keepAlive(): void {
    if (this.#state !== 'message' && this.#state !== 'held') return;
    const safe = this.#held?.takeSafeBytes();
    if (safe !== undefined && safe.length > 0) this.#sink.toClient(safe);
  }

  contentReleased(): void {
    if (this.#state === 'releasing') this.#completeReply(FINAL_DOT);
  }

  get #isOver(): boolean {
    return this.#state === 'ended' || this.#state === 'dead';
  }

  /** Returns behind what was taken; `at`: nothing can be taken now. */
  #takeFromClient(bytes: Buffer, at: number): number {
    if (this.#isOver) return bytes.length;
    if (this.#state === 'blind') {
      this.#handshakeHasBegun = true;
      this.#sink.toServer(bytes.subarray(at));
      return bytes.length;
    }
    if (this.#state === 'challenge') return this.#takeChallengeAnswer(bytes, at);
    const { last } = this.#outstanding;
    if (last === 'greeting' || this.#outstanding.isFull) return at;
    // What comes next is a command or a part of the exchange: the server's reply says which.
    if (last?.reply === 'auth') return at;
    if (last?.reply === 'stls') {
      // What a server reads before the handshake it may carry out behind it (CVE-2011-0411).
      this.#violate('starttls_injection', 'client', 'plaintext behind STLS');
      return bytes.length;
    }
    return this.#takeCommand(bytes, at);
  }

  #takeCommand(bytes: Buffer, at: number): number {
    const isAuth = this.#commandLines.beginsWith('AUTH ', bytes, at);
    const { next, line, fault } = this.#commandLines.read(bytes, at, isAuth ? MAX_AUTH_LINE_BYTES : MAX_COMMAND_BYTES);
    if (fault !== undefined) this.#violate(fault, 'client', 'in a command');
    if (line === undefined) return next;
    const command = parseCommand(line);
    if (typeof command !== 'string' && command.verb === 'DELE' && this.#outstanding.hasMessage(command.message)) {
      // Whether it may be deleted is not known yet.
      this.#commandLines.withholdEnd(line);
      return next - 1;
    }
    const refusal = typeof command === 'string' ? FAULT_TEXTS[command] : this.#refusalOf(command);
    if (refusal !== undefined) this.#outstanding.pushLocal(this.#answers.refusal('SYS/PERM', refusal));
    else if (typeof command !== 'string') {
      this.#outstanding.pushForwarded(command);
      this.#sink.toServer(command.wire);
    }
    this.#sayAnswers();
    return next;
  }

  /** Why the server is not told. */
  #refusalOf({ verb, message }: Pop3Command): string | undefined {
    if (verb === 'DELE' && this.#withheld.has(message)) return `message ${message} was withheld and stays on the server`;
    if (verb !== 'STLS' || this.#starttls === 'pass') return undefined;
    return this.#starttls === 'hide' ? FAULT_TEXTS.unknown_command : 'TLS is not allowed here: mail is inspected';
  }

  #takeChallengeAnswer(bytes: Buffer, at: number): number {
    const { next, line, fault } = this.#commandLines.read(bytes, at, MAX_AUTH_LINE_BYTES);
    if (fault !== undefined) this.#violate(fault, 'client', 'in an AUTH exchange');
    if (line === undefined) return next;
    this.#state = 'reply';
    this.#sink.toServer(line);
    return next;
  }

  /** Returns behind what was taken; `at`: nothing can be taken now. */
  #takeFromServer(bytes: Buffer, at: number): number {
    switch (this.#state) {
      case 'held':
      case 'releasing':
        return at;
      case 'ended':
      case 'dead':
        return bytes.length;
      case 'blind':
        this.#takeBlind(bytes.subarray(at));
        return bytes.length;
      case 'message':
        return this.#takeContent(bytes, at);
      case 'list':
        return this.#takeList(bytes, at);
      default:
        return this.#takeReplyLine(bytes, at);
    }
  }

  #takeBlind(bytes: Buffer): void {
    if (this.#handshakeHasBegun) this.#sink.toClient(bytes);
    else this.#violate('starttls_injection', 'server', 'plaintext behind the reply to STLS');
  }

  #takeContent(bytes: Buffer, at: number): number {
    const length = this.#messageEnd.push(bytes.subarray(at));
    if (length === undefined) return bytes.length;
    this.#state = 'held';
    this.#sink.onMessageEnd();
    return at + length;
  }

  #takeList(bytes: Buffer, at: number): number {
    const onLines = (lines: Buffer): void => this.#sink.toClient(lines);
    const init = { bytes, at, maxLineBytes: MAX_REPLY_LINE_BYTES };
    const { next, isEnd, fault } = readList({ lines: this.#replyLines, onLines }, init);
    if (fault !== undefined) this.#violate(fault, 'server', 'in a list');
    if (isEnd) this.#nextReply();
    return next;
  }

  #takeReplyLine(bytes: Buffer, at: number): number {
    const { first } = this.#outstanding;
    const isAuth = first !== 'greeting' && first?.reply === 'auth';
    const { next, line, fault } = this.#replyLines.read(bytes, at, isAuth ? MAX_AUTH_LINE_BYTES : MAX_REPLY_LINE_BYTES);
    if (fault !== undefined) this.#violate(fault, 'server', 'in a reply');
    if (line === undefined) return next;
    if (this.#capabilities !== undefined) this.#takeCapability(this.#capabilities, line);
    else if (first === undefined || this.#state === 'challenge') this.#takeUnexpected(line);
    else this.#takeStatusLine(first, line);
    return next;
  }

  #takeStatusLine(first: Awaited, line: Buffer): void {
    if (begins(line, '-ERR')) return this.#completeReply(line);
    if (begins(line, '+OK')) return first === 'greeting' ? this.#completeReply(line) : this.#takePositive(first, line);
    const isChallenge = first !== 'greeting' && first.reply === 'auth' && (begins(line, '+ ') || begins(line, '+\r'));
    if (!isChallenge) return this.#violate('malformed_reply', 'server', 'neither +OK nor -ERR');
    this.#state = 'challenge';
    this.#sink.toClient(line);
  }

  #takePositive(command: Pop3Command, line: Buffer): void {
    switch (command.reply) {
      case 'message':
        return this.#startMessage(command, line);
      case 'capabilities':
        this.#state = 'capabilities';
        this.#capabilities = new CapabilitiesReply({ statusLine: line, hidesTls: this.#starttls === 'hide' });
        return;
      case 'list':
        this.#state = 'list';
        return this.#sink.toClient(line);
      case 'stls':
        this.#state = 'blind';
        this.#sink.toClient(line);
        return this.#sink.onUninspected('starttls');
      default:
        return this.#completeReply(line);
    }
  }

  #startMessage({ message, verb }: Pop3Command, statusLine: Buffer): void {
    this.#state = 'message';
    this.#held = new HeldMessage({ number: message, isWhole: verb === 'RETR', statusLine });
    this.#messageEnd.restart();
    this.#sink.onMessageStart();
  }

  #takeCapability(capabilities: CapabilitiesReply, line: Buffer): void {
    if (line.equals(FINAL_DOT)) return this.#completeReply(capabilities.end(line));
    capabilities.push(line);
    if (capabilities.isTooLong) this.#violate('line_too_long', 'server', 'in the reply to CAPA');
  }

  /**
   * A -ERR that nobody asked for is how a server says why it closes: autologout, shutdown. The client is to read it, and
   * would take it for the reply to its next command: there is none, both sides are ended at once. Waiting for the server's
   * FIN would let a reply to a command under way come in between.
   */
  #takeUnexpected(line: Buffer): void {
    if (!begins(line, '-ERR')) return this.#violate('unexpected_reply', 'server', 'nothing was asked');
    this.#sink.toClient(line);
    this.#finish();
  }

  #release(held: HeldMessage): void {
    if (this.#messageEnd.isAmbiguous) return this.#violate('bare_line_break', 'server', 'beside a dot in a message');
    // The rest of a message that was shown in part only may still be what was withheld.
    if (held.isWhole) this.#withheld.delete(held.number);
    this.#state = 'releasing';
    const statusLine = held.takeStatusLine();
    if (statusLine.length > 0) this.#sink.toClient(statusLine);
    this.#sink.releaseContent(held.givenBytes);
  }

  #completeReply(end: Buffer): void {
    this.#sink.toClient(end);
    this.#nextReply();
  }

  #nextReply(): void {
    this.#state = 'reply';
    this.#capabilities = undefined;
    this.#held = undefined;
    this.#outstanding.shift();
    this.#sayAnswers();
    if (this.#serverHasEnded) this.#finish();
  }

  #sayAnswers(): void {
    for (const answer of this.#outstanding.takeAnswers()) this.#sink.toClient(answer);
  }

  /** Nothing more will be said to either side. */
  #finish(): void {
    this.#state = 'ended';
    this.#held = undefined;
    this.#sink.endClient();
    if (!this.#serverWasEnded) this.#sink.endServer();
  }

  /** What the client has been given has no end. */
  #breakOff(): void {
    this.#state = 'ended';
    this.#held = undefined;
    this.#sink.endClient();
    this.#sink.resetServer();
  }

  #violate(code: ViolationCode, by: 'client' | 'server', detail: string): void {
    const isMidReply = ['list', 'releasing', 'blind'].includes(this.#state) || this.#held?.hasGiven === true;
    if (this.#state === 'message' || this.#state === 'held') this.#sink.onMessageAbort();
    this.#state = 'dead';
    this.#held = undefined;
    if (!isMidReply)
      this.#sink.toClient(
        by === 'client'
          ? this.#answers.refusal('SYS/PERM', 'protocol error')
          : this.#answers.refusal('SYS/TEMP', 'the mail server broke the protocol'),
      );
    this.#sink.endClient();
    if (by === 'server') this.#sink.resetServer();
    else if (!this.#serverWasEnded) this.#sink.endServer();
    this.#sink.onViolation({ code, by, detail });
  }
}

function begins(line: Buffer, text: string): boolean {
  return line.toString('latin1', 0, Math.min(text.length, line.length)) === text;
}
