import { createHash, createPrivateKey, createPublicKey, sign, verify, X509Certificate } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { identityOf } from '@sekisho/channel';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ticketKeyId } from './keys.ts';
import { Operator } from './operator.ts';
import { newSerial } from './serial.ts';
import { x509 } from './x509.ts';

const DAY_MS = 86_400_000;
const start = Date.parse('2026-11-21T08:00:00.500Z');
const names = { name: 'Example Mail', managerName: 'Manager.example.com' };
const device = { mac: '0200.5E10.0001', rights: ['imap', 'smtp'], days: 30, proof: 'certificate' } as const;
const refusal = (code: string) => expect.objectContaining({ name: 'PkiError', code });

let parent: string;
let path: string;
let nowMs: number;
const clock = () => nowMs;

const newOperator = () => Operator.init(path, { ...names, clock });
const modeOf = async (file: string) => (await stat(file)).mode & 0o777;

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'sekisho-operator-'));
  path = join(parent, 'operator');
  nowMs = start;
});
afterEach(() => rm(parent, { recursive: true, force: true }));

describe('the operator’s directory', () => {
  it('is made with everything in it, for its owner alone', async () => {
    await newOperator();
    const files = await readdir(path);
    expect(files.toSorted()).toEqual(['ca.cert.pem', 'ca.key.pem', 'operator.json', 'revocations.crl.pem']);
    expect(await modeOf(path)).toBe(0o700);
    for (const file of files) expect(await modeOf(join(path, file))).toBe(0o600);
    expect(await readdir(parent)).toEqual(['operator']);
    expect(JSON.parse(await readFile(join(path, 'operator.json'), 'utf8'))).toEqual({
      format: 1,
      name: 'Example Mail',
      managerName: 'manager.example.com',
      createdAt: '2026-11-21T08:00:00.000Z',
    });
  });

  it('has a CA that signs only leaves, for twenty years', async () => {
    const ca = new X509Certificate((await newOperator()).caCertPem);
    expect(ca.ca).toBe(true);
    expect(ca.subject).toBe('CN=Example Mail Sekisho operator CA');
    expect(ca.verify(ca.publicKey)).toBe(true);
    const { extensions } = new x509.X509Certificate(ca.raw);
    expect(extensions.filter(({ critical }) => critical)).toEqual([
      expect.objectContaining({ ca: true, pathLength: 0 }),
      expect.objectContaining({ usages: x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign }),
    ]);
    expect(ca.validFromDate).toEqual(new Date('2026-11-21T07:00:00Z'));
    expect(ca.validToDate).toEqual(new Date('2046-11-21T08:00:00Z'));
  });

  it('is opened again with the same CA, settings and list', async () => {
    const made = await newOperator();
    const opened = await Operator.open(path, { clock });
    expect(opened.caCertPem).toBe(made.caCertPem);
    expect(opened.settings).toEqual(made.settings);
    expect(await opened.revocationList()).toMatchObject({
      number: 1n,
      revoked: [],
      nextUpdate: new Date('2026-12-21T08:00:00Z'),
    });
    const issued = await opened.enrollDevice(device);
    expect(new X509Certificate(issued.certPem).verify(new X509Certificate(made.caCertPem).publicKey)).toBe(true);
  });

  it('may be an empty one, and parents are made', async () => {
    path = join(parent, 'a', 'b');
    await mkdir(path, { recursive: true, mode: 0o755 });
    await newOperator();
    expect(await modeOf(path)).toBe(0o700);
  });

  it('is never overwritten', async () => {
    const { caCertPem } = await newOperator();
    await expect(newOperator()).rejects.toThrow(refusal('ALREADY_EXISTS'));
    expect((await Operator.open(path)).caCertPem).toBe(caCertPem);
    path = join(parent, 'file');
    await writeFile(path, 'mine');
    await expect(newOperator()).rejects.toThrow(refusal('ALREADY_EXISTS'));
    expect(await readFile(path, 'utf8')).toBe('mine');
    path = join(parent, 'link');
    await symlink(join(parent, 'nowhere'), path);
    await expect(newOperator()).rejects.toThrow(refusal('ALREADY_EXISTS'));
    path = join(parent, 'file', 'below');
    await expect(newOperator()).rejects.toThrow(refusal('FILE_ERROR'));
    expect((await readdir(parent)).toSorted()).toEqual(['file', 'link', 'operator']);
  });

  it('of two made at once is one', async () => {
    const results = await Promise.allSettled([newOperator(), newOperator()]);
    expect(results.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    await Operator.open(path);
    expect(await readdir(parent)).toEqual(['operator']);
  });

  it('is refused when others could read the key', async () => {
    await newOperator();
    const key = join(path, 'ca.key.pem');
    await chmod(key, 0o640);
    await expect(Operator.open(path)).rejects.toThrow(/chmod 600 .*ca\.key\.pem/u);
    await chmod(key, 0o600);
    await chmod(path, 0o755);
    await expect(Operator.open(path)).rejects.toThrow(refusal('PERMISSIONS_TOO_OPEN'));
  });

  it('is refused when it is none, or damaged, or of a newer version', async () => {
    await expect(Operator.open(path)).rejects.toThrow(refusal('NOT_AN_OPERATOR_DIRECTORY'));
    await mkdir(path, { mode: 0o700 });
    await expect(Operator.open(path)).rejects.toThrow(/sekisho operator init/u);
    await newOperator();
    const spoiled = async (file: string, text: string, code: string) => {
      const before = await readFile(join(path, file));
      await writeFile(join(path, file), text);
      await expect(Operator.open(path)).rejects.toThrow(refusal(code));
      await writeFile(join(path, file), before);
    };
    const settings = JSON.parse(await readFile(join(path, 'operator.json'), 'utf8')) as object;
    await spoiled('operator.json', '{', 'DAMAGED');
    await spoiled('operator.json', 'null', 'DAMAGED');
    await spoiled('operator.json', JSON.stringify({ ...settings, createdAt: 'yesterday' }), 'DAMAGED');
    await spoiled('operator.json', JSON.stringify({ ...settings, format: 2 }), 'UNSUPPORTED_FORMAT');
    await spoiled('ca.key.pem', 'nonsense', 'DAMAGED');
    await spoiled('ca.cert.pem', 'nonsense', 'DAMAGED');
    const other = await Operator.init(join(parent, 'other'), names);
    await spoiled('ca.cert.pem', other.caCertPem, 'DAMAGED');
    await spoiled('ca.key.pem', (await other.enrollDevice(device)).keyPem, 'DAMAGED');
    await spoiled('ca.key.pem', (await other.issueSite({ site: 'a', days: 1 })).ticketKey.privatePem, 'DAMAGED');
    await Operator.open(path);
    await rm(join(path, 'ca.cert.pem'));
    await expect(Operator.open(path)).rejects.toThrow(/ca\.cert\.pem is missing/u);
  });

  it('is not made with an absurd clock or name', async () => {
    nowMs = 1000;
    await expect(newOperator()).rejects.toThrow(refusal('CLOCK_ABSURD'));
    nowMs = start;
    for (const name of ['', ' x', 'a\nb', '\u202Eevil', 'x'.repeat(45)]) {
      await expect(Operator.init(path, { ...names, name })).rejects.toThrow(refusal('BAD_INPUT'));
    }
    await expect(Operator.init(path, { ...names, managerName: '10.0.0.1' })).rejects.toThrow(refusal('BAD_INPUT'));
    expect(await readdir(parent)).toEqual([]);
    const longest = await Operator.init(path, { ...names, name: '関'.repeat(44) });
    expect(new X509Certificate(longest.caCertPem).subject).toContain('関関 Sekisho operator CA');
  });
});

describe('issuing', () => {
  it('gives a device one identity, its own key and the right to be a client', async () => {
    const operator = await newOperator();
    const issued = await operator.enrollDevice(device);
    const certificate = new X509Certificate(issued.certPem);
    expect(identityOf(certificate)).toEqual({ kind: 'device', mac: '02:00:5e:10:00:01', rights: ['smtp', 'imap'] });
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.2']);
    expect(certificate.ca).toBe(false);
    expect(certificate.serialNumber.toLowerCase()).toBe(issued.serial);
    expect(certificate.checkPrivateKey(createPrivateKey(issued.keyPem))).toBe(true);
    expect(certificate.publicKey.asymmetricKeyDetails).toEqual({ namedCurve: 'prime256v1' });
    expect(certificate.validFromDate).toEqual(new Date('2026-11-21T07:00:00Z'));
    expect(certificate.validToDate).toEqual(issued.expiresAt);
    expect(issued.expiresAt.getTime()).toBe(Math.floor(start / 1000) * 1000 + 30 * DAY_MS);
    const renewed = await operator.enrollDevice(device);
    expect(renewed.serial).not.toBe(issued.serial);
    expect(renewed.keyPem).not.toBe(issued.keyPem);
  });

  it('gives a mac-only device a certificate that only itself vouches for', async () => {
    const operator = await newOperator();
    const certificate = new X509Certificate((await operator.enrollDevice({ ...device, proof: 'mac-only' })).certPem);
    expect(certificate.verify(certificate.publicKey)).toBe(true);
    expect(certificate.verify(new X509Certificate(operator.caCertPem).publicKey)).toBe(false);
    expect(certificate.ca).toBe(false);
    expect(identityOf(certificate)).toMatchObject({ kind: 'device', mac: '02:00:5e:10:00:01' });
  });

  it('gives a site three servers, the managers with their names, and a ticket key', async () => {
    const operator = await newOperator();
    const init = { site: 'tokyo-1', managerNames: ['localhost', 'manager.EXAMPLE.com'], days: 90 };
    const site = await operator.issueSite(init);
    for (const role of ['manager', 'relay', 'auth'] as const) {
      const certificate = new X509Certificate(site[role].certPem);
      expect(identityOf(certificate)).toEqual({ kind: 'server', site: 'tokyo-1', role });
      expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.2', '1.3.6.1.5.5.7.3.1']);
      expect(certificate.subjectAltName?.match(/DNS:[^,]+/gu)).toEqual(
        role === 'manager' ? ['DNS:manager.example.com', 'DNS:localhost'] : null,
      );
    }
    const { privatePem, publicPem, keyId } = site.ticketKey;
    const rawKey = createPublicKey(publicPem).export({ type: 'spki', format: 'der' }).subarray(-32);
    expect(keyId).toBe(createHash('sha256').update(rawKey).digest('hex').slice(0, 16));
    expect(verify(null, rawKey, createPublicKey(publicPem), sign(null, rawKey, createPrivateKey(privatePem)))).toBe(true);
    expect((await operator.issueSite(init)).ticketKey.keyId).not.toBe(keyId);
    expect(site.caCertPem).toBe(operator.caCertPem);
    expect(() => ticketKeyId(new X509Certificate(site.auth.certPem).publicKey)).toThrow(refusal('BAD_INPUT'));
  });

  it('refuses what can’t be issued', async () => {
    const operator = await newOperator();
    await expect(operator.enrollDevice({ ...device, mac: 'ff:ff:ff:ff:ff:ff' })).rejects.toThrow(refusal('BAD_INPUT'));
    await expect(operator.enrollDevice({ ...device, rights: [] })).rejects.toThrow(refusal('BAD_INPUT'));
    await expect(operator.enrollDevice({ ...device, days: 4000 })).rejects.toThrow(refusal('BAD_VALIDITY'));
    await expect(operator.issueSite({ site: 'Tokyo', days: 1 })).rejects.toThrow(refusal('BAD_INPUT'));
    await expect(operator.issueSite({ site: 'a', managerNames: ['*.x'], days: 1 })).rejects.toThrow(refusal('BAD_INPUT'));
    const tooMany = Array.from({ length: 16 }, (_, index) => `m${index}.example`);
    await expect(operator.issueSite({ site: 'a', managerNames: tooMany, days: 1 })).rejects.toThrow(refusal('BAD_INPUT'));
    nowMs = start - DAY_MS;
    await expect(operator.enrollDevice(device)).rejects.toThrow(refusal('CLOCK_ABSURD'));
  });
});

describe('revoking', () => {
  it('adds to the list, keeps what is there and counts up', async () => {
    const operator = await newOperator();
    const [first, second] = [newSerial(), newSerial()];
    await operator.revoke({ serials: [first], reason: 'key-compromise' });
    nowMs += DAY_MS;
    const { list, listPem } = await operator.revoke({ serials: [second, first.toUpperCase()], listDays: 7 });
    expect(list.number).toBe(3n);
    expect(list.revoked).toEqual([
      { serial: first, at: new Date('2026-11-21T08:00:00Z'), reason: 'key-compromise' },
      { serial: second, at: new Date('2026-11-22T08:00:00Z'), reason: 'unspecified' },
    ]);
    expect(list.nextUpdate).toEqual(new Date('2026-11-29T08:00:00Z'));
    const file = join(path, 'revocations.crl.pem');
    expect(await readFile(file, 'utf8')).toBe(listPem);
    expect(await modeOf(file)).toBe(0o600);
    expect(await readdir(path)).toHaveLength(4);
    const again = await (await Operator.open(path, { clock })).revoke({ serials: [] });
    expect(again.list).toMatchObject({ number: 4n, revoked: list.revoked });
  });

  it('changes nothing when it fails', async () => {
    const operator = await newOperator();
    const file = join(path, 'revocations.crl.pem');
    const before = await readFile(file, 'utf8');
    await expect(operator.revoke({ serials: ['xyz'] })).rejects.toThrow(refusal('BAD_INPUT'));
    nowMs -= DAY_MS;
    await expect(operator.revoke({ serials: [newSerial()] })).rejects.toThrow(refusal('CLOCK_ABSURD'));
    expect(await readFile(file, 'utf8')).toBe(before);
    expect(await readdir(path)).toHaveLength(4);
  });

  it('never loses one of two revocations made at once', async () => {
    const operator = await newOperator();
    const serials = [newSerial(), newSerial(), newSerial()];
    const results = await Promise.allSettled(serials.map((serial) => operator.revoke({ serials: [serial] })));
    const done = serials.filter((_, index) => results[index]?.status === 'fulfilled');
    expect(done.length).toBeGreaterThan(0);
    for (const result of results) {
      if (result.status === 'rejected') expect(result.reason).toEqual(refusal('BUSY'));
    }
    expect((await operator.revocationList()).serials).toEqual(new Set(done));
  });

  it('says so while another command does it', async () => {
    const operator = await newOperator();
    await writeFile(join(path, 'revocations.lock'), '1\n');
    await expect(operator.revoke({ serials: [] })).rejects.toThrow(/delete .*revocations\.lock/u);
    await rm(join(path, 'revocations.lock'));
    expect((await operator.revoke({ serials: [] })).list.number).toBe(2n);
  });

  it('never begins again at number 1', async () => {
    const operator = await newOperator();
    await rm(join(path, 'revocations.crl.pem'));
    await expect(operator.revoke({ serials: [newSerial()] })).rejects.toThrow(refusal('DAMAGED'));
    await writeFile(join(path, 'revocations.crl.pem'), 'nonsense');
    await expect(operator.revoke({ serials: [newSerial()] })).rejects.toThrow(refusal('LIST_MALFORMED'));
    expect((await readdir(path)).toSorted()).not.toContain('revocations.lock');
  });
});
