/** What is printed for a cluster holds together, and each part of it takes its options. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse, parseAllDocuments } from 'yaml';
import { parseOptions } from '../../packages/agent/src/options.ts';
import { chartFiles } from '../../packages/controller/src/install/chart.ts';
import { parsePodCommand } from '../../packages/controller/src/install/commands.ts';
import { type ManifestsLine, parseManifestsLine } from '../../packages/controller/src/install/manifests-line.ts';
import { manifestObjects, manifests } from '../../packages/controller/src/manifests.ts';
import { parseCommandLine as parseKube } from '../../packages/controller/src/options.ts';
import { parseCommandLine as parseServer } from '../../packages/server/src/options.ts';
import { render } from './render.ts';

const LINES: Readonly<Record<string, readonly string[]>> = {
  'with the embedded store': ['--store-node=cp-1'],
  'with etcd in clear': ['--etcd=10.0.0.5:2379,10.0.0.6:2379', '--server-replicas=3'],
  'with etcd by TLS, and everything that may be said': [
    ...['--etcd=10.0.0.5:2379', '--etcd-secret=cable-etcd', '--pod-cidr=10.8.0.0/16,fd00:8::/64'],
    ...['--service-cidr=10.9.0.0/16', '--join-cidr=100.65.0.0/16,fd00:9::/112', '--external-ip-cidr=192.0.2.0/28'],
    ...['--load-balancer-cidr=192.0.2.16/28', '--cluster-domain=k8s.example', '--underlay-mtu=9000'],
    ...['--load-balancer-default', '--announce-external-ips', '--announce-on=eth1,bond0', '--open-cluster'],
    '--leave-conntrack',
    ...['--announce-cidr=198.51.100.0/24,2001:db8:5::/64'],
    ...[
      '--overlay-ip-version=6',
      '--cni-version=1.1.0',
      '--max-unavailable=3',
      '--image=registry.example:5000/cable@sha256:00',
    ],
  ],
};
const NEEDED = ['--cluster=prod', '--server-address=10.0.0.1', '--api-server=https://10.0.0.1:6443'];

function lineOf(more: readonly string[]): ManifestsLine {
  return parseManifestsLine([...NEEDED, ...more], {});
}

type Container = {
  readonly name: string;
  readonly image: string;
  readonly args: readonly string[];
  readonly env?: readonly { readonly name: string }[];
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string; readonly readOnly?: true }[];
  readonly securityContext: {
    readonly privileged?: true;
    readonly capabilities?: { readonly drop: readonly string[] };
  };
  readonly livenessProbe?: Probe;
  readonly readinessProbe?: Probe;
};
type Probe = { readonly httpGet: { readonly port: number; readonly path: string } };
type PodSpec = {
  readonly initContainers?: readonly Container[];
  readonly containers: readonly Container[];
  readonly volumes: readonly { readonly name: string; readonly hostPath?: object }[];
  readonly hostNetwork: boolean;
};
type Workload = {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: { readonly template: { readonly spec: PodSpec } };
};

function podsOf(line: ManifestsLine): readonly (PodSpec & { readonly name: string })[] {
  return (manifestObjects(line) as readonly Workload[])
    .filter(({ kind }) => kind === 'Deployment' || kind === 'DaemonSet')
    .map(({ metadata, spec }) => ({ name: metadata.name, ...spec.template.spec }));
}

function containersOf({ initContainers = [], containers }: PodSpec): readonly Container[] {
  return [...initContainers, ...containers];
}

/** Of each container its arguments, as kubelet would give them on a node. */
function argumentsOf({ args }: Container): readonly string[] {
  return args.map((one) => one.replaceAll('$(NODE_NAME)', 'node-1').replaceAll('$(NODE_IP)', '192.0.2.11'));
}

/** A command line that is refused ends the process: here it fails the test. */
function parsed<T>(read: () => T): T {
  const { exit } = process;
  process.exit = (code) => assert.fail(`not understood: exit ${String(code)}`);
  try {
    return read();
  } finally {
    process.exit = exit;
  }
}

