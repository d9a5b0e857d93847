import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Operator } from '@sekisho/auth';
import { connectEndpoint, secureContext } from '@sekisho/channel';
import { DATA_ALPN } from '@sekisho/wire';
import { Mesh, type MeshSite } from '../../test/kit/mesh.ts';
import type { TestProcess } from '../../test/kit/process.ts';
import { Inspected, INSPECTOR_OPTION } from '../memory.ts';
import type { Destinations, Lane, SharedTls } from './lane.ts';

/** Above what any figure opens at once: no cap is what is measured here. */
const NO_CAP = 10_000;
const MAC = '02:00:5e:10:00:01';
const SERVER = { name: 's1', address: '127.0.0.1', roles: ['manager', 'auth', 'relay'] } as const;

/** A site with one relay of one worker, and one agent that is warm: manager, auth, relay and agent as they are in operation. */
export class Ours implements Lane {
  readonly name = 'ours';
  readonly mesh: Mesh;
  readonly site: MeshSite;
  readonly ports: Lane['ports'];
  readonly halves: { readonly relay: number; readonly agent: number };
  readonly tls: SharedTls;
  readonly #inspected: readonly Inspected[];

  private constructor(components: { mesh: Mesh; site: MeshSite }, init: { ports: Lane['ports']; agent: TestProcess; tls: SharedTls }) {
    this.mesh = components.mesh;
    this.site = components.site;
    this.ports = init.ports;
    const relay = this.site.process(SERVER.name, 'relay');
    this.halves = { relay: relay.pid, agent: init.agent.pid };
    this.#inspected = [relay, init.agent].map((child) => new Inspected({ rootPid: child.pid, stderr: () => child.stderr }));
    this.tls = init.tls;
  }

  static async start(destinations: Destinations): Promise<Ours> {
    const { NODE_OPTIONS: before = '' } = process.env;
    // Inherited by what is started here; it costs nothing until the signal comes.
    process.env['NODE_OPTIONS'] = `${before} ${INSPECTOR_OPTION}`;
    try {
      return await Ours.#start(destinations);
    } finally {
      process.env['NODE_OPTIONS'] = before;
    }
  }

  static async #start(destinations: Destinations): Promise<Ours> {
    const mesh = await Mesh.create();
    const site = await mesh.addSite({
      name: 'bench',
      servers: [SERVER],
      settings: {
        'relay.destinations.extraPorts': [destinations.smtp, destinations.bulk],
        'relay.maxSessions': NO_CAP,
        'relay.maxDevices': NO_CAP,
        'relay.maxSessionsPerDevice': NO_CAP,
        'relay.maxPerAddress': NO_CAP,
        'manager.maxPerAddress': NO_CAP,
      },
    });
    await site.start();
    mesh.publish([site]);
    const agent = await mesh.startAgent({
      mac: MAC,
      forward: [`127.0.0.1:${destinations.smtp}/smtp`, `127.0.0.1:${destinations.bulk}/smtp`],
      settings: { maxSessions: NO_CAP, maxPerClient: NO_CAP },
    });
    await agent.waitForEvents('lease', 1);
    const [smtp = 0, bulk = 0] = agent.ports;
    const tls = await sharedTls(mesh, site);
    return new Ours({ mesh, site }, { ports: { smtp, bulk }, agent: agent.process, tls });
  }

  /** Relay and agent: what is resident then is what they need. */
  async collectGarbage(): Promise<void> {
    await Promise.all(this.#inspected.map((inspected) => inspected.collectGarbage()));
  }

  /** A file of the site's keys. */
  keyFile(name: string): string {
    return keyFile(this.site, name);
  }

  async stop(): Promise<void> {
    await this.mesh.stop();
  }
}

/** The certificates of relay and device, and the cipher suite that two such ends agree on. */
async function sharedTls(mesh: Mesh, site: MeshSite): Promise<SharedTls> {
  const operator = await Operator.open(mesh.operator);
  const { certPem, keyPem } = await operator.enrollDevice({ mac: '02:00:5e:10:00:02', rights: ['smtp'], days: 1, proof: 'certificate' });
  const socket = await connectEndpoint({
    host: SERVER.address,
    port: site.ports.relay,
    context: secureContext({ caPem: operator.caCertPem, certPem, keyPem }),
    alpn: DATA_ALPN,
    expect: { role: 'relay' },
    timeoutMs: 5000,
  });
  const cipherSuite = socket.getCipher().standardName;
  socket.destroy();
  return { ca: operator.caCertPem, server: keyFile(site, 'relay.cert.pem') + keyFile(site, 'relay.key.pem'), client: certPem + keyPem, cipherSuite };
}

function keyFile(site: MeshSite, name: string): string {
  return readFileSync(join(dirname(site.file), 'keys', name), 'utf8');
}
