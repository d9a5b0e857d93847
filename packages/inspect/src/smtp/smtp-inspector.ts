import type { Disposition, Inspector, InspectorSink } from '../inspector.ts';
import { LineReader } from '../line-reader.ts';
import { kindOfCommand, MAX_AUTH_LINE_BYTES, MAX_COMMAND_LINE_BYTES } from './command.ts';
import { ContentReader } from './content-reader.ts';
import { ExtensionsReply } from './extensions.ts';
import { type Fault, FAULTS, LINE_FAULTS, REPLY_FAULTS } from './faults.ts';
import { type Asked, type LocalAnswer, Outstanding } from './outstanding.ts';
import { MAX_REPLY_LINE_BYTES, type ReplyLine, ReplyReader } from './reply-reader.ts';
import { ServerEnd } from './server-end.ts';
import { refusalWords, replyLine, WORDS } from './words.ts';

/** What comes next from the client, or what it must wait for. */
type State =
  | 'commands'
  | 'data' // the reply to DATA
  | 'content' // the message
  | 'held' // decide()
  | 'final' // the reply to the message
  | 'auth' // the reply to AUTH
  | 'auth_line' // the client's answer to a 334
  | 'starttls' // the reply to STARTTLS; a byte before it is a violation
  | 'blind' // TLS
  | 'swallowing' // the rest of a message that the server has refused already
  | 'orphaned' // commands, and there is no server
  | 'ended'
  | 'dead';

const FINAL_DOT = Buffer.from('.\r\n');
const NOTHING = Buffer.alloc(0);
const GO_AHEAD = 354;
const CHALLENGE = 334;
const FAREWELL = 421;

/**
 * SMTP seen from the middle (RFC 5321), from the greeting on. Every command gets its place in a queue, and so does what
 * we answer ourselves: replies come in the order of the commands (RFC 2920). The end of a message is held until decide();
 * a decide() without such a message is ignored, since the server may have settled it meanwhile.
 *
 * Once a server has refused a message before its end, the rest is swallowed and not the connection closed: most clients
 * read the reply only after their final dot, and a reset would take it from them.
 */
export class SmtpInspector implements Inspector {
  readonly #sink: InspectorSink;
  readonly #starttls: 'pass' | 'hide' | 'refuse';
  readonly #reference: string;

  #state: State = 'commands';
  readonly #outstanding = new Outstanding();
  readonly #commandLines = new LineReader();
  readonly #replies = new ReplyReader();
  readonly #extensions: ExtensionsReply;
  readonly #server: ServerEnd;
  #content = new ContentReader();

  /** The client has the beginning of a reply. */
  #isClientMidReply = false;
  #clientHasEnded = false;
  /** After STARTTLS: the handshake is the client's to begin. */
  #handshakeHasBegun = false;

  /** @param init.reference a short id, put at the end of every line that we say ourselves */
  constructor(
    components: { readonly sink: InspectorSink },
    init: { readonly starttls: 'pass' | 'hide' | 'refuse'; readonly reference: string },
  ) {
    this.#sink = components.sink;
    this.#starttls = init.starttls;
    this.#reference = init.reference;
    this.#extensions = new ExtensionsReply({ hidesStarttls: init.starttls === 'hide' });
    this.#server = new ServerEnd(components);
  }

  get state(): string {
    return this.#state;
  }

