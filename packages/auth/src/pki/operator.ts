import { type DeviceIdentity, IdentityError, parseMac, parseRights, parseSiteName, type ServerRole } from '@sekisho/wire';
import { type CertificateAuthority, createAuthority, loadAuthority } from './certificate-authority.ts';
import { parseDnsName } from './dns-name.ts';
import { newTicketKey, type TicketKey } from './keys.ts';
import { type IssuedCertificate, issueLeaf, selfSignedLeaf } from './leaf.ts';
import {
  createDirectory,
  OPERATOR_FILES,
  readOperatorFile,
  replaceOperatorFile,
  requireOperatorDirectory,
  withLock,
} from './operator-directory.ts';
import { formatSettings, type OperatorSettings, parseSettings } from './operator-settings.ts';
import { PkiError } from './pki-error.ts';
import {
  DEFAULT_LIST_DAYS,
  issueRevocationList,
  MAX_REVOCATION_LIST_BYTES,
  readRevocationList,
  type RevocationList,
  type RevocationReason,
} from './revocation-list.ts';
import { daysAfter, leafValidity, requireNotBefore, soundTime } from './validity.ts';

/** Milliseconds since the epoch, as Date.now. */
export type WallClock = () => number;

export interface OperatorInit {
  readonly name: string;
  readonly managerName: string;
  readonly clock?: WallClock;
}

export interface SiteInit {
  readonly site: string;
  /** DNS names for the managers' certificate; the operator's own managerName is always one of them. */
  readonly managerNames?: readonly string[];
  readonly days: number;
}

export interface DeviceInit {
  /** In any spelling of parseMac. */
  readonly mac: string;
  readonly rights: readonly string[];
  readonly days: number;
  /** `mac-only`: a self-signed certificate, which only sites with `proof: mac-only` accept. */
  readonly proof: 'certificate' | 'mac-only';
}

export interface RevokeInit {
  /** May be empty: the list is signed again, with a later next update. */
  readonly serials: readonly string[];
  readonly reason?: RevocationReason;
  /** Days until the next list is due. */
  readonly listDays?: number;
}

/** Everything that goes to one site. */
export type IssuedSite = Readonly<Record<ServerRole, IssuedCertificate>> & {
  readonly ticketKey: TicketKey;
  readonly caCertPem: string;
};

const MAX_MANAGER_NAMES = 16;

/** The operator: its CA, its revocation list, and the directory on an offline machine in which both live. */
export class Operator {
  readonly settings: OperatorSettings;
  readonly caCertPem: string;
  readonly #directory: string;
  readonly #ca: CertificateAuthority;
  readonly #clock: WallClock;

  private constructor(directory: string, ca: CertificateAuthority, settings: OperatorSettings, clock: WallClock) {
    this.#directory = directory;
    this.#ca = ca;
    this.#clock = clock;
    this.settings = settings;
    this.caCertPem = ca.certPem;
  }

  /**
   * Makes a new operator with an empty revocation list, number 1, in a directory that is empty or does not exist.
   * Throws PkiError.
   */
  static async init(directory: string, init: OperatorInit): Promise<Operator> {
    const clock = init.clock ?? Date.now;
    const now = soundTime(clock());
    const settings = { name: init.name, managerName: parseDnsName(init.managerName), createdAt: now };
    const { certPem, keyPem } = await createAuthority(init.name, now);
    const ca = await loadAuthority(certPem, keyPem);
    const nextUpdateAt = daysAfter(now, DEFAULT_LIST_DAYS);
    await createDirectory(directory, {
      [OPERATOR_FILES.caKey]: keyPem,
      [OPERATOR_FILES.caCert]: certPem,
      [OPERATOR_FILES.settings]: formatSettings(settings),
      [OPERATOR_FILES.revocations]: await issueRevocationList({ ca, number: 1n, revoked: [], at: now, nextUpdateAt }),
    });
    return new Operator(directory, ca, settings, clock);
  }

