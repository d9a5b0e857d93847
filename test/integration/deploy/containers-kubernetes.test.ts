import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { usageProblem } from '../../../packages/cli/src/testing/usage.ts';
import { parseAllYaml, read, readYaml, root, site } from './stack-files.ts';

/** deploy/kubernetes: no cluster is here, so what one would look up is looked up. Who mounts which keys: containers-roles.test.ts. */

interface Container {
  readonly name: string;
  readonly image: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  readonly env?: readonly { readonly name: string }[];
  readonly resources: { readonly limits: { readonly memory: string } };
  readonly securityContext: Readonly<Record<string, unknown>>;
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
  readonly startupProbe?: Probe;
  readonly livenessProbe?: Probe;
  readonly readinessProbe?: Probe;
}
interface Probe {
  readonly httpGet?: { readonly path: string; readonly port: string };
  readonly tcpSocket?: { readonly port: string };
}
interface SecretSource {
  readonly name?: string;
  readonly secretName?: string;
  readonly items?: readonly { readonly key: string }[];
}
interface Volume {
  readonly name: string;
  readonly configMap?: { readonly name: string; readonly optional?: boolean };
  readonly secret?: SecretSource;
  readonly projected?: { readonly sources: readonly { readonly secret: SecretSource }[] };
}
interface PodSpec {
  readonly hostNetwork?: boolean;
  readonly dnsPolicy?: string;
  readonly nodeSelector?: Readonly<Record<string, string>>;
  readonly terminationGracePeriodSeconds?: number;
  readonly automountServiceAccountToken: boolean;
  readonly securityContext: Readonly<Record<string, unknown>>;
  readonly initContainers?: readonly Container[];
  readonly containers: readonly Container[];
  readonly volumes: readonly Volume[];
}
type Labels = Readonly<Record<string, string>>;
interface Rule {
  readonly from?: readonly { readonly ipBlock?: { readonly cidr: string }; readonly namespaceSelector?: unknown }[];
  readonly ports: readonly { readonly port: number }[];
}
interface KubernetesObject {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec: {
    readonly selector?: { readonly matchLabels?: Labels } & Labels;
    readonly template?: { readonly metadata: { readonly labels: Labels }; readonly spec: PodSpec };
    readonly serviceName?: string;
    readonly replicas?: number;
    readonly strategy?: { readonly rollingUpdate?: unknown };
    readonly volumeClaimTemplates?: readonly { readonly metadata: { readonly name: string } }[];
    readonly ports?: readonly { readonly targetPort: string }[];
    readonly podSelector?: { readonly matchLabels?: Labels };
    readonly policyTypes?: readonly string[];
    readonly ingress?: readonly Rule[];
    readonly scaleTargetRef?: { readonly kind: string; readonly name: string };
    readonly minReplicas?: number;
    readonly maxReplicas?: number;
    readonly metrics?: readonly { readonly pods: { readonly metric: { readonly name: string }; readonly target: { readonly averageValue: string } } }[];
  };
}

interface Kustomization {
  readonly namespace: string;
  readonly resources: readonly string[];
  readonly configMapGenerator: readonly { readonly name: string; readonly files: readonly string[] }[];
  readonly patches?: readonly { readonly target: { readonly kind: string; readonly name?: string }; readonly patch: string }[];
}

const BASE = 'deploy/kubernetes/base';
const SITES = ['tokyo-1', 'osaka-1'];
const overlay = (name: string): string => `deploy/kubernetes/overlays/${name}`;
const base = readYaml(`${BASE}/kustomization.yaml`) as Kustomization;
const baseObjects = base.resources.flatMap((file) => parseAllYaml(read(`${BASE}/${file}`)) as KubernetesObject[]);
const SERVERS = { managing: ['auth', 'relay', 'manager'], relaying: ['relay'] } as const;

/** Of the pods that an object makes. */
const podsOf = ({ spec }: KubernetesObject): PodSpec[] => (spec.template === undefined ? [] : [spec.template.spec]);
const allContainers = ({ initContainers = [], containers }: PodSpec): Container[] => [...initContainers, ...containers];
const isWithin = (path: string, { volumeMounts }: Container): boolean => volumeMounts.some(({ mountPath }) => path === mountPath || path.startsWith(`${mountPath}/`));