  fromClient(bytes: Buffer): number {
    let at = 0;
    while (at < bytes.length && this.#takesFromClient()) at = this.#takeFromClient(bytes, at);
    return at;
  }

  fromServer(bytes: Buffer): number {
    let at = 0;
    while (at < bytes.length && !this.#server.isLost && this.#state !== 'ended') at = this.#takeFromServer(bytes, at);
    return bytes.length;
  }

  clientEnded(): void {
    this.#clientHasEnded = true;
    switch (this.#state) {
      case 'content':
        // With a reset: a server might take a FIN for the end of the message.
        this.#sink.onMessageAbort();
        this.#server.reset();
        return this.#finish();
      case 'swallowing':
      case 'orphaned':
        return this.#answer({ bytes: NOTHING, isLast: true });
      case 'held':
      case 'data':
      case 'ended':
      case 'dead':
        return;
      default:
        this.#server.end();
    }
  }

  serverEnded(): void {
    if (this.#server.isLost || this.#state === 'ended') return;
    if (this.#state === 'blind') return this.#sink.endClient();
    if (this.#hasMessage()) {
      this.#say(WORDS.lostServer);
      this.#sink.onMessageAbort();
      this.#server.reset();
    }
    this.#server.end();
    this.#finish();
  }

  decide(disposition: Disposition): void {
    if (this.#state !== 'held') return;
    if (disposition.action === 'release') return this.#release();
    const refusal =
      disposition.action === 'refuse' ? disposition : { temporary: false, text: 'the message was not accepted' };
    this.#server.reset();
    this.#say(refusalWords(refusal));
    this.#state = 'orphaned';
    if (this.#clientHasEnded) this.#finish();
  }

  keepAlive(): void {}

  contentReleased(): void {}

  // What the client sends.

  #takesFromClient(): boolean {
    switch (this.#state) {
      case 'commands':
        return !this.#outstanding.isFull;
      case 'orphaned':
        return this.#outstanding.isEmpty;
      case 'data':
      case 'auth':
      case 'held':
      case 'final':
        return false;
      default:
        return true;
    }
  }

  /** Returns where it stopped. */
  #takeFromClient(bytes: Buffer, at: number): number {
    switch (this.#state) {
      case 'commands':
      case 'auth_line':
      case 'orphaned':
        return this.#takeLine(bytes, at);
      case 'content':
      case 'swallowing':
        return this.#takeContent(bytes, at);
      case 'starttls':
        this.#violate(FAULTS.clientInjection);
        return bytes.length;
      case 'blind':
        this.#handshakeHasBegun = true;
        this.#sink.toServer(bytes.subarray(at));
        return bytes.length;
      default:
        return bytes.length;
    }
  }

  #takeLine(bytes: Buffer, at: number): number {
    const isAuth = this.#state === 'auth_line' || this.#commandLines.beginsWith('AUTH ', bytes, at);
    const maxBytes = isAuth ? MAX_AUTH_LINE_BYTES : MAX_COMMAND_LINE_BYTES;
    const { next, line, fault } = this.#commandLines.read(bytes, at, maxBytes);
    if (this.#state === 'orphaned') {
      if (line !== undefined || fault !== undefined) this.#answerOrphan(line);
    } else if (fault !== undefined) this.#violate(LINE_FAULTS[fault]);
    else if (line !== undefined && this.#state === 'auth_line') this.#forward(line, 'auth', 'auth');
    else if (line !== undefined) this.#onCommand(line);
    return next;
  }

  #onCommand(line: Buffer): void {
    const kind = kindOfCommand(line);
    switch (kind) {
      case 'command':
      case 'quit':
        return this.#forward(line, 'command', 'commands');
      case 'ehlo':
        return this.#forward(line, kind, 'commands');
      case 'data':
      case 'auth':
        return this.#forward(line, kind, kind);
      case 'starttls':
        if (this.#starttls === 'pass') return this.#forward(line, kind, kind);
        return this.#answerWith(this.#starttls === 'hide' ? WORDS.starttlsHidden : WORDS.starttlsRefused);
      case 'payload':
        return this.#violate(FAULTS.unofferedCommand);
      default:
        this.#answerWith(WORDS.unknownCommand);
    }
  }

  #forward(line: Buffer, asked: Asked, next: State): void {
    this.#outstanding.push(asked);
    this.#state = next;
    this.#sink.toServer(line);
  }

  #takeContent(bytes: Buffer, at: number): number {
    const isSwallowed = this.#state === 'swallowing';
    const { taken, outcome } = this.#content.read(at === 0 ? bytes : bytes.subarray(at), (content) => {
      if (isSwallowed) return;
      this.#sink.toServer(content);
      this.#sink.onMessageData(content);
    });
    if (outcome === 'smuggling') this.#violate(isSwallowed ? FAULTS.smugglingUnheard : FAULTS.smuggling);
    else if (outcome === 'end') this.#onContentEnd(isSwallowed);
    return at + taken;
  }