  /** Opens an operator's directory. Throws PkiError, also when others could read its key. */
  static async open(directory: string, init: { readonly clock?: WallClock } = {}): Promise<Operator> {
    await requireOperatorDirectory(directory);
    const settings = parseSettings(await readOperatorFile(directory, OPERATOR_FILES.settings));
    const certPem = await readOperatorFile(directory, OPERATOR_FILES.caCert);
    const ca = await loadAuthority(certPem, await readOperatorFile(directory, OPERATOR_FILES.caKey));
    return new Operator(directory, ca, settings, init.clock ?? Date.now);
  }

  /** Makes the certificates and the ticket key of a site, all new at each call. Throws PkiError; writes nothing. */
  async issueSite(init: SiteInit): Promise<IssuedSite> {
    const site = checked(() => parseSiteName(init.site));
    const managerNames = this.#managerNames(init.managerNames ?? []);
    const validity = leafValidity(soundTime(this.#clock()), init.days, this.#ca.validity);
    const issue = (role: ServerRole, dnsNames: readonly string[]) =>
      issueLeaf(this.#ca, { identity: { kind: 'server', site, role }, dnsNames, validity });
    return {
      manager: await issue('manager', managerNames),
      relay: await issue('relay', []),
      auth: await issue('auth', []),
      ticketKey: newTicketKey(),
      caCertPem: this.caCertPem,
    };
  }

  /**
   * Makes a key and a certificate for a device, for its enrollment and for each renewal (a new key each time; the old
   * certificate stays valid until it expires or is revoked). Throws PkiError; writes nothing.
   */
  async enrollDevice(init: DeviceInit): Promise<IssuedCertificate> {
    const identity = checked(
      (): DeviceIdentity => ({ kind: 'device', mac: parseMac(init.mac), rights: parseRights(init.rights) }),
    );
    const validity = leafValidity(soundTime(this.#clock()), init.days, this.#ca.validity);
    if (init.proof === 'mac-only') return selfSignedLeaf(identity, validity);
    return issueLeaf(this.#ca, { identity, dnsNames: [], validity });
  }

  /**
   * Adds certificates to the revocation list, signs it with the next number and writes it. What is revoked stays so,
   * with its first date and reason. Throws PkiError.
   */
  async revoke(init: RevokeInit): Promise<{ readonly listPem: string; readonly list: RevocationList }> {
    return withLock(this.#directory, async () => {
      const before = await this.revocationList();
      const at = soundTime(this.#clock());
      requireNotBefore(at, before.thisUpdate, 'the last revocation list was signed');
      const added = init.serials.map((serial) => ({ serial, at, reason: init.reason ?? 'unspecified' }));
      const listPem = await issueRevocationList({
        ca: this.#ca,
        number: before.number + 1n,
        revoked: [...before.revoked, ...added],
        at,
        nextUpdateAt: daysAfter(at, init.listDays ?? DEFAULT_LIST_DAYS),
      });
      const list = readRevocationList(listPem, this.caCertPem, { maxBytes: MAX_REVOCATION_LIST_BYTES });
      await replaceOperatorFile(this.#directory, OPERATOR_FILES.revocations, listPem);
      return { listPem, list };
    });
  }

  /** The revocation list as it stands. Throws PkiError. */
  async revocationList(): Promise<RevocationList> {
    const pem = await readOperatorFile(this.#directory, OPERATOR_FILES.revocations);
    return readRevocationList(pem, this.caCertPem, { maxBytes: MAX_REVOCATION_LIST_BYTES });
  }

  #managerNames(names: readonly string[]): string[] {
    const unique = new Set([this.settings.managerName, ...names.map(parseDnsName)]);
    if (unique.size > MAX_MANAGER_NAMES)
      throw new PkiError('BAD_INPUT', `a site has at most ${MAX_MANAGER_NAMES} names for its managers`);
    return [...unique];
  }
}

function checked<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof IdentityError) throw new PkiError('BAD_INPUT', error.message, { cause: error });
    throw error;
  }
}
