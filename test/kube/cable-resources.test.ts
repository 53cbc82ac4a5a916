/** The kinds of cable.io in a real API server, and the controller as the ServiceAccount that its manifests give it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Client, createClient } from '@cable/api';
import { customKinds, manifestObjects, openCableAccess, runController } from '@cable/controller';
import { httpTransport, silentLogger } from '@cable/kit';
import { createKubeApi, type KubeApi, KubeError, type KubeKind, type KubeObject } from '@cable/kube';
import { type Custom, customsOf, guideExamples } from '../kubernetes/custom.ts';
import { startServer, until } from '../kubernetes/world.ts';
import { testedApiServer } from './namespaces.ts';

const { server, start } = testedApiServer();

type Manifest = KubeObject & { readonly apiVersion: string; readonly kind: string };

/** As `kubectl apply` makes them. */
async function make(api: KubeApi, object: Manifest): Promise<void> {
  const [version = '', group = ''] = object.apiVersion.split('/').reverse();
  const plural = `${object.kind.toLowerCase()}s`;
  const { namespace } = object.metadata;
  await api.create({ group, version, plural, isNamespaced: namespace !== undefined }, object);
}

const DEFINITIONS: KubeKind = {
  ...{ group: 'apiextensions.k8s.io', version: 'v1', plural: 'customresourcedefinitions', isNamespaced: false },
};

const HOST_POLICIES: KubeKind = {
  ...{ group: 'cable.io', version: 'v1', plural: 'hostpolicies', isNamespaced: false },
};

async function install(api: KubeApi): Promise<void> {
  await until(
    () =>
      api
        .get({ group: '', version: 'v1', plural: 'namespaces', isNamespaced: false }, { name: 'kube-system' })
        .catch(() => undefined),
    (found) => found !== undefined,
  );
  const objects = manifestObjects({ namespace: 'kube-system', only: undefined }) as readonly Manifest[];
  for (const object of objects) await make(api, object);
  const established = async (): Promise<readonly boolean[]> => {
    const { items } = await api.list<Custom>(DEFINITIONS);
    return items.map(
      ({ status }) =>
        status?.conditions?.some((one) => one['type'] === 'Established' && one['status'] === 'True') ?? false,
    );
  };
  const found = await until(established, (all) => all.every((one) => one));
  assert.equal(found.length, 9);
}

async function tokenOf(api: KubeApi): Promise<string> {
  const kind = { group: '', version: 'v1', plural: 'serviceaccounts/cable-controller/token', isNamespaced: true };
  const wanted = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 3600 } };
  const metadata = { name: 'cable-controller', namespace: 'kube-system' };
  const made = await api.create(kind, { ...wanted, metadata } as KubeObject);
  return (made as unknown as { status: { token: string } }).status.token;
}

/** A user who may edit the namespace, as the aggregated roles let him. */
async function editor(api: KubeApi, namespace: string): Promise<KubeApi> {
  for (const role of ['cable-edit', 'cable-view']) {
    await make(api, {
      ...{ apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'RoleBinding', metadata: { name: role, namespace } },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'alice' }],
    } as Manifest);
  }
  return createKubeApi({ transport: server().connect(await server().issueCertificate('alice')) });
}

async function rowOf(namespace: string, plural: string): Promise<Readonly<Record<string, unknown>>> {
  const { body } = await server()
    .connect()
    .request({
      method: 'GET',
      path: `/apis/cable.io/v1/namespaces/${namespace}/${plural}`,
      headers: {
        accept: 'application/json;as=Table;v=v1;g=meta.k8s.io',
        authorization: `Bearer ${server().adminToken}`,
      },
    });
  const { columnDefinitions, rows } = JSON.parse(body) as {
    readonly columnDefinitions: readonly { readonly name: string }[];
    readonly rows: readonly { readonly cells: readonly unknown[] }[];
  };
  return Object.fromEntries(columnDefinitions.map(({ name }, at) => [name, rows[0]?.cells[at]]));
}

const refused = (text: RegExp) => (err: unknown) =>
  err instanceof KubeError && err.status === 422 && text.test(err.message);