/** What must hold of the base and of what kustomize makes of each overlay. */
function checkObjects(objects: readonly KubernetesObject[], configMaps: readonly string[]): void {
  const named = (kind: string, name: string) => objects.find((one) => one.kind === kind && one.metadata.name === name);
  for (const { kind, metadata, spec } of objects) {
    const what = `${kind} ${metadata.name}`;
    const selector = spec?.selector?.matchLabels ?? (kind === 'Service' ? spec.selector : spec?.podSelector?.matchLabels);
    if (selector !== undefined)
      expect(objects.filter(({ spec: other }) => isSubset(selector, other?.template?.metadata.labels)), `${what} selects pods`).not.toEqual([]);
    if (spec?.template !== undefined) expect(isSubset(selector ?? { none: '' }, spec.template.metadata.labels), what).toBe(true);
    if (spec?.scaleTargetRef !== undefined) expect(named(spec.scaleTargetRef.kind, spec.scaleTargetRef.name), what).toBeDefined();
    if (spec?.serviceName !== undefined) expect(named('Service', spec.serviceName), what).toBeDefined();
    if (kind === 'Service') for (const { targetPort } of spec.ports ?? []) expect(objects.flatMap(podsOf).flatMap(({ containers }) => containers).flatMap(({ ports = [] }) => ports).map(({ name }) => name), what).toContain(targetPort);
  }
  for (const object of objects) for (const pod of podsOf(object)) checkPod(object, pod, configMaps);
  expect(objects.filter(({ kind }) => kind === 'PodDisruptionBudget').map(({ metadata }) => metadata.name).toSorted((a, b) => a.localeCompare(b))).toEqual([
    'sekisho-clamd',
    'sekisho-managing',
    'sekisho-relaying',
  ]);
}

const isSubset = (wanted: Labels, labels: Labels = {}): boolean => Object.entries(wanted).every(([key, value]) => labels[key] === value);

function checkPod({ metadata, spec }: KubernetesObject, pod: PodSpec, configMaps: readonly string[]): void {
  const volumes = new Set([...pod.volumes.map(({ name }) => name), ...(spec.volumeClaimTemplates ?? []).map((claim) => claim.metadata.name)]);
  expect([metadata.name, pod.automountServiceAccountToken, pod.securityContext]).toMatchObject([metadata.name, false, { runAsNonRoot: true, runAsUser: 10_001, fsGroup: 10_001, seccompProfile: { type: 'RuntimeDefault' } }]);
  for (const container of allContainers(pod)) {
    const what = `${metadata.name}/${container.name}`;
    expect(container.securityContext, what).toEqual({ allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } });
    expect(container.resources.limits.memory, what).toMatch(/^\d+[MG]i$/u);
    for (const { name } of container.volumeMounts) expect(volumes, what).toContain(name);
    for (const { name } of container.ports ?? []) expect(name.length, name).toBeLessThanOrEqual(15);
    for (const probe of [container.startupProbe, container.livenessProbe, container.readinessProbe]) {
      const port = probe?.httpGet?.port ?? probe?.tcpSocket?.port;
      if (probe !== undefined) expect(container.ports?.map(({ name }) => name), what).toContain(port);
    }
  }
  const page = read('docs/containers.md').replaceAll('\\\n', ' ');
  for (const { configMap, secret, projected } of pod.volumes) {
    if (configMap?.optional === true) expect(page).toContain(`create configmap ${configMap.name}`);
    else if (configMap !== undefined) expect(configMaps).toContain(configMap.name);
    const sources = [secret, ...(projected?.sources.map((source) => source.secret) ?? [])].filter((source) => source !== undefined);
    for (const { name, secretName = name ?? '', items = [] } of sources) {
      const made = new RegExp(`create secret generic ${secretName} (.+)`, 'u').exec(page)?.[1] ?? '';
      expect(made, `docs say how ${secretName} is made`).not.toBe('');
      for (const { key } of items) expect(made, secretName).toMatch(new RegExp(`=(?:\\S*/)?${key}(?:[ =]|$)`, 'u'));
    }
  }
}

test('base: selectors, volumes, probes and targets resolve, and every container is locked down', () => {
  checkObjects(baseObjects, [...base.configMapGenerator.map(({ name }) => name), 'sekisho-site']);
  for (const { files } of base.configMapGenerator) for (const file of files) expect(() => read(`${BASE}/${file}`)).not.toThrow();
});