for (const [what, more] of Object.entries(LINES)) {
  test(`${what}: each container has the image, and its process takes its arguments`, () => {
    const line = lineOf(more);
    const pods = podsOf(line);
    assert.deepEqual(
      pods.map(({ name }) => name),
      ['cable-server', 'cable-controller', 'cable-agent'],
    );
    for (const one of pods.flatMap(containersOf)) {
      assert.equal(one.image, line.install?.image);
      const [word, ...rest] = argumentsOf(one);
      if (word === 'agent') parsed(() => parseOptions(rest));
      else if (word === 'server') parsed(() => parseServer(['node', 'cable', ...rest]));
      else if (word === 'kube' && one.name === 'controller') parsed(() => parseKube(rest, {}));
      else if (word === 'kube') parsed(() => parsePodCommand(rest, {}));
      else assert.fail(`container ${one.name} runs ${String(word)}`);
    }
  });

  test(`${what}: what a container names is there, and nothing is there for nobody`, () => {
    for (const pod of podsOf(lineOf(more))) {
      const volumes = pod.volumes.map(({ name }) => name).sort();
      const mounted = containersOf(pod).flatMap(({ volumeMounts = [] }) => volumeMounts.map(({ name }) => name));
      assert.deepEqual(volumes, [...new Set(mounted)].sort(), pod.name);
      assert.equal(pod.hostNetwork, true);
      for (const { name, args, env = [], volumeMounts = [] } of containersOf(pod)) {
        const wanted = args.flatMap((one) => [...one.matchAll(/\$\((\w+)\)/g)].map(([, variable]) => variable));
        const known = env.map((one) => one.name);
        assert.deepEqual(
          wanted.filter((one) => !known.includes(one ?? '')),
          [],
          name,
        );
        const paths = volumeMounts.map(({ mountPath }) => mountPath);
        assert.equal(new Set(paths).size, paths.length, name);
      }
    }
  });

  test(`${what}: the agent reads the node’s resolvers of directories of the node, and those of the pod last`, () => {
    const pod = podsOf(lineOf(more)).find(({ name }) => name === 'cable-agent');
    const agent = pod?.containers.find(({ name }) => name === 'agent');
    assert(pod !== undefined && agent !== undefined);
    const { resolvConf } = parsed(() => parseOptions(argumentsOf(agent).slice(1)));
    assert.equal(resolvConf?.at(-1), '/etc/resolv.conf');
    const places = (resolvConf ?? []).slice(0, -1).map((file) => {
      const mount = agent.volumeMounts?.find(({ mountPath }) => file === `${mountPath}/resolv.conf`);
      const volume = pod.volumes.find(({ name }) => name === mount?.name);
      return [volume?.hostPath, mount?.readOnly];
    });
    assert.deepEqual(places, [
      [{ path: '/etc', type: 'Directory' }, true],
      [{ path: '/run/systemd/resolve', type: 'DirectoryOrCreate' }, true],
    ]);
  });

  test(`${what}: only the agent is privileged`, () => {
    for (const { name, securityContext } of podsOf(lineOf(more)).flatMap(containersOf)) {
      if (name === 'agent') assert.equal(securityContext.privileged, true);
      else
        assert.deepEqual([securityContext.privileged, securityContext.capabilities?.drop], [undefined, ['ALL']], name);
    }
  });

  test(`${what}: the chart gives the same text`, () => {
    const line = lineOf(more);
    const { install } = line;
    assert(install !== undefined);
    const { store, apiServer, ...texts } = install;
    // As Helm gives them: true is no text, nor is a number of nodes.
    const given = Object.entries(texts).map(([name, value]) => [name, value === 'true' ? true : value]);
    const most = install.maxUnavailable === '3' ? { maxUnavailable: 3 } : {};
    const values = { ...Object.fromEntries(given), ...most };
    const files = chartFiles();
    const defaults = parse(files['values.yaml'] ?? '') as Readonly<Record<string, unknown>>;
    const all = {
      ...{ ...defaults, ...values, apiServer },
      storeNode: store.kind === 'embedded' ? store.node : '',
      etcd: store.kind === 'etcd' ? store : { endpoints: '', secret: '', replicas: 2 },
    };
    const root = { Values: all, Release: { Namespace: line.namespace } };
    const rendered = ['templates/rbac.yaml', 'templates/workloads.yaml'].map((name) => render(files[name] ?? '', root));
    const printed = ['rbac', 'workloads'].map((only) => manifests({ ...line, only: only as 'rbac' }));
    assert.deepEqual(
      rendered.map((text) => text.trim()),
      printed.map((text) => text.trim()),
    );
    // Helm keeps them when it uninstalls.
    const definitions = parseAllDocuments(files['templates/crds.yaml'] ?? '').map((one) => one.toJS() as object);
    const kept = manifestObjects({ namespace: line.namespace, only: 'crds' }) as readonly { metadata: object }[];
    assert.deepEqual(
      definitions,
      kept.map((one) => ({
        ...one,
        metadata: { ...one.metadata, annotations: { 'helm.sh/resource-policy': 'keep' } },
      })),
    );
    assert.doesNotMatch(files['templates/crds.yaml'] ?? '', /\{\{/);
  });
}

test('no part may make secrets, nor any but its own be read', () => {
  const roles = manifestObjects(lineOf(['--store-node=cp-1'])) as readonly {
    readonly kind: string;
    readonly rules?: readonly { readonly resources: readonly string[]; readonly verbs: readonly string[] }[];
  }[];
  const rules = roles.filter(({ kind }) => kind.endsWith('Role')).flatMap((role) => role.rules ?? []);
  const secrets = rules.filter(({ resources }) => resources.includes('secrets') || resources.includes('configmaps'));
  assert.ok(secrets.length > 0);
  for (const rule of secrets) {
    assert.deepEqual(rule.verbs, ['get', 'update']);
    assert.ok('resourceNames' in rule);
  }
});

test('the chart says which value lacks', () => {
  const files = chartFiles();
  const values = parse(files['values.yaml'] ?? '') as Readonly<Record<string, unknown>>;
  const root = (more: object): object => ({ Values: { ...values, ...more }, Release: { Namespace: 'kube-system' } });
  const template = files['templates/workloads.yaml'] ?? '';
  assert.throws(() => render(template, root({})), /cluster: name of the cluster/);
  const some = { cluster: 'prod', serverAddress: '10.0.0.1', apiServer: { host: '10.0.0.1', port: 6443 } };
  assert.throws(() => render(template, root(some)), /storeNode/);
});

test('the same arguments print the same text, without a secret in it, which is read back as it was', () => {
  const text = manifests(lineOf(['--store-node=cp-1', '--namespace=cable']));
  assert.equal(text, manifests(lineOf(['--store-node=cp-1', '--namespace=cable'])));
  const objects = parseAllDocuments(text).map((one) => one.toJS() as { readonly kind: string });
  assert.deepEqual(objects, manifestObjects(lineOf(['--store-node=cp-1', '--namespace=cable'])));
  assert.equal(objects[0]?.kind, 'Namespace');
  // What is not named is not changed when it is applied again, by kubectl and by helm.
  const kept = objects.filter(({ kind }) => kind === 'Secret' || kind === 'ConfigMap');
  assert.equal(kept.length, 3);
  for (const one of kept)
    assert.deepEqual(
      ['data', 'stringData', 'binaryData'].filter((name) => name in one),
      [],
    );
});

test('what is removed from nodes is what agents are given', () => {
  const line = parseManifestsLine(['--teardown'], {});
  const [pod] = podsOf(line);
  assert(pod !== undefined);
  const [agent] = podsOf(lineOf(['--store-node=cp-1'])).filter(({ name }) => name === 'cable-agent');
  const mounts = (spec: PodSpec | undefined, name: string): readonly string[] =>
    (spec === undefined ? [] : containersOf(spec))
      .filter((one) => one.name === name)
      .flatMap(({ volumeMounts = [] }) => volumeMounts.filter(({ readOnly }) => readOnly !== true))
      .map(({ mountPath }) => mountPath);
  assert.deepEqual(mounts(pod, 'teardown'), mounts(agent, 'agent'), 'what is only read there is nobody’s to remove');
  assert.deepEqual(mounts(pod, 'cni'), mounts(agent, 'cni'));
  const [first, second] = containersOf(pod);
  parsed(() => parseOptions(argumentsOf(first as Container).slice(1)));
  parsed(() => parsePodCommand(argumentsOf(second as Container).slice(1), {}));
});

test('all roles are printed for their removal, of whatever installation', () => {
  const names = (line: ManifestsLine) =>
    (manifestObjects(line) as readonly { kind: string; metadata: { name: string } }[]).map(
      ({ kind, metadata }) => `${kind} ${metadata.name}`,
    );
  const removed = names(parseManifestsLine(['--only=rbac', '--all-roles'], {}));
  const installed = names({ ...lineOf(['--store-node=cp-1']), only: 'rbac' });
  assert.deepEqual(removed, installed);
});

test('kubelet asks agents, servers and controllers whether they live and are ready, where they answer that', () => {
  const asked = podsOf(lineOf(['--store-node=cp-1'])).map(({ containers: [first] }) => {
    const { livenessProbe: lives, readinessProbe: ready, args = [] } = first ?? {};
    assert.equal(lives?.httpGet.port, ready?.httpGet.port);
    const listens = args.some((one) => one.startsWith('--') && one.endsWith(`:${lives?.httpGet.port}`));
    return [first?.name, lives?.httpGet.path, ready?.httpGet.path, listens];
  });
  // Who waits for the Lease, or whose API server is away, lives.
  assert.deepEqual(asked.sort(), [
    ['agent', '/livez', '/readyz', true],
    ['controller', '/livez', '/readyz', true],
    ['server', '/healthz', '/readyz', true],
  ]);
});
