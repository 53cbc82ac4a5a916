/** Authorities are made once, certificates when they are needed; by no more rights than the manifests give. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { httpTransport, silentLogger } from '@cable/kit';
import { createKubeApi, getIfThere, type KubeApi, type KubeKind, type KubeObject } from '@cable/kube';
import { startFakeApiServer } from '@cable/kube/testing';
import { certificatesIn, identityOf, isKeyOf, isSignedBy, pkiPaths, placesOf, readAuthority } from '@cable/pki';
import { installRoles } from '../manifests.ts';
import { AuthoritiesKeeper } from './authorities.ts';
import { CONFIG_MAPS, SECRETS, SERVER } from './names.ts';

const DAY_MS = 86_400_000;
const namespace = 'kube-system';
type Rule = {
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
};
type Data = KubeObject & { readonly data: Readonly<Record<string, string>> };

/** The API as the role of the server allows it. */
function allowed(api: KubeApi): KubeApi {
  const role = (
    installRoles(namespace) as readonly { kind: string; metadata: { name: string }; rules: readonly Rule[] }[]
  ).find(({ kind, metadata }) => kind === 'Role' && metadata.name === SERVER);
  const check = (verb: string, { plural }: KubeKind, name: string): void => {
    const rules = role?.rules ?? [];
    const fits = rules.some(
      ({ resources, verbs, resourceNames }) =>
        resources.includes(plural) &&
        verbs.includes(verb) &&
        (resourceNames === undefined || resourceNames.includes(name)),
    );
    assert.ok(fits, `${verb} ${plural} ${name} is forbidden`);
  };
  return {
    ...api,
    get: (kind, name) => {
      check('get', kind, name.name);
      return api.get(kind, name);
    },
    create: ({ plural }) => assert.fail(`create ${plural} is a right to create any`),
    update: (kind, object) => {
      check('update', kind, object.metadata.name);
      return api.update(kind, object);
    },
    delete: () => assert.fail('nothing is deleted'),
  };
}

type Manifest = KubeObject & { readonly kind: string };

/** What kubectl does with what is printed: it makes what is not there, and changes nothing that is not named. */
async function apply(api: KubeApi): Promise<void> {
  for (const object of installRoles(namespace) as readonly Manifest[]) {
    const kind = [SECRETS, CONFIG_MAPS].find(({ plural }) => plural === `${object.kind.toLowerCase()}s`);
    if (kind === undefined) continue;
    if ((await getIfThere(api, kind, object.metadata)) === undefined) await api.create(kind, object);
    else await api.patch(kind, object.metadata, object);
  }
}

async function bed(t: TestContext): Promise<{
  readonly api: KubeApi;
  readonly asked: readonly string[];
  keeper(
    name: string,
    now?: () => number,
    places?: readonly string[],
  ): { readonly keeper: AuthoritiesKeeper; readonly directory: string };
}> {
  const fake = await startFakeApiServer([
    { ...SECRETS, kind: 'Secret' },
    { ...CONFIG_MAPS, kind: 'ConfigMap' },
  ]);
  t.after(() => fake.close());
  const transport = httpTransport(fake.url);
  t.after(() => transport.close());
  const base = mkdtempSync(join(tmpdir(), 'cable-authorities-'));
  t.after(() => rmSync(base, { recursive: true, force: true }));
  const api = createKubeApi({ transport });
  await apply(api);
  return {
    api,
    asked: fake.asked,
    keeper: (name, now = Date.now, places = ['10.0.0.1']) => {
      const directory = join(base, name);
      const options = { namespace, cluster: 'prod', name, places, directory };
      return {
        directory,
        keeper: new AuthoritiesKeeper(options, { kube: allowed(api), now: () => new Date(now()), log: silentLogger() }),
      };
    },
  };
}

async function filesOf(api: KubeApi, name: string): Promise<Readonly<Record<string, string>>> {
  const { data } = await api.get<Data>(SECRETS, { namespace, name });
  return Object.fromEntries(Object.entries(data).map(([file, text]) => [file, Buffer.from(text, 'base64').toString()]));
}

function serverCertificate(directory: string): string {
  return certificatesIn(readFileSync(pkiPaths(directory).cert, 'utf8'))[0] ?? '';
}

