import { REFUSALS, type Refusal } from '@sekisho/wire';
import { expect, test } from 'vitest';
import { DestinationPolicy } from './destination.ts';
import { parseAddress } from './ip-address.ts';

const at = (text: string) => parseAddress(text)!;
const policyOf = (init: Partial<ConstructorParameters<typeof DestinationPolicy>[0]> = {}) =>
  new DestinationPolicy({ extraPorts: [], allow: [], ownAddresses: [], ...init });

test.each([
  [25, 'smtp'],
  [465, 'smtps'],
  [587, 'smtp'],
  [587, 'smtps'],
  [110, 'pop3'],
  [995, 'pop3s'],
  [143, 'imap'],
  [993, 'imaps'],
  [2525, 'pop3'],
] as const)('port %i for %s', (port, protocol) => {
  expect(() => policyOf({ extraPorts: [2525] }).checkPort(port, protocol)).not.toThrow();
});

test.each([
  [22, 'smtp'],
  [80, 'smtp'],
  [0, 'smtp'],
  [7026, 'smtp'],
  [6379, 'imap'],
  [25, 'pop3'],
  [110, 'imap'],
  [993, 'smtps'],
] as const)('not port %i for %s', (port, protocol) => {
  let refusal: Refusal | undefined;
  try {
    policyOf().checkPort(port, protocol);
  } catch (error) {
    refusal = error as Refusal;
  }
  expect(refusal?.code).toBe('DESTINATION_PORT');
  expect(REFUSALS.DESTINATION_PORT.temporary).toBe(false);
});

test('only public addresses, unless listed', () => {
  expect(policyOf().refusalOf(at('8.8.8.8'))).toBeUndefined();
  expect(policyOf().refusalOf(at('127.0.0.1'))).toBe('loopback');
  const dev = policyOf({ allow: ['127.0.0.0/8', '::1', '192.168.7.0/24'] });
  expect(dev.refusalOf(at('127.9.9.9'))).toBeUndefined();
  expect(dev.refusalOf(at('::ffff:127.9.9.9'))).toBeUndefined();
  expect(dev.refusalOf(at('::1'))).toBeUndefined();
  expect(dev.refusalOf(at('192.168.7.9'))).toBeUndefined();
  expect(dev.refusalOf(at('192.168.8.9'))).toBe('private');
  // Listed is the network, not every way around it.
  expect(dev.refusalOf(at('64:ff9b::7f00:1'))).toBe('loopback');
});

test("the site's own addresses are refused, whatever they are wrapped in", () => {
  const policy = policyOf({ ownAddresses: ['198.45.1.7', '2606:4700::7'] });
  expect(policy.refusalOf(at('198.45.1.7'))).toBe('own');
  expect(policy.refusalOf(at('::ffff:198.45.1.7'))).toBe('own');
  expect(policy.refusalOf(at('64:ff9b::198.45.1.7'))).toBe('own');
  expect(policy.refusalOf(at('2606:4700::7'))).toBe('own');
  expect(policy.refusalOf(at('198.45.1.8'))).toBeUndefined();
  expect(policyOf({ ownAddresses: ['198.45.1.7'], allow: ['198.45.1.7'] }).refusalOf(at('198.45.1.7'))).toBeUndefined();
});

test('a listed network does not give its metadata service away', () => {
  expect(policyOf({ allow: ['169.254.0.0/16'] }).refusalOf(at('169.254.169.254'))).toBe('metadata');
  expect(policyOf({ allow: ['100.64.0.0/10'] }).refusalOf(at('100.100.100.200'))).toBe('metadata');
  expect(policyOf({ allow: ['169.254.169.254'] }).refusalOf(at('169.254.169.254'))).toBeUndefined();
});

test('a block that cannot be read is an error at once', () => {
  expect(() => policyOf({ allow: ['10.0.0.0/40'] })).toThrow(RangeError);
});