test('real: what the manifests define is taken, and the controller has all the rights that it needs', async (t) => {
  const { api, namespace } = await start();
  const undo: (() => unknown)[] = [];
  t.after(async () => {
    for (const one of undo.reverse()) await one();
  });
  await install(api);
  const { address } = await startServer(undo);
  const transport = httpTransport(address);
  undo.push(() => transport.close());
  const cable: Client = createClient({ transport });
  const token = await tokenOf(api);
  const own = createKubeApi({ transport: server().connect(), token: () => token });
  // The authorizer hears of new roles by a watch of its own, and says nothing when it has.
  const isAllowed = async (plural: string): Promise<boolean> =>
    await own.list({ group: 'cable.io', version: 'v1', plural, isNamespaced: true }).then(
      () => true,
      () => false,
    );
  await until(
    () => isAllowed('mirrors'),
    (one) => one,
  );
  const access = openCableAccess({ server: address, cluster: 'prod', tls: undefined });
  const stop = new AbortController();
  const running = runController(
    {
      ...{ cluster: 'prod', podCidrs: ['10.244.0.0/16'], joinCidrs: ['100.64.0.0/16'], serviceCidrs: ['10.96.0.0/16'] },
      ...{
        externalIpCidrs: [],
        loadBalancerCidrs: [],
        isDefaultLoadBalancer: false,
        announceExternalIps: false,
        clusterDomain: 'cluster.local',
        namespace: 'kube-system',
        identity: 'a',
      },
    },
    {
      ...{ kube: own, cable: access, log: silentLogger(), signal: stop.signal },
    },
  );
  undo.push(async () => {
    stop.abort();
    await running;
    access.close();
  });
  const { create, ready, change, remove, gone, refused: notReady } = customsOf({ kube: await editor(api, namespace) });
  await until(
    () => create('Vpc', 'blue', {}, namespace).catch((err: unknown) => err),
    // The authorizer hears of new roles by a watch of its own.
    (made) => !(made instanceof KubeError && made.status === 403),
  );
  await create('Subnet', 'front', { vpc: 'blue', cidrBlock: '10.0.0.0/24' }, namespace);
  const subnet = await ready('Subnet', 'front', namespace);
  assert.equal((await cable.get('network', subnet.status?.id ?? '')).project_id, `prod.${namespace}`);
  const row = await rowOf(namespace, 'subnets');
  assert.deepEqual([row['Name'], row['VPC'], row['CIDR'], row['Ready']], ['front', 'blue', '10.0.0.0/24', 'True']);
  await assert.rejects(create('Subnet', 'none', {}, namespace), refused(/spec\.cidrBlock.*Required/));
  const rules = [{ protocol: 'tcp', portRangeMin: 70000 }];
  await assert.rejects(create('SecurityGroup', 'bad', { ingressRules: rules }, namespace), refused(/portRangeMin/));
  await create(
    'SecurityGroup',
    'web',
    { ingressRules: [{ protocol: 'tcp', portRangeMin: 80, portRangeMax: 80 }] },
    namespace,
  );
  // What watches for differences (Argo CD) would see one where the API server filled items in.
  const kept = (await ready('SecurityGroup', 'web', namespace)).spec?.['ingressRules'];
  assert.deepEqual(kept, [{ protocol: 'tcp', portRangeMin: 80, portRangeMax: 80 }]);
  const theirs = { name: 'theirs', description: 'by Neutron', project_id: `prod.${namespace}` };
  const { id: theirId } = await cable.create('security_group', theirs);
  await create('SecurityGroup', 'taken', {}, namespace, { 'cable.io/adopt': theirId });
  assert.equal((await ready('SecurityGroup', 'taken', namespace)).spec?.['description'], 'by Neutron');
  await remove('SecurityGroup', 'taken', namespace);
  await gone('SecurityGroup', 'taken', namespace);
  await change('SecurityGroup', 'web', { ingressRules: [] }, namespace);
  assert.equal((await ready('SecurityGroup', 'web', namespace)).status?.['rules'], 2);
  const wide = (await rowOf(namespace, 'securitygroups'))['Rules'];
  assert.equal(wide, 2);
  const isTenants = ({ kind }: Custom): boolean =>
    customKinds().some((one) => one.kind === kind && one.isNamespaced === true);
  const examples = guideExamples().filter(isTenants);
  for (const { kind = '', metadata, spec = {} } of examples)
    await create(kind, `guide-${metadata.name}`, spec, namespace);
  for (const { kind = '', metadata } of examples) await remove(kind, `guide-${metadata.name}`, namespace);
  for (const { kind = '', metadata } of examples) await gone(kind, `guide-${metadata.name}`, namespace);
  for (const example of guideExamples().filter((one) => !isTenants(one))) {
    await api.create(HOST_POLICIES, example);
    await until(
      () => api.get<Custom>(HOST_POLICIES, { name: example.metadata.name }),
      ({ status }) =>
        status?.conditions?.some((one) => one['type'] === 'Accepted' && one['status'] === 'True') === true,
    );
    await api.delete(HOST_POLICIES, { name: example.metadata.name });
  }
  await remove('Vpc', 'blue', namespace);
  await notReady('Vpc', 'blue', 'RouterInUse', namespace);
  for (const [kind, name] of [
    ['Subnet', 'front'],
    ['SecurityGroup', 'web'],
  ] as const)
    await remove(kind, name, namespace);
  for (const [kind, name] of [
    ['Subnet', 'front'],
    ['Vpc', 'blue'],
    ['SecurityGroup', 'web'],
  ] as const)
    await gone(kind, name, namespace);
  assert.deepEqual(await cable.list('network', { name: 'front' }), []);
});

