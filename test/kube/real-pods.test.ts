/** Pods that kubelet runs on two nodes whose network is what one file of Cable's brings: what a user of Kubernetes sees with kubectl, and one network with OpenStack's. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { lackingMachine } from '../kubernetes/real-machine.ts';
import { undoing } from '../kubernetes/world.ts';
import { IMAGE } from './images.ts';
import { checkOneNetwork } from './one-network.ts';
import { lacking, RealCluster } from './real-cluster.ts';

const { CABLE_KUBE_BIN: PROGRAMS = '' } = process.env;
const NODE_PORT = 30_080;

/** Answers who it is, and who asks. */
const SERVE = [
  'printf "#!/bin/sh\\necho\\necho $(hostname) \\$REMOTE_ADDR\\n" > /www/cgi-bin/who',
  'chmod 755 /www/cgi-bin/who',
  'echo served by $(hostname)',
  'exec httpd -f -p 8080 -h /www',
].join('; ');
const SLEEP = 'exec sleep 100000';

/** A machine that does other things has little time for them. */
const PROBES = {
  ports: [{ name: 'http', containerPort: 8080 }],
  startupProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1, failureThreshold: 120, timeoutSeconds: 10 },
  readinessProbe: { httpGet: { path: '/cgi-bin/who', port: 'http' }, periodSeconds: 2, timeoutSeconds: 10 },
  livenessProbe: { exec: { command: ['/bin/true'] }, timeoutSeconds: 30 },
};

function podOf(labels: Readonly<Record<string, string>>, script: string, more: object = {}): object {
  const container = { name: 'main', image: IMAGE, imagePullPolicy: 'Never', command: ['/bin/sh', '-c', script] };
  const resources = { requests: { cpu: '50m' } };
  const containers = [{ ...container, resources, ...(script === SERVE ? PROBES : {}) }];
  return { metadata: { labels }, spec: { terminationGracePeriodSeconds: 0, containers, ...more } };
}

function workload(kind: string, [namespace, name]: readonly [string, string], more: object = {}): object {
  const spec = { selector: { matchLabels: { app: name } }, template: podOf({ app: name }, SERVE), ...more };
  return { apiVersion: 'apps/v1', kind, metadata: { name, namespace }, spec };
}

function service(name: string, spec: object): object {
  return { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace: 'shop' }, spec };
}

function sleeper(name: string, nodeName: string): object {
  const { spec } = podOf({}, SLEEP, { nodeName }) as { readonly spec: object };
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'shop', labels: { role: name } }, spec };
}

function namespace(name: string): object {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
}

/** A network of the namespace's own, where its pods are. */
function vpc(of: string): readonly object[] {
  const custom = (kind: string, spec: object): object => ({
    ...{ apiVersion: 'cable.io/v1', kind, metadata: { name: 'own', namespace: of }, spec },
  });
  return [custom('Vpc', {}), custom('Subnet', { vpc: 'own', cidrBlock: '10.50.0.0/24', default: true })];
}

function lackingForMachine(): string | undefined {
  const absent = ['qemu-system-x86_64', 'socat'].filter((one) => !existsSync(`/usr/bin/${one}`));
  return absent.length > 0 ? `there is no ${absent.join(', no ')}: npm run setup` : lackingMachine();
}

test('real: one file makes nodes ready, for pods of kubelets', {
  timeout: 450_000,
  skip: lacking(PROGRAMS) ?? false,
}, async (t) => {
  const undo = undoing(t);
  const cluster = await RealCluster.create({ programs: PROGRAMS, label: 'real', hosts: ['machine'] });
  undo.push(() => cluster.remove());
  await cluster.start();
  await t.test('pods, Services, names, policies, VPCs and kept addresses, as a user sees them', () =>
    checkPods(cluster, undo),
  );
  await t.test(
    'a VM, pods and a physical machine are one network',
    { skip: lackingForMachine() ?? false },
    async () => {
      const [machine] = cluster.hosts;
      assert.ok(machine !== undefined);
      await checkOneNetwork(cluster, machine, undo);
    },
  );
});

