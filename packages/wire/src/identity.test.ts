import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IdentityError } from './identity-error.ts';
import { formatIdentity, type Identity, parseIdentity, parseRights, parseSiteName, SERVER_ROLES } from './identity.ts';
import { formatMac } from './mac.ts';

const device = 'sekisho://device/02-00-5e-10-00-01';

const anyIdentity: fc.Arbitrary<Identity> = fc.oneof(
  fc.record({
    kind: fc.constant('device' as const),
    mac: fc.uint8Array({ minLength: 6, maxLength: 6 }).map((bytes) => formatMac(bytes.with(0, (bytes[0]! & 0xfe) | 2))),
    rights: fc.subarray(['smtp', 'pop3', 'imap'] as const, { minLength: 1 }),
  }),
  fc.record({
    kind: fc.constant('server' as const),
    site: fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/u),
    role: fc.constantFrom(...SERVER_ROLES),
  }),
);

describe('identity', () => {
  it('reads a device', () => {
    const identity: Identity = { kind: 'device', mac: '02:00:5e:10:00:01', rights: ['smtp', 'pop3', 'imap'] };
    expect(parseIdentity(`${device}?rights=smtp,pop3,imap`)).toEqual(identity);
    expect(formatIdentity({ ...identity, mac: '0200.5E10.0001', rights: ['imap', 'smtp', 'pop3', 'smtp'] })).toBe(
      `${device}?rights=smtp,pop3,imap`,
    );
  });

  it.each(SERVER_ROLES)('reads a %s of a site', (role) => {
    expect(parseIdentity(`sekisho://site/tokyo-1/${role}`)).toEqual({ kind: 'server', site: 'tokyo-1', role });
  });

  it.each([
    [device, 'BAD_URI'],
    [`${device}?rights=`, 'BAD_URI'],
    [`${device}?rights=imap,smtp`, 'BAD_URI'],
    [`${device}?rights=smtp,smtp`, 'BAD_URI'],
    [`${device}?rights=smtp,`, 'BAD_RIGHTS'],
    [`${device}?rights=ftp`, 'BAD_RIGHTS'],
    [`${device}?rights=constructor`, 'BAD_RIGHTS'],
    [`${device}?rights=smtp&x=1`, 'BAD_URI'],
    [`${device}/?rights=smtp`, 'BAD_URI'],
    [`${device}?rights=smtp#`, 'BAD_URI'],
    [`${device}?rights=smtp\n`, 'BAD_URI'],
    [`${device}?rights=smtp%2Cpop3`, 'BAD_URI'],
    ['sekisho://device/02:00:5e:10:00:01?rights=smtp', 'BAD_URI'],
    ['sekisho://device/02-00-5E-10-00-01?rights=smtp', 'BAD_URI'],
    ['sekisho://device/01-00-5e-10-00-01?rights=smtp', 'BAD_MAC'],
    ['sekisho://device/ff-ff-ff-ff-ff-ff?rights=smtp', 'BAD_MAC'],
    ['SEKISHO://site/tokyo-1/relay', 'BAD_URI'],
    ['sekisho://site/Tokyo/relay', 'BAD_URI'],
    ['sekisho://site/-tokyo/relay', 'BAD_SITE'],
    ['sekisho://site/tokyo-/relay', 'BAD_SITE'],
    [`sekisho://site/${'a'.repeat(64)}/relay`, 'BAD_SITE'],
    ['sekisho://site//relay', 'BAD_URI'],
    ['sekisho://site/tokyo/agent', 'BAD_ROLE'],
    ['sekisho://site/tokyo/relay/', 'BAD_URI'],
    ['sekisho://user@site/tokyo/relay', 'BAD_URI'],
    [` sekisho://site/tokyo/relay`, 'BAD_URI'],
    [`sekisho://site/${'a'.repeat(1_000_000)}/relay`, 'BAD_URI'],
    ['', 'BAD_URI'],
  ])('refuses %.60j with %s', (uri, code) => {
    expect(() => parseIdentity(uri)).toThrow(expect.objectContaining({ name: 'IdentityError', code }));
  });

  it('throws nothing but IdentityError, and what it accepts is written back the same', () => {
    const nearly = fc
      .tuple(anyIdentity.map(formatIdentity), fc.nat(90), fc.string({ maxLength: 2 }))
      .map(([uri, at, noise]) => uri.slice(0, at) + noise + uri.slice(at + 1));
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary', maxLength: 200 }), nearly), (uri) => {
        try {
          expect(formatIdentity(parseIdentity(uri))).toBe(uri);
        } catch (error) {
          if (!(error instanceof IdentityError)) throw error;
        }
      }),
      { numRuns: 500 },
    );
  });

  it('round-trips', () => {
    fc.assert(
      fc.property(anyIdentity, (identity) => {
        expect(parseIdentity(formatIdentity(identity))).toEqual(identity);
      }),
    );
  });

  it('writes no identity that it would not read', () => {
    expect(() => formatIdentity({ kind: 'server', site: 'a/relay', role: 'auth' })).toThrow(IdentityError);
    expect(() => formatIdentity({ kind: 'server', site: 'a', role: 'root' as 'auth' })).toThrow(IdentityError);
    expect(() => formatIdentity({ kind: 'device', mac: '02:00:5e:10:00:01', rights: [] })).toThrow(IdentityError);
  });

  it('knows site names and rights by themselves', () => {
    expect(parseSiteName('a')).toBe('a');
    expect(() => parseSiteName('a.b')).toThrow(expect.objectContaining({ code: 'BAD_SITE' }));
    expect(() => parseSiteName('a\n')).toThrow(IdentityError);
    expect(parseRights(['pop3', 'smtp'])).toEqual(['smtp', 'pop3']);
    expect(() => parseRights(['toString'])).toThrow(expect.objectContaining({ code: 'BAD_RIGHTS' }));
  });
});