test('real: what the rules of the kinds forbid is refused, from Kubernetes 1.25 on', async (t) => {
  const minor = Number(/^v1\.(\d+)\./.exec(server().version)?.[1]);
  if (minor < 25) return t.skip(`${server().version} knows no rules`);
  const { api, namespace } = await start();
  const { create, change } = customsOf({ kube: api });
  const outside = { externalNetwork: 'outside' };
  const web = { ...outside, target: { pod: 'web' } };
  const made: readonly (readonly [kind: string, name: string, spec: object])[] = [
    ['Subnet', 'front', { cidrBlock: '10.0.0.0/24' }],
    ['Subnet', 'back', { cidrBlock: '10.0.2.0/24', vpc: 'blue' }],
    ['Port', 'database', { subnet: 'front', ipAddresses: ['10.0.0.7'], macAddress: '02:00:00:00:00:01' }],
    ['FloatingIP', 'www', { ...web, fixedIP: '10.0.0.9' }],
    ['Vpc', 'blue', { policyRoutes: [{ priority: 1, action: 'reroute', nextHop: '10.0.0.1' }] }],
  ];
  for (const [kind, name, spec] of made) await create(kind, name, spec, namespace);
  const both = { remoteAddress: '10.0.0.0/8', remoteSecurityGroup: 'web' };
  const router = '11111111-2222-3333-4444-555555555555';
  const bad: readonly (readonly [kind: string, spec: object, says: RegExp])[] = [
    ['SecurityGroup', { ingressRules: [both] }, /not both/],
    ['SecurityGroup', { egressRules: [both] }, /not both/],
    ['FloatingIP', { ...outside, fixedIP: '10.0.0.9' }, /fixedIP goes with target/],
    ['FloatingIP', { ...outside, target: { pod: 'web', port: 'database' } }, /give one of pod, port and portID/],
    ['FloatingIP', { ...outside, target: {} }, /give one of pod, port and portID/],
    ['Mirror', { source: { pod: 'a' }, target: {} }, /give one of pod, port and portID/],
    ['Vpc', { policyRoutes: [{ priority: 1, action: 'reroute' }] }, /reroute has a nextHop/],
    ['Vpc', { policyRoutes: [{ priority: 1, action: 'drop', nextHop: '10.0.0.1' }] }, /reroute has a nextHop/],
    ['Vpc', { peerings: [{ name: 'red' }] }, /give one of vpc and routerID/],
    ['Vpc', { peerings: [{ name: 'red', vpc: { name: 'red' }, routerID: router }] }, /give one of vpc and routerID/],
  ];
  for (const [kind, spec, says] of bad)
    await assert.rejects(create(kind, 'bad', spec, namespace), refused(says), JSON.stringify(spec));
  const changes: readonly (readonly [kind: string, name: string, spec: object, says: RegExp])[] = [
    ['Subnet', 'front', { cidrBlock: '10.0.1.0/24' }, /cidrBlock cannot be changed/],
    ['Subnet', 'back', { vpc: 'red' }, /vpc cannot be changed/],
    ['Subnet', 'back', { vpc: null }, /vpc cannot be changed/],
    ['Port', 'database', { ipAddresses: ['10.0.0.8'] }, /ipAddresses cannot be changed/],
    ['Port', 'database', { ipAddresses: null }, /ipAddresses cannot be changed/],
    ['Port', 'database', { macAddress: '02:00:00:00:00:02' }, /macAddress cannot be changed/],
    ['Port', 'database', { subnet: 'back' }, /subnet cannot be changed/],
    ['FloatingIP', 'www', { externalNetwork: 'elsewhere' }, /externalNetwork cannot be changed/],
  ];
  for (const [kind, name, spec, says] of changes)
    await assert.rejects(change(kind, name, spec, namespace), refused(says), JSON.stringify(spec));
  await change('Subnet', 'front', { description: 'may be changed' }, namespace);
  // What was absent is filled in when something is taken over.
  await change('Subnet', 'front', { vpc: 'blue' }, namespace);
});