async function checkPods(cluster: RealCluster, undo: (() => unknown)[]): Promise<void> {
  const kubectl = (...args: readonly string[]): Promise<string> => cluster.kubectl(['-n', 'shop', ...args]);
  const fetched = (from: string, url: string): Promise<string> =>
    cluster.kubectl([...from.split(' '), '--', 'curl', '-skf', '-m', '20', url]).then(
      (said) => said.trim(),
      (err: unknown) => `failed: ${err}`,
    );
  const inShop = (pod: string): string => `-n shop exec ${pod}`;
  const outside = (url: string): string => {
    const args = [`--net=/run/netns/${cluster.outside}`, 'curl', '-s', '-m', '20', url];
    return execFileSync('nsenter', args, { encoding: 'utf8' });
  };
  const [n1 = '', n2 = ''] = cluster.nodes.map(({ name }) => name);

  await cluster.apply(
    ...[namespace('shop'), namespace('blue'), namespace('red'), ...vpc('blue'), ...vpc('red')],
    ...[sleeper('friend', n1), sleeper('stranger', n2), workload('DaemonSet', ['shop', 'web'])],
    service('web', {
      ...{ type: 'NodePort', ipFamilyPolicy: 'RequireDualStack', selector: { app: 'web' } },
      ports: [{ port: 80, targetPort: 'http', nodePort: NODE_PORT }],
    }),
    service('lb', {
      ...{ type: 'LoadBalancer', loadBalancerClass: 'cable.io/load-balancer', selector: { app: 'web' } },
      ports: [{ port: 80, targetPort: 'http' }],
    }),
    workload('StatefulSet', ['shop', 'db'], { serviceName: 'db', replicas: 1 }),
    service('db', { clusterIP: 'None', selector: { app: 'db' } }),
    ...[workload('DaemonSet', ['blue', 'web']), workload('DaemonSet', ['red', 'web'])],
  );
  for (const place of ['shop', 'blue', 'red'])
    await cluster.kubectl(['-n', place, 'rollout', 'status', 'daemonset/web', '--timeout=300s']);
  await kubectl('rollout', 'status', 'statefulset/db', '--timeout=300s');
  await kubectl('wait', '--for=condition=Ready', 'pod', 'friend', 'stranger', '--timeout=300s');

  // Names, and Services from a pod, by both versions of IP; the endpoint sees the pod.
  const addresses = await kubectl('get', 'pod', 'friend', '-o', 'jsonpath={.status.podIPs[*].ip}');
  const [said = '', asked = ''] = (await fetched(inShop('friend'), 'http://web/cgi-bin/who')).split(' ');
  assert.match(said, /^web-/);
  assert.ok(addresses.split(' ').includes(asked.replace(/^\[?(::ffff:)?|\]$/g, '')), `${asked}, not ${addresses}`);
  assert.match(await fetched(inShop('stranger'), 'http://db-0.db.shop.svc.cluster.local:8080/cgi-bin/who'), /^db-0 /);
  assert.match(await fetched(inShop('friend'), 'https://kubernetes.default/version'), /gitVersion/);

  // From outside.
  for (const to of ['192.0.2.1', '192.0.2.2', '[2001:db8::1]'])
    assert.match(outside(`http://${to}:${NODE_PORT}/cgi-bin/who`), /^web-/);
  const given = await cluster.until(
    ['-n', 'shop', 'get', 'service', 'lb', '-o', 'jsonpath={.status.loadBalancer.ingress[0].ip}'],
    (text) => /^\d/.test(text),
  );
  assert.match(outside(`http://${given}/cgi-bin/who`), /^web-/);

  assert.match(await kubectl('logs', 'statefulset/db'), /served by db-0/);
  const forwarding = cluster.background(['-n', 'shop', 'port-forward', 'db-0', '18080:8080']);
  undo.push(() => void forwarding.kill('SIGKILL'));
  await cluster.until(['version'], () => {
    try {
      return outside('http://127.0.0.1:18080/cgi-bin/who').startsWith('db-0');
    } catch {
      return false;
    }
  });

  // Two VPCs with the same addresses: each reaches its own, and what is of the cluster.
  for (const place of ['blue', 'red']) {
    const own = await cluster.kubectl([
      ...['-n', place, 'get', 'pods', '-o'],
      'jsonpath={range .items[*]}{.metadata.name} {.metadata.annotations.cable\\.io/vpc-address}{"\\n"}{end}',
    ]);
    const [[first = ''] = [], [second = '', address = ''] = []] = own.split('\n').map((line) => line.split(' '));
    const from = `-n ${place} exec ${first}`;
    assert.match(
      await fetched(from, `http://${address}:8080/cgi-bin/who`),
      new RegExp(`^${second} \\[?(::ffff:)?10\\.50\\.0\\.`),
    );
    assert.match(await fetched(from, 'http://web.shop/cgi-bin/who'), /^web-/);
  }

  // A policy lets in who has the label, and keeps out whom it does not mean; probes pass.
  await cluster.apply({
    ...{ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name: 'web', namespace: 'shop' } },
    spec: {
      podSelector: { matchLabels: { app: 'web' } },
      ingress: [{ from: [{ podSelector: { matchLabels: { role: 'friend' } } }], ports: [{ port: 'http' }] }],
    },
  });
  const trial = 'curl -sf -m 3 http://web/cgi-bin/who; echo ended with $?';
  await cluster.until(['-n', 'shop', 'exec', 'stranger', '--', 'sh', '-c', trial], (text) =>
    /^ended with 28$/m.test(text),
  );
  assert.match(await fetched(inShop('friend'), 'http://web/cgi-bin/who'), /^web-/);

  // The agents are replaced by kubelet; what is there goes on, and what comes after is plugged.
  await cluster.kubectl(['-n', 'kube-system', 'rollout', 'restart', 'daemonset/cable-agent']);
  await cluster.kubectl(['-n', 'kube-system', 'rollout', 'status', 'daemonset/cable-agent', '--timeout=600s']);
  assert.match(await fetched(inShop('friend'), 'http://web/cgi-bin/who'), /^web-/);

  // The next pod of the name has the address of the one before.
  const addressOf = ['get', 'pod', 'db-0', '-o', 'jsonpath={.metadata.uid} {.status.podIPs[*].ip}'];
  const [uid = '', ...before] = (await kubectl(...addressOf)).split(' ');
  await kubectl('delete', 'pod', 'db-0');
  await cluster.until(['-n', 'shop', ...addressOf], (text) => {
    const [nextUid, ...next] = text.split(' ');
    return nextUid !== uid && next.join() === before.join();
  });

  // What kubelet has ended leaves no port.
  await cluster.kubectl(['delete', 'namespace', 'shop', 'blue', 'red', '--timeout=300s']);
  const list = ['cable', '--json', 'port', 'list', '--device-owner', 'kubernetes:pod'];
  await cluster.until(
    ['-n', 'kube-system', 'exec', 'deploy/cable-server', '-c', 'server', '--', ...list],
    (text) => text.trim() === '[]',
  );
}
