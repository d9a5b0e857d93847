import { expect, test } from 'vitest';
import { dnsFindings } from './findings.ts';
import type { LookUp } from './look-up.ts';
import type { Probe, ProbeAnswer, ProbeFailure } from './probe.ts';

const NAME = 'manager.example.com';
const LOOKED_UP: LookUp = { addresses: ['192.0.2.11', '198.51.100.11'], ttlS: 60, unanswered: [] };

function answer(changes: Partial<ProbeAnswer & { address: string }> = {}): Probe {
  return {
    address: '192.0.2.11',
    tookMs: 12,
    ok: true,
    site: 'tokyo-1',
    manager: 's1',
    certificateDays: 800,
    clockOffsetMs: 3,
    software: 'sekisho-manager/0.1.0',
    config: 'aaaa',
    stack: '5555',
    relays: null,
    ...changes,
  };
}
const osaka = (changes: Partial<ProbeAnswer> = {}): Probe => answer({ address: '198.51.100.11', site: 'osaka-1', config: 'bbbb', ...changes });
const failure = (kind: ProbeFailure['kind'], reason: string): Probe => ({ address: '203.0.113.9', tookMs: 5000, ok: false, kind, reason });

const findings = (probes: readonly Probe[], lookedUp = LOOKED_UP): string[] =>
  dnsFindings(NAME, lookedUp, probes).map(({ level, about, text }) => `${level} ${about ?? '-'} ${text}`);

test('nothing is found where all is well: sites differ in their own configuration, and devices are not told digests', () => {
  expect(findings([answer(), osaka()])).toEqual([]);
  expect(findings([answer({ software: null, config: null, stack: null }), osaka({ software: null, config: null, stack: null })])).toEqual([]);
});

test.each<[string, readonly Probe[], Partial<LookUp>, RegExp]>([
  ['no answer', [], { addresses: [], ttlS: undefined, unanswered: ['A', 'AAAA'] }, /^problem - DNS gives no answer for the A and AAAA records/u],
  ['no addresses', [], { addresses: [], ttlS: undefined }, /^problem - .+ has no addresses/u],
  ['a long TTL', [answer()], { ttlS: 1201 }, /^warning - the TTL is 1201 s/u],
  ['a short TTL', [answer()], { ttlS: 29 }, /^warning - the TTL is 29 s/u],
  ['too many', [answer()], { addresses: Array.from({ length: 1025 }, () => '192.0.2.11') }, /^warning - 1025 addresses: .+ 1024/u],
  ['a dead one', [failure('silent', 'ECONNREFUSED')], {}, /^problem 203\.0\.113\.9 does not answer \(ECONNREFUSED\).+site leave/u],
  ['an impostor', [failure('impostor', 'handshake failed: X')], {}, /^problem 203\.0\.113\.9 IMPOSTOR: .+handshake failed: X/u],
  ['another protocol', [failure('refused', 'refused: VERSION')], {}, /says no \(refused: VERSION\): it speaks another version/u],
  ['an old manager', [failure('refused', 'refused: IDENTITY')], {}, /before servers were answered/u],
  ['no relay', [failure('refused', 'refused: NO_RELAY: x')], {}, /cannot serve agents now/u],
  ['a refused device', [failure('refused', 'refused: DEVICE_REVOKED: x')], {}, /does not admit this device/u],
  ['nonsense', [failure('broken', 'x')], {}, /not as a manager does \(x\)/u],
  ['a certificate that ends', [answer({ certificateDays: 29 })], {}, /^warning 192\.0\.2\.11 its certificate expires in 29 days/u],
  ['a clock ahead', [answer({ clockOffsetMs: 5001 })], {}, /^warning 192\.0\.2\.11 its clock is \+5 s/u],
  ['a clock far behind', [answer({ clockOffsetMs: -60_001 })], {}, /^problem 192\.0\.2\.11 its clock is -60 s/u],
  ['another configuration', [answer(), answer({ address: '192.0.2.12', manager: 's2', config: 'cccc' })], {}, /^problem tokyo-1 .+different configurations \(aaaa: tokyo-1\/s1; cccc: tokyo-1\/s2\)/u],
  ['twice the same manager', [answer(), answer({ address: '192.0.2.12' })], {}, /^warning tokyo-1 192\.0\.2\.11 and 192\.0\.2\.12 are the same manager s1/u],
  ['another stack', [answer(), answer({ address: '192.0.2.12', manager: 's2' }), osaka({ stack: '6666' })], {}, /^problem - the sites are not the same stack \(6666: osaka-1\/s1; 5555: tokyo-1\/s1, tokyo-1\/s2\)/u],
  ['other software', [answer(), osaka({ software: 'sekisho-manager/0.2.0' })], {}, /^warning - different software/u],
])('%s is found, and said what to do', (_, probes, lookedUp, pattern) => {
  const found = findings(probes, { ...LOOKED_UP, ...lookedUp });
  expect(found).toHaveLength(1);
  expect(found[0]).toMatch(pattern);
});

test('of many, a few are named', () => {
  const probes = Array.from({ length: 6 }, (_, index) => answer({ address: `192.0.2.${index}`, manager: `s${index}` }));
  expect(findings([...probes, osaka({ stack: '6666' })])[0]).toContain('tokyo-1/s3 and 2 more)');
});
