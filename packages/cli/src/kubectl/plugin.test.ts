/** `kubectl cable` finds ports of pods, and gives `cable` what it would be given by hand. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CliError } from '../errors.ts';
import { runPlugin } from './plugin.ts';

type Ran = {
  readonly status: number;
  readonly out: string;
  readonly err: string;
  readonly cable: readonly string[][];
  readonly kubectl: readonly string[][];
};

const POD_UIDS: Readonly<Record<string, string>> = {
  'shop/web-1': 'u-1',
  'shop/web-2': 'u-2',
  'other/web-1': 'u-3',
  'shop/agent': 'u-4',
  'shop/static': 'u-5',
  'shop/new': 'u-6',
};
const PORTS: Readonly<Record<string, string>> = {
  'u-1:eth0': 'p-1',
  'u-2:eth0': 'p-2',
  'u-3:eth0': 'p-3',
  'mirrored:eth0': 'p-5',
  'u-2:vpc0': 'p-2v',
  'u-2:data': 'p-2d',
  'u-2:net2': 'p-2n',
};

function podNamed(namespace: string, name: string): object {
  const uid = POD_UIDS[`${namespace}/${name}`];
  if (uid === undefined) throw new CliError(1, `pods "${name}" not found`);
  return {
    metadata: {
      name,
      namespace,
      uid,
      ...(name === 'static'
        ? { annotations: { 'kubernetes.io/config.mirror': 'x', 'kubernetes.io/config.hash': 'mirrored' } }
        : {}),
      ...(name === 'web-2' ? { annotations: { 'k8s.v1.cni.cncf.io/networks': 'store@data, shop/other' } } : {}),
    },
    spec: { ...(name === 'agent' ? { hostNetwork: true } : {}), ...(name === 'new' ? {} : { nodeName: 'node-1' }) },
  };
}

async function run(...argv: readonly string[]): Promise<Ran> {
  const [cable, kubectl]: [string[][], string[][]] = [[], []];
  let [out, err] = ['', ''];
  const status = await runPlugin(argv, {
    kubectl: async (args) => {
      kubectl.push([...args]);
      if (args.includes('config')) return 'shop';
      const namespace = args.find((word) => word.startsWith('--namespace='))?.slice(12) ?? '';
      const at = args.indexOf('pod');
      if (at >= 0) return JSON.stringify(podNamed(namespace, args[at + 1] ?? ''));
      const isAll = args.includes('--all-namespaces');
      const names = Object.keys(POD_UIDS).filter((name) => isAll || name.startsWith(`${namespace}/`));
      return JSON.stringify({ items: names.map((name) => podNamed(...(name.split('/') as [string, string]))) });
    },
    cable: async (_line, words) => {
      cable.push([...words]);
      return 0;
    },
    ask: async (_line, words) => {
      cable.push([...words]);
      const devices = words.flatMap((word, at) => (words[at - 1] === '--device-id' ? [word] : []));
      const found = devices.flatMap((device) =>
        PORTS[device] === undefined
          ? []
          : [{ id: PORTS[device], device_id: device, status: 'ACTIVE', fixed_ips: [{ ip_address: '10.244.0.5' }] }],
      );
      return JSON.stringify(found);
    },
    print: (text) => {
      out += text;
    },
    printError: (text) => {
      err += text;
    },
  });
  return { status, out, err, cable, kubectl };
}

const last = ({ cable }: Ran): string => (cable.at(-1) ?? []).join(' ');

test('names of pods become ports where a command takes some, and nowhere else', async () => {
  assert.equal(
    last(await run('why', 'web-1', 'other/web-1', '--proto', 'tcp', '--dport', '80')),
    'why p-1 p-3 --proto tcp --dport 80',
  );
  assert.equal(
    last(await run('flows', '--protocol', 'tcp', '--state', 'established', 'pod/web-2', '--all')),
    'flows --protocol tcp --state established p-2 --all',
  );
  assert.equal(
    last(await run('trace', '--from', 'web-1', '--to=web-2', '--proto', 'icmp')),
    'trace --from p-1 --to=p-2 --proto icmp',
  );
  assert.equal(last(await run('trace', '--from=web-1', '--to', '10.96.0.1')), 'trace --from=p-1 --to 10.96.0.1');
  assert.equal(last(await run('trace', '--from=web-1', '--to', 'fd00::1')), 'trace --from=p-1 --to fd00::1');
  assert.equal(
    last(await run('capture', 'static', '--filter', 'tcp and port 80', '--out', 'web-1')),
    'capture p-5 --filter tcp and port 80 --out web-1',
  );
  const id = 'a2d9b0a4-5a59-4f9a-8a57-0f1e3b6f9a01';
  assert.equal(last(await run('drops', id, '--watch')), `drops ${id} --watch`);
});

test('a pod’s other interfaces are named behind a colon', async () => {
  assert.equal(last(await run('why', 'web-2:vpc0', 'other/web-1')), 'why p-2v p-3');
  assert.equal(last(await run('trace', '--from=pod/web-2:data', '--to', 'fd00::1')), 'trace --from=p-2d --to fd00::1');
  assert.equal(last(await run('flows', 'shop/web-2:net2', '-n', 'other')), 'flows p-2n');
  const { status, err } = await run('flows', 'web-1:net7');
  assert.equal(status, 1);
  assert.match(
    err,
    /pod shop\/web-1 has no port at net7 that you may see\n {2}kubectl cable ports web-1 -n shop shows/,
  );
});

test('drops are those of the named pods, or of the namespace’s, or of all', async () => {
  assert.equal(last(await run('drops', 'web-1', 'web-2', '--watch')), 'drops p-1 p-2 --watch');
  assert.equal(last(await run('drops', '--watch')), 'drops p-1 p-2 p-2v p-2d p-2n p-5 --watch');
  assert.equal(last(await run('drops', '-n=other', '--json')), 'drops p-3 --json');
  assert.equal(last(await run('drops', '-A')), 'drops p-1 p-2 p-2v p-2d p-2n p-3 p-5');
  const { out, cable } = await run('drops', '-nempty');
  assert.match(out, /no pods in namespace empty/);
  assert.deepEqual(cable, []);
});

test('kubectl is asked about the cluster and namespace that are said, in front or behind', async () => {
  const { kubectl } = await run('-n', 'other', 'why', 'web-1', '--context=prod', '--kubeconfig', '/k');
  assert.deepEqual(kubectl, [
    ['--context=prod', '--kubeconfig=/k', 'get', 'pod', 'web-1', '--namespace=other', '--output=json'],
  ]);
  const byContext = await run('why', 'web-1');
  assert.deepEqual(byContext.kubectl[0], ['config', 'view', '--minify', '--output=jsonpath={..namespace}']);
});

test('who asks at which server is said to each request', async () => {
  const { cable } = await run('why', 'web-1', '--server', 'https://cable.example:9697', '--cert=/c', '--key', '/k');
  assert.deepEqual(cable[0], [
    '--server',
    'https://cable.example:9697',
    '--cert=/c',
    '--key',
    '/k',
    '--json',
    'port',
    'list',
    '--device-id',
    'u-1:eth0',
  ]);
  const { kubectl } = await run('why', 'web-1', '--token=t', '--as-group', 'g');
  assert.deepEqual(kubectl[0]?.slice(0, 2), ['--token=t', '--as-group=g']);
});

test('pods are listed with their ports', async () => {
  const { out } = await run('ports', '--json');
  const rows = JSON.parse(out) as readonly Readonly<Record<'pod' | 'interface' | 'port' | 'node', string>>[];
  assert.deepEqual(
    rows.map((row) => [row.pod, row.interface, row.port, row.node]),
    [
      ['web-1', 'eth0', 'p-1', 'node-1'],
      ['web-2', 'eth0', 'p-2', 'node-1'],
      ['web-2', 'vpc0', 'p-2v', 'node-1'],
      ['web-2', 'data', 'p-2d', 'node-1'],
      ['web-2', 'net2', 'p-2n', 'node-1'],
      ['agent', '', '(network of the node)', 'node-1'],
      ['static', 'eth0', 'p-5', 'node-1'],
      ['new', '', '', ''],
    ],
  );
  const all = await run('ports', '--all-namespaces');
  assert.match(all.out, /namespace/);
  assert.match(all.out, /other.*web-1.*p-3/);
  const one = await run('ports', 'web-2');
  assert.match(one.out, /web-2.*p-2.*10\.244\.0\.5/);
  assert.doesNotMatch(one.out, /web-1/);
  assert.match((await run('ports', '-n', 'empty')).out, /no pods in namespace empty/);
});

test('what cannot be is said', async () => {
  for (const [argv, status, text] of [
    [['flows', 'agent'], 1, /network of its node/],
    [['flows', 'new'], 1, /no port that you may see[\s\S]*on no node yet/],
    [['flows', 'gone'], 1, /pods "gone" not found/],
    [['delete', 'web-1'], 2, /no kubectl cable delete[\s\S]*capture, drops, flows, ports, trace, why/],
    [['why', 'web-1', '-n'], 2, /-n needs a value/],
    [['ports', '--al'], 2, /knows no option --al/],
    [['why', 'web-1', '-A'], 2, /--all-namespaces is for drops and ports/],
    [['drops', '-A', '-n', 'shop'], 2, /either --namespace or --all-namespaces/],
  ] as const) {
    const ran = await run(...argv);
    assert.equal(ran.status, status, argv.join(' '));
    assert.match(ran.err, text);
  }
  assert.match((await run()).out, /^Usage: kubectl cable/);
});