  #onContentEnd(isSwallowed: boolean): void {
    this.#state = isSwallowed ? 'orphaned' : 'held';
    if (!isSwallowed) this.#sink.onMessageEnd();
  }

  #answerOrphan(line: Buffer | undefined): void {
    const isQuit = line !== undefined && kindOfCommand(line) === 'quit';
    this.#answerWith(isQuit ? WORDS.bye : WORDS.orphaned, { isLast: true });
  }

  // What the server sends.

  /** Returns where it stopped. */
  #takeFromServer(bytes: Buffer, at: number): number {
    if (this.#state === 'blind') {
      if (this.#handshakeHasBegun) this.#sink.toClient(bytes.subarray(at));
      else this.#violate(FAULTS.serverInjection);
      return bytes.length;
    }
    const maxBytes = this.#outstanding.asked === 'auth' ? MAX_AUTH_LINE_BYTES : MAX_REPLY_LINE_BYTES;
    const { next, line, fault } = this.#replies.read(bytes, at, maxBytes);
    if (fault !== undefined) this.#violate(REPLY_FAULTS[fault]);
    else if (line !== undefined) this.#onReplyLine(line);
    return next;
  }

  #onReplyLine(line: ReplyLine): void {
    const asked = this.#outstanding.asked ?? this.#unasked(line.code);
    if (asked === undefined || (line.isFirst && !this.#admits(asked, line.code))) return;
    const isCollected = asked === 'ehlo' && line.code < 300;
    if (isCollected && !this.#extensions.add(line.bytes)) return this.#violate(FAULTS.longExtensions);
    if (!isCollected) this.#passReplyLine(line);
    if (!line.isLast) return;
    if (isCollected) this.#sink.toClient(this.#extensions.take());
    this.#outstanding.settle();
    this.#onReply(asked, line.code);
    this.#sayLocalAnswers();
  }

  /** What a reply is that nothing waits for; undefined: a violation. */
  #unasked(code: number): Asked | undefined {
    const isVerdict = this.#hasMessage();
    if (isVerdict ? code < 400 : code !== FAREWELL) {
      this.#violate(isVerdict ? FAULTS.earlyAccept : FAULTS.unaskedReply);
      return undefined;
    }
    const asked = isVerdict ? 'verdict' : 'notice';
    this.#outstanding.push(asked);
    if (isVerdict) this.#disown();
    return asked;
  }

  /** The server has refused the message that is under way. */
  #disown(): void {
    this.#state = this.#state === 'held' ? 'orphaned' : 'swallowing';
    this.#sink.onMessageAbort();
  }

  /** Whether this may be a reply to that; it is a violation otherwise. */
  #admits(asked: Asked, code: number): boolean {
    const isIntermediate = code >= 300 && code < 400;
    const isAskedFor = (asked === 'data' && code === GO_AHEAD) || (asked === 'auth' && code === CHALLENGE);
    if (asked === 'data' && code < 300) this.#violate(FAULTS.acceptedData);
    else if (isIntermediate && !isAskedFor) this.#violate(FAULTS.oddIntermediateReply);
    else return true;
    return false;
  }

  #passReplyLine(line: ReplyLine): void {
    this.#isClientMidReply = !line.isLast;
    this.#sink.toClient(line.bytes);
  }

  /** A reply is complete. */
  #onReply(asked: Asked, code: number): void {
    switch (asked) {
      case 'data':
        return code === GO_AHEAD ? this.#beginMessage() : this.#backToCommands();
      case 'message':
        return this.#backToCommands();
      case 'auth':
        this.#state = code === CHALLENGE ? 'auth_line' : 'commands';
        return;
      case 'starttls':
        return code < 300 ? this.#goBlind() : this.#backToCommands();
      case 'verdict':
        this.#server.reset();
        // 421 says that the connection ends (RFC 5321 3.8); a client in the middle of its message reads it after that.
        if (code === FAREWELL && this.#state === 'orphaned') this.#finish();
        return;
      default:
    }
  }

  #backToCommands(): void {
    this.#state = 'commands';
    if (this.#clientHasEnded) this.#server.end();
  }

  #goBlind(): void {
    this.#state = 'blind';
    this.#sink.onUninspected('starttls');
  }

  #beginMessage(): void {
    if (this.#clientHasEnded) {
      // As in the middle of content.
      this.#server.reset();
      return this.#finish();
    }
    this.#content = new ContentReader();
    this.#state = 'content';
    this.#sink.onMessageStart();
  }

  #release(): void {
    this.#state = 'final';
    this.#outstanding.push('message');
    this.#sink.toServer(FINAL_DOT);
    if (this.#clientHasEnded) this.#server.end();
  }

  // What we say and do ourselves.

  #hasMessage(): boolean {
    return this.#state === 'content' || this.#state === 'held';
  }

  #answerWith(words: string, init = { isLast: false }): void {
    this.#answer({ bytes: replyLine(words, this.#reference), ...init });
  }

  /** An answer of ours takes its turn. */
  #answer(answer: LocalAnswer): void {
    this.#outstanding.push(answer);
    this.#sayLocalAnswers();
  }

  #sayLocalAnswers(): void {
    for (let next = this.#outstanding.takeLocal(); next !== undefined; next = this.#outstanding.takeLocal()) {
      if (next.bytes.length > 0) this.#sink.toClient(next.bytes);
      if (next.isLast) this.#finish();
    }
  }

  /** Out of turn. Nothing in the middle of a reply: our line would become its end. */
  #say(words: string): void {
    if (!this.#isClientMidReply) this.#sink.toClient(replyLine(words, this.#reference));
  }

  #violate({ code, by, detail, words }: Fault): void {
    if (words !== undefined) this.#say(words);
    if (this.#hasMessage()) this.#sink.onMessageAbort();
    this.#server.reset();
    this.#sink.endClient();
    this.#state = 'dead';
    this.#sink.onViolation({ code, by, detail });
  }

  #finish(): void {
    this.#sink.endClient();
    this.#state = 'ended';
  }
}
