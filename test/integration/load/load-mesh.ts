import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseDocument } from 'yaml';
import { Mesh, type MeshSite } from '../../kit/mesh.ts';
import { freePort } from '../../kit/ports.ts';

/** A site that runs, offices for it, and where the simulated servers are to listen. */
export interface LoadMesh {
  readonly mesh: Mesh;
  readonly site: MeshSite;
  /** Of agent.yaml files. */
  readonly devices: string;
  readonly smtpPort: number;
  readonly pop3Port: number;
}

const OFFICES = 3;

/** One manager, two relays, and a third that is drained: no office is sent there. */
export async function startLoadMesh(): Promise<LoadMesh> {
  const mesh = await Mesh.create();
  const [smtpPort, pop3Port] = [await freePort(), await freePort()];
  const site = await mesh.addSite({
    name: 'tokyo-1',
    servers: [
      { name: 'm1', address: '127.0.6.1', roles: ['manager', 'auth'] },
      { name: 'r1', address: '127.0.6.11', roles: ['relay'] },
      { name: 'r2', address: '127.0.6.12', roles: ['relay'] },
      { name: 'r9', address: '127.0.6.19', roles: ['relay'] },
    ],
    settings: { 'relay.destinations.extraPorts': [smtpPort, pop3Port] },
  });
  await site.start();
  await mesh.sekisho.mustRun('table', 'drain', 'r9', '--config', site.file);
  mesh.publish([site]);
  const devices = join(mesh.directory, 'devices');
  mkdirSync(devices);
  for (let office = 1; office <= OFFICES; office += 1) {
    const file = await mesh.enroll(`02:00:5e:10:06:0${office}`);
    const document = parseDocument(readFileSync(file, 'utf8'));
    document.setIn(['manager', 'port'], mesh.managerPort);
    document.setIn(['dns', 'servers'], [mesh.dnsServer]);
    writeFileSync(file, document.toString({ lineWidth: 0 }), { mode: 0o600 });
    renameSync(file, join(devices, `office-${office}.yaml`));
  }
  return { mesh, site, devices, smtpPort, pop3Port };
}
