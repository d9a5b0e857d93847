import { type IssuedCertificate, type IssuedSite, Operator } from '../../../auth/src/index.ts';
import { makeTempDir } from '../../../../test/kit/temp-dir.ts';
import type { Credentials } from '../endpoint.ts';

const DAY_MS = 86_400_000;
export const MANAGER_NAME = 'manager.example.com';
export const MAC = '02:00:5e:10:00:01';

/** One operator's certificates, all real: a site, another one, a device, and one that has expired. */
export interface Mesh {
  readonly caPem: string;
  readonly site: IssuedSite;
  readonly otherSite: IssuedSite;
  readonly device: IssuedCertificate;
  readonly expiredSite: IssuedSite;
  readonly expiredDevice: IssuedCertificate;
  readonly macOnlyDevice: IssuedCertificate;
  /** The device with another certificate, as after a renewal. */
  readonly renewedDevice: IssuedCertificate;
}

/** Makes a mesh with keys of its own, and leaves no file. */
export async function makeMesh(): Promise<Mesh> {
  const directory = await makeTempDir('mesh');
  try {
    return await makeIn(`${directory.path}/operator`);
  } finally {
    await directory.remove();
  }
}

async function makeIn(path: string): Promise<Mesh> {
  let ageDays = 10;
  const clock = (): number => Date.now() - ageDays * DAY_MS;
  const operator = await Operator.init(path, { name: 'Test', managerName: MANAGER_NAME, clock });
  const init = { mac: MAC, rights: ['smtp', 'pop3', 'imap'], days: 1, proof: 'certificate' } as const;
  const expiredDevice = await operator.enrollDevice(init);
  const expiredSite = await operator.issueSite({ site: 'tokyo-1', days: 1 });
  ageDays = 0;
  return {
    caPem: operator.caCertPem,
    site: await operator.issueSite({ site: 'tokyo-1', days: 1 }),
    otherSite: await operator.issueSite({ site: 'osaka-1', days: 1 }),
    device: await operator.enrollDevice(init),
    renewedDevice: await operator.enrollDevice(init),
    macOnlyDevice: await operator.enrollDevice({ ...init, proof: 'mac-only' }),
    expiredSite,
    expiredDevice,
  };
}

/** What a holder of this certificate connects or listens with. */
export function credentials(mesh: Mesh, { certPem, keyPem }: IssuedCertificate): Credentials {
  return { caPem: mesh.caPem, certPem, keyPem };
}