describe.each(SITES)('%s', (name) => {
  const config = site(`${overlay(name)}/site.yaml`, { SEKISHO__metrics__address: '192.0.2.99' });
  const kustomization = readYaml(`${overlay(name)}/kustomization.yaml`) as Kustomization;

  test('each part runs the roles that its servers have in site.yaml, where they find what they need', () => {
    expect(config.site).toBe(name);
    expect(kustomization.namespace).toBe(`sekisho-${name}`);
    for (const part of ['managing', 'relaying'] as const) {
      const object = baseObjects.find(({ metadata }) => metadata.name === `sekisho-${part}`);
      const pod = object?.spec.template?.spec;
      const servers = config.servers.filter(({ roles }) => roles.includes('manager') === (part === 'managing'));
      expect(servers.length).toBeGreaterThanOrEqual(2);
      for (const { roles } of servers) expect(new Set<string>(roles)).toEqual(new Set<string>(SERVERS[part]));
      expect(pod?.containers.map((container) => container.name)).toEqual(SERVERS[part]);
      expect(pod).toMatchObject({ hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet', nodeSelector: { 'sekisho/part': part } });
      expect(object?.spec.strategy).toEqual({ type: 'RollingUpdate', rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } });
      expect((pod?.terminationGracePeriodSeconds ?? 0) * 1000).toBeGreaterThanOrEqual(config.relay.drainTimeout + 30_000);
      for (const container of pod?.containers ?? []) checkRole(container);
      const check = pod?.initContainers?.find((container) => container.name === 'check-config');
      expect(usageProblem(check?.args ?? [])).toBeUndefined();
      expect(check?.env).toEqual(pod?.containers[0]?.env);
    }
  });

  function checkRole(container: Container): void {
    const role = container.name as 'auth' | 'relay' | 'manager';
    expect(container.args?.[0]).toBe(role);
    expect(usageProblem(container.args ?? [])).toBeUndefined();
    const port = (wanted: string): number | undefined => container.ports?.find((one) => one.name === wanted)?.containerPort;
    expect(port(`${role}-metrics`)).toBe(config.metrics[role]);
    expect(port(role)).toBe(config.ports[role]);
    if (role === 'relay') expect(port('relay-control')).toBe(config.ports.relayControl);
    for (const probe of [container.startupProbe, container.livenessProbe, container.readinessProbe]) expect(probe?.httpGet).toMatchObject({ path: '/metrics', port: `${role}-metrics` });
    // Laid over site.yaml, it was taken: the key is one.
    expect(container.env?.map((one) => one.name)).toEqual(['SEKISHO__metrics__address']);
    expect(config.metrics.address).toBe('192.0.2.99');
    const needed = {
      relay: [config.relay.inspect?.spoolDir],
      auth: [config.store.passwordFile, config.store.caFile, config.auth.revocations.file, config.stateDir],
      manager: [config.store.passwordFile, config.store.caFile, config.stateDir],
    }[role];
    for (const path of [...needed, config.keys, container.args?.at(-1)]) expect(isWithin(path ?? '', container), `${role}: ${path}`).toBe(true);
  }

  test('store and scanners are the ones of the base', () => {
    const service = (wanted: string) => baseObjects.find(({ kind, metadata }) => kind === 'Service' && metadata.name === wanted);
    expect(config.store.url).toMatch(/^rediss:\/\/sekisho@sekisho-redis:6379$/u);
    expect(service('sekisho-redis')).toBeDefined();
    const clamd = baseObjects.find(({ kind }) => kind === 'StatefulSet');
    const pods = Array.from({ length: clamd?.spec.replicas ?? 0 }, (_, index) => `tcp:sekisho-clamd-${index}.${clamd?.spec.serviceName}:3310`);
    expect(config.relay.inspect?.clamd).toEqual(pods);
    expect(read(`${BASE}/clamd.conf`)).toContain('TCPSocket 3310\n');
  });

  test('the policies name the servers of site.yaml, and nobody where it does not say', () => {
    const addresses = config.servers.map(({ address }) => ({ ipBlock: { cidr: `${address}/32` } }));
    const patched = new Map<string, unknown>();
    for (const { target, patch } of kustomization.patches ?? [])
      if (target.kind === 'NetworkPolicy') for (const { path, value } of parseAllYaml(patch)[0] as { path: string; value: unknown }[]) patched.set(`${target.name} ${path}`, value);
    expect([...patched.keys()]).toEqual(['sekisho-(redis|clamd) /spec/ingress/0/from', 'sekisho-servers /spec/ingress/1/from']);
    for (const value of patched.values()) expect(value).toEqual(addresses);
    const policies = baseObjects.filter(({ kind }) => kind === 'NetworkPolicy');
    expect(policies.find(({ metadata }) => metadata.name === 'default-deny')?.spec).toEqual({ podSelector: {}, policyTypes: ['Ingress', 'Egress'] });
    for (const { metadata, spec } of policies) {
      for (const [index, { from, ports }] of (spec.ingress ?? []).entries()) {
        const open = ports.map(({ port }) => port);
        // An empty list would be everybody.
        if (from === undefined) expect([metadata.name, open]).toEqual(['sekisho-servers', [config.ports.manager, config.ports.relay]]);
        else if (from.some(({ ipBlock }) => ipBlock !== undefined)) {
          expect(from).toEqual([{ ipBlock: { cidr: '0.0.0.0/32' } }]);
          const key = metadata.name === 'sekisho-servers' ? metadata.name : 'sekisho-(redis|clamd)';
          expect(patched.has(`${key} /spec/ingress/${index}/from`)).toBe(true);
        } else expect(open).toEqual([config.metrics.manager, config.metrics.relay, config.metrics.auth]);
      }
    }
    expect(policies.find(({ metadata }) => metadata.name === 'sekisho-servers')?.spec.ingress?.[1]?.ports.map(({ port }) => port)).toEqual([config.ports.relayControl, config.ports.auth]);
  });

  test('the autoscaler starts no more relays than site.yaml has, by a metric that they export', () => {
    const scaler = baseObjects.find(({ kind }) => kind === 'HorizontalPodAutoscaler');
    const patch = kustomization.patches?.find(({ target }) => target.kind === 'HorizontalPodAutoscaler');
    const changed = patch === undefined ? undefined : (parseAllYaml(patch.patch)[0] as { path: string; value: number }[])[0];
    const most = changed?.path === '/spec/maxReplicas' ? changed.value : scaler?.spec.maxReplicas;
    expect(most).toBe(config.servers.filter(({ roles }) => !roles.includes('manager')).length);
    expect(scaler?.spec.minReplicas).toBeLessThanOrEqual(most ?? 0);
    const [metric] = scaler?.spec.metrics ?? [];
    expect(read('docs/metrics.md')).toContain(`| \`${metric?.pods.metric.name}\` | gauge |`);
    expect(Number(metric?.pods.target.averageValue)).toBeLessThan(config.relay.maxSessions);
  });
});

const kubectl = spawnSync('kubectl', ['version', '--client'], { encoding: 'utf8' });
test.skipIf(kubectl.status !== 0)('kubectl kustomize builds both sites (skipped where kubectl is not installed)', () => {
  for (const name of SITES) {
    const { status, stdout, stderr } = spawnSync('kubectl', ['kustomize', join(root, overlay(name))], { encoding: 'utf8' });
    expect([status, stderr]).toEqual([0, '']);
    const objects = parseAllYaml(stdout) as KubernetesObject[];
    const configMaps = objects.filter(({ kind }) => kind === 'ConfigMap').map(({ metadata }) => metadata.name);
    // With a digest of its content, so that a change rolls through the servers.
    expect(configMaps.filter((one) => /^sekisho-site-[a-z0-9]{10}$/u.test(one))).toHaveLength(1);
    checkObjects(objects.filter(({ kind }) => kind !== 'ConfigMap' && kind !== 'Namespace'), configMaps);
    for (const object of objects) if (object.kind !== 'Namespace') expect(object.metadata.namespace).toBe(`sekisho-${name}`);
    const servers = objects.filter(({ metadata }) => /^sekisho-(?:managing|relaying)$/u.test(metadata.name)).flatMap(podsOf);
    expect(servers.map(({ nodeSelector }) => nodeSelector?.['sekisho/site'])).toEqual([name, name]);
    for (const { image } of servers.flatMap(allContainers)) expect(image).toMatch(/^registry\.example\.com\/sekisho:\d+\.\d+\.\d+$/u);
  }
});
