import { beforeAll, expect, test } from 'vitest';
import { loadSite } from '../files/site.ts';
import { workplace } from '../testing/command.ts';
import { authSettings, relaySettings } from './settings.ts';

const { sekisho, path } = workplace();

beforeAll(async () => {
  await sekisho('operator', 'init', 'operator');
  await sekisho('site', 'init', 'tokyo', '--operator', 'operator', '--site', 'tokyo-1', '--address', '192.0.2.11', '192.0.2.12', '192.0.2.13');
}, 60_000);

test('auth and relays know the servers of the site by their addresses', () => {
  const site = loadSite(path('tokyo/site.yaml'));
  const [server] = site.withRole('auth');
  const addresses = ['192.0.2.11', '192.0.2.12', '192.0.2.13'];
  expect(authSettings(site, server!).serverAddresses).toEqual(addresses);
  expect(relaySettings(site, server!).destinations.ownAddresses).toEqual(addresses);
});

test('each auth remembers the revocation list in a file of its own', () => {
  const site = loadSite(path('tokyo/site.yaml'));
  const files = site.withRole('auth').map((server) => authSettings(site, server).revocations.rememberedFile);
  expect(files).toEqual([path('tokyo/state/revocations-s1.crl.pem'), path('tokyo/state/revocations-s2.crl.pem')]);
});