test('the first makes authorities, a second takes them; each has a certificate for where it is reached', async (t) => {
  const { api, keeper } = await bed(t);
  const [one, two] = [keeper('cp-1'), keeper('cp-2', Date.now, ['10.0.0.2', 'cable.example'])];
  await one.keeper.run();
  await two.keeper.run();
  const files = await filesOf(api, 'cable-authorities');
  const authority = certificatesIn(files['authority.pem'] ?? '')[0] ?? '';
  for (const [{ directory }, places] of [
    [one, ['10.0.0.1']],
    [two, ['10.0.0.2', 'cable.example']],
  ] as const) {
    const own = serverCertificate(directory);
    assert.ok(isSignedBy(own, authority));
    for (const place of places) assert.ok(placesOf(own).includes(place), place);
    assert.ok(isKeyOf(readFileSync(pkiPaths(directory).key, 'utf8'), own));
    // It signs hosts, and nothing else.
    await readAuthority(directory, 'hosts');
    await assert.rejects(readAuthority(directory, 'authority'), /authority.key/);
  }
  const controller = await filesOf(api, 'cable-controller');
  const own = certificatesIn(controller['tls.crt'] ?? '')[0] ?? '';
  assert.deepEqual(identityOf(new X509Certificate(own).subjectAltName), { kind: 'cluster', name: 'prod' });
  assert.ok(isSignedBy(own, authority) && isKeyOf(controller['tls.key'] ?? '', own));
  const config = await api.get<Data>(CONFIG_MAPS, { namespace, name: 'cable-authority' });
  assert.deepEqual(certificatesIn(config.data['authority.pem'] ?? ''), [authority]);
  assert.doesNotMatch(JSON.stringify(config), /KEY/);
});

test('another round writes nothing, until a certificate is in the last third of its life', async (t) => {
  const { api, asked, keeper } = await bed(t);
  let now = Date.now();
  const { keeper: one, directory } = keeper('cp-1', () => now);
  await one.run();
  const before = [serverCertificate(directory), await filesOf(api, 'cable-controller')];
  const writes = (): number => asked.filter((line) => !line.startsWith('GET')).length;
  const count = writes();
  now += 240 * DAY_MS;
  await one.run();
  assert.equal(writes(), count);
  assert.deepEqual([serverCertificate(directory), await filesOf(api, 'cable-controller')], before);
  now += 10 * DAY_MS;
  await one.run();
  assert.notEqual(serverCertificate(directory), before[0]);
  assert.notDeepEqual(await filesOf(api, 'cable-controller'), before[1]);
});

test('a secret that was deleted, and is applied again, comes back as it was', async (t) => {
  const { api, keeper } = await bed(t);
  const { keeper: one } = keeper('cp-1');
  await one.run();
  const before = await filesOf(api, 'cable-authorities');
  await api.delete(SECRETS, { namespace, name: 'cable-authorities' });
  await api.delete(SECRETS, { namespace, name: 'cable-controller' });
  await assert.rejects(one.run(), /no secret cable-authorities in kube-system: apply again/);
  await apply(api);
  await one.run();
  assert.deepEqual(await filesOf(api, 'cable-authorities'), before);
  assert.ok((await filesOf(api, 'cable-controller'))['tls.key']);
});

test('to apply it again changes nothing that is in it', async (t) => {
  const { api, keeper } = await bed(t);
  const { keeper: one } = keeper('cp-1');
  await one.run();
  const before = await filesOf(api, 'cable-authorities');
  await apply(api);
  assert.deepEqual(await filesOf(api, 'cable-authorities'), before);
});

test('another address, and another authority that signs, make another certificate', async (t) => {
  const { api, keeper } = await bed(t);
  const first = keeper('cp-1');
  await first.keeper.run();
  const before = serverCertificate(first.directory);
  const moved = keeper('cp-1', Date.now, ['10.0.0.9']);
  await moved.keeper.run();
  assert.ok(placesOf(serverCertificate(moved.directory)).includes('10.0.0.9'));
  assert.notEqual(serverCertificate(moved.directory), before);
  // As after cable pki rotate switch: both are trusted, the new one signs.
  const others = await bed(t);
  await others.keeper('x').keeper.run();
  const [old, next] = [await filesOf(api, 'cable-authorities'), await filesOf(others.api, 'cable-authorities')];
  const both = {
    ...old,
    'authority.pem': `${old['authority.pem']}${next['authority.pem']}`,
    'authority.key': next['authority.key'] ?? '',
  };
  const there = await api.get<Data>(SECRETS, { namespace, name: 'cable-authorities' });
  const data = Object.fromEntries(
    Object.entries(both).map(([file, text]) => [file, Buffer.from(text).toString('base64')]),
  );
  await api.update<Data>(SECRETS, { ...there, data });
  await moved.keeper.run();
  const signer = certificatesIn(next['authority.pem'] ?? '')[0] ?? '';
  assert.ok(isSignedBy(serverCertificate(moved.directory), signer));
  const config = await api.get<Data>(CONFIG_MAPS, { namespace, name: 'cable-authority' });
  assert.equal(certificatesIn(config.data['authority.pem'] ?? '').length, 2);
});

test('a secret that lacks a key is not taken, and says which', async (t) => {
  const { api, keeper } = await bed(t);
  const { keeper: one } = keeper('cp-1');
  await one.run();
  const there = await api.get<Data>(SECRETS, { namespace, name: 'cable-authorities' });
  const { 'hosts.key': _gone, ...data } = there.data;
  await api.update<Data>(SECRETS, { ...there, data });
  await assert.rejects(one.run(), /cable-authorities has no hosts.key/);
});
