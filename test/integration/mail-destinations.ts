import { type Dovecot, startDovecot } from '../kit/dovecot.ts';
import { type MailStore, type MailUser, makeMailStore } from '../kit/mail-store.ts';
import { type Postfix, startPostfix } from '../kit/postfix.ts';

/** Real mail servers with one store: what any of the Postfixes takes, the Dovecot serves. */
export interface MailDestinations {
  readonly store: MailStore;
  readonly dovecot: Dovecot;
  /** Takes mail for the users of the store from anybody. */
  readonly postfix: Postfix;
  /** Takes mail after AUTH only. */
  readonly strict: Postfix;
  /** Wants a PROXY header first. */
  readonly proxied: Postfix;
  stop(): Promise<void>;
}

export async function startMailDestinations(users: readonly MailUser[]): Promise<MailDestinations> {
  const store = await makeMailStore(users);
  const dovecot = await startDovecot({ store, sasl: true });
  const { saslSocket } = dovecot;
  const [postfix, strict, proxied] = await Promise.all([
    startPostfix({ store }),
    startPostfix({ store, saslSocket, requireAuth: true }),
    startPostfix({ store, proxyProtocol: true }),
  ]);
  const stop = async (): Promise<void> => {
    await Promise.all([postfix, strict, proxied].map((server) => server.stop()));
    await dovecot.stop();
    await store.remove();
  };
  return { store, dovecot, postfix, strict, proxied, stop };
}
