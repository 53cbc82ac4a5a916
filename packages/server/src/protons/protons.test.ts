import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertInvariants, type Harness, type Json, keysLeft, startHarness } from '../testing/harness.ts';
import { ADMIN, AS, file, install, model, OTHER, PORT, TENANT, V10, V20 } from './protons.fixture.ts';

async function installed(harness: Harness, name: string): Promise<Json> {
  const answer = await install(harness, model(name));
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  return answer.body;
}

test('without a proton nothing of them is there', async (t) => {
  const { send } = await startHarness(t);
  for (const path of ['/proton', '/proton/', '/proton/net-l3vpn', '/proton/net-l3vpn/v1.0/ports'])
    assert.equal((await send('GET', path)).status, 404, path);
  assert.deepEqual((await send('GET', '/cable/v1/protons', undefined, ADMIN)).body['protons'], []);
  const document = (await send('GET', '/openapi.json')).body;
  assert.deepEqual(
    Object.keys(document['paths'] ?? {}).filter((path) => path.startsWith('/proton')),
    [],
  );
});

test('a model of format 1.0 is served as its clients know it', async (t) => {
  const harness = await startHarness(t);
  const { send } = harness;
  const answer = await installed(harness, 'net-l3vpn');
  assert.equal(answer['state'], 'installed');
  assert.deepEqual(
    (answer['servers'] ?? []).map((one: Json) => one['state']),
    ['serves it'],
  );
  const base = '/proton/net-l3vpn/v1.0';
  const root = (await send('GET', '/proton/')).body;
  assert.equal(String(root['protons']?.[0]?.['proton_service']), 'net-l3vpn');
  assert.equal(String((await send('GET', '/proton/net-l3vpn/')).body['default_version']?.['version_id']), 'v1.0');
  const resources = (await send('GET', `${base}/`)).body['resources'] ?? [];
  assert.ok(resources.some((one: Json) => String(one['resource_name']) === 'vpns'));
  const made = await send('POST', `${base}/ports`, PORT, AS);
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const port = made.body;
  assert.deepEqual(
    { ...port, id: '', created_at: '', updated_at: '' },
    {
      ...{
        id: '',
        tenant_id: TENANT,
        name: 'p1',
        mac_address: 'fa:16:3e:00:00:01',
        admin_state_up: true,
        status: 'DOWN',
      },
      ...{
        vnic_type: 'normal',
        mtu: 1500,
        vlan_transparency: false,
        profile: null,
        device_id: null,
        device_owner: null,
      },
      ...{ host_id: null, vif_details: null, vif_type: null, created_at: '', updated_at: '' },
    },
  );
  assert.match(String(port['created_at']), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/);
  const id = String(port['id']);
  assert.deepEqual((await send('GET', `${base}/ports/${id}`, undefined, AS)).body, port);
  const interfaces = (await send('GET', `${base}/ports/${id}/interfaces`, undefined, AS)).body['interfaces'] ?? [];
  assert.deepEqual(
    interfaces.map((one: Json) => [one['id'], one['name'], one['segmentation_type']]),
    [[id, 'p1_default', 'none']],
  );
  assert.deepEqual((await send('GET', `${base}/interfaces`, undefined, AS)).body['interfaces'], interfaces);
  const more = await send(
    'POST',
    `${base}/ports/${id}/interfaces`,
    { name: 'i2', segmentation_type: 'vlan', segmentation_id: 7 },
    AS,
  );
  assert.equal(more.status, 201, JSON.stringify(more.body));
  assert.equal(String(more.body['port_id']), id);
  const renamed = await send('PUT', `${base}/ports/${id}`, { name: 'p2' }, AS);
  assert.equal(String(renamed.body['name']), 'p2');
  assert.equal(
    (await send('PUT', `${base}/ports/${id}`, renamed.body, AS)).status,
    200,
    'all that was shown may be sent back',
  );
  assert.equal((await send('DELETE', `${base}/interfaces/${more.body['id']}`, undefined, AS)).status, 204);
  assert.equal((await send('DELETE', `${base}/ports/${id}`, undefined, AS)).status, 204);
  assert.equal((await send('GET', `${base}/interfaces`, undefined, ADMIN)).body['interfaces']?.length, 0);
  await assertInvariants(harness.server);
  const gone = await send('DELETE', '/cable/v1/protons/net-l3vpn', undefined, ADMIN);
  assert.equal(gone.status, 204, JSON.stringify(gone.body));
  for (let look = 0; look < 100 && (await send('GET', '/proton')).status !== 404; look += 1)
    await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal((await send('GET', '/proton')).status, 404);
  assert.deepEqual(await keysLeft(harness.store), []);
});

test('what is wrong is said in words that old and new clients read', async (t) => {
  const harness = await startHarness(t);
  const { send } = harness;
  await installed(harness, 'net-l3vpn');
  const base = '/proton/net-l3vpn/v1.0';
  const { mtu: _mtu, ...short } = PORT;
  const missing = await send('POST', `${base}/ports`, short, AS);
  assert.equal(missing.status, 400);
  assert.equal(String(missing.body['faultcode']), 'Client');
  assert.match(String(missing.body['faultstring']), /mtu/);
  assert.match(String(missing.body['detail']), /mtu/);
  const wrong = await send('POST', `${base}/ports`, { ...PORT, mac_address: 'x' }, AS);
  assert.equal(wrong.status, 400);
  assert.match(String(wrong.body['detail']), /mac_address/);
  assert.equal((await send('GET', `${base}/ports/${TENANT}`, undefined, AS)).status, 404);
  assert.equal((await send('PATCH', `${base}/ports`, {}, AS)).status, 405);
});

test('a tenant sees and changes his own alone, and nothing of how a port is plugged', async (t) => {
  const harness = await startHarness(t);
  const { send } = harness;
  await installed(harness, 'net-l3vpn');
  const base = '/proton/net-l3vpn/v1.0';
  const { body: port } = await send('POST', `${base}/ports`, PORT, AS);
  const path = `${base}/ports/${port['id']}`;
  const stranger = { 'x-roles': 'member', 'x-project-id': OTHER };
  assert.equal((await send('GET', path, undefined, stranger)).status, 404);
  assert.equal((await send('PUT', path, { name: 'mine', tenant_id: OTHER }, stranger)).status, 404);
  assert.deepEqual((await send('GET', `${base}/ports`, undefined, stranger)).body['ports'], []);
  assert.equal((await send('GET', `${base}/ports`, undefined, AS)).body['ports']?.length, 1);
  for (const change of [{ host_id: 'h1' }, { vif_type: 'tap' }, { vif_details: '{}' }, { profile: '{}' }])
    assert.equal((await send('PUT', path, change, AS)).status, 403, JSON.stringify(change));
  assert.equal((await send('POST', `${base}/ports`, { ...PORT, tenant_id: OTHER }, AS)).status, 400);
  assert.equal(
    (await send('POST', `${base}/ports`, { ...PORT, id: '7d3f5b21-0a9c-4e8d-b6f7-1c2d3e4f5a6b' }, AS)).status,
    403,
  );
  const service = { 'x-roles': 'service', 'x-project-id': 'services' };
  assert.equal((await send('PUT', path, { host_id: 'h1' }, service)).status, 200);
});

test('two versions of a proton are served at once, each with what it has, and stored objects become those of the newer one', async (t) => {
  const harness = await startHarness(t);
  const { send } = harness;
  assert.equal((await install(harness, file(V10))).status, 200);
  const [old, next] = ['/proton/shop/v1.0/shops', '/proton/shop/v2.0/shops'];
  const { body: first } = await send(
    'POST',
    old,
    { name: 'a', size: 3, targets: '65000:1,65000:2', tenant_id: TENANT },
    AS,
  );
  const upgrade = await install(harness, file(V20));
  assert.equal(upgrade.status, 200, JSON.stringify(upgrade.body));
  const seen = (await send('GET', `${next}/${first['id']}`, undefined, AS)).body;
  assert.deepEqual([seen['route_targets'], seen['volume'], seen['colour']], [['65000:1', '65000:2'], 3, 'red']);
  const still = (await send('GET', `${old}/${first['id']}`, undefined, AS)).body;
  assert.deepEqual([still['targets'], still['size'], still['tenant_id']], ['65000:1,65000:2', 3, TENANT]);
  assert.equal('colour' in still, false);
  const { body: second, status } = await send('POST', next, { name: 'b', volume: 5, colour: 'green', code: 'x' }, AS);
  assert.equal(status, 201, JSON.stringify(second));
  const changed = await send('PUT', `${old}/${second['id']}`, { size: 6 }, AS);
  assert.equal(changed.status, 200, JSON.stringify(changed.body));
  const after = (await send('GET', `${next}/${second['id']}`, undefined, AS)).body;
  assert.deepEqual(
    [after['volume'], after['colour'], after['code']],
    [6, 'green', 'x'],
    'what the old version has not is kept',
  );
  assert.equal((await send('POST', next, { volume: 9 }, AS)).status, 400, 'a rule');
  assert.equal((await send('POST', next, { volume: '5' }, AS)).status, 400, 'a text is no number');
  assert.equal((await send('POST', next, { volume: 5, route_targets: ['x'] }, AS)).status, 400, 'a pattern');
  assert.equal((await send('POST', next, { volume: 5, code: 'x' }, AS)).status, 409, 'unique in the project');
  const listed = (await send('GET', `${old}?size=6`, undefined, AS)).body['shops'] ?? [];
  assert.deepEqual(
    listed.map((one: Json) => one['id']),
    [second['id']],
  );
  const proton = (await send('GET', '/cable/v1/protons/shop', undefined, ADMIN)).body['proton'];
  assert.deepEqual([proton?.['storage_version'], proton?.['unmigrated'], proton?.['objects']], ['2.0', 1, 2]);
  const migrated = await send('PUT', '/cable/v1/protons/shop/migrate', {}, ADMIN);
  assert.deepEqual(migrated.body, { migrated: 1, left: 0 });
  const gone = await send('DELETE', '/cable/v1/protons/shop/versions/1.0', undefined, ADMIN);
  assert.equal(gone.status, 200, JSON.stringify(gone.body));
  assert.equal((await send('GET', old, undefined, AS)).status, 404);
  assert.equal((await send('GET', next, undefined, AS)).body['shops']?.length, 2);
  await assertInvariants(harness.server);
  assert.equal((await send('DELETE', '/cable/v1/protons/shop', undefined, ADMIN)).status, 409);
  const all = await send('DELETE', '/cable/v1/protons/shop?objects=true', undefined, ADMIN);
  assert.equal(all.status, 204, JSON.stringify(all.body));
  assert.deepEqual(await keysLeft(harness.store), []);
});

test('a patch is merged, a tag holds an update to what was read, and a dry run writes nothing', async (t) => {
  const harness = await startHarness(t);
  const { send, server } = harness;
  await install(harness, file(V20));
  const path = '/proton/shop/v2.0/shops';
  const dry = await send('POST', `${path}?dryRun=1`, { volume: 5 }, AS);
  assert.equal(dry.status, 201);
  assert.equal((await send('POST', `${path}?dryRun=1`, { volume: 50 }, AS)).status, 400);
  assert.equal((await send('GET', path, undefined, AS)).body['shops']?.length, 0);
  const { body: shop } = await send('POST', path, { volume: 5, name: 'a', colour: 'green' }, AS);
  const one = `${path}/${shop['id']}`;
  const headers = { 'content-type': 'application/merge-patch+json', ...AS };
  const patched = await send('PATCH', one, { colour: null, volume: 4 }, headers);
  assert.equal(patched.status, 200, JSON.stringify(patched.body));
  assert.deepEqual([patched.body['colour'], patched.body['volume']], ['red', 4], 'null is the default');
  const shown = await server.app.inject({ method: 'GET', url: one, headers: AS });
  const tag = String(shown.headers['etag']);
  assert.equal((await send('PUT', one, { volume: 3 }, { ...AS, 'if-match': tag })).status, 200);
  assert.equal((await send('PUT', one, { volume: 2 }, { ...AS, 'if-match': tag })).status, 412);
  assert.equal((await send('DELETE', `${one}?dryRun=1`, undefined, AS)).status, 204);
  assert.equal((await send('GET', one, undefined, AS)).status, 200);
  const fields = (await send('GET', `${path}?fields=name&fields=volume&volume=3`, undefined, AS)).body['shops'];
  assert.deepEqual(fields, [{ name: 'a', volume: 3 }]);
  assert.equal((await send('GET', `${path}?volum=3`, undefined, AS)).status, 400);
});

test('a watch tells what the caller sees of, from the revision that he knows', async (t) => {
  const harness = await startHarness(t);
  const { send, server } = harness;
  await install(harness, file(V20));
  const address = await server.app.listen({ host: '127.0.0.1', port: 0 });
  const path = '/proton/shop/v2.0/shops';
  const { body: shop } = await send('POST', path, { volume: 5, name: 'a' }, AS);
  const list = await server.app.inject({ method: 'GET', url: path, headers: AS });
  const since = String(list.headers['cable-revision']);
  const abort = new AbortController();
  t.after(() => abort.abort());
  const close = { connection: 'close', ...AS };
  const answer = await fetch(`${address}${path}?watch=1&since=${since}`, { headers: close, signal: abort.signal });
  assert.equal(answer.status, 200);
  const events = eventsOf(answer);
  await send('PUT', `${path}/${shop['id']}`, { volume: 6 }, AS);
  await send('POST', path, { volume: 1, name: 'other' }, { ...AS, 'x-project-id': OTHER });
  await send('DELETE', `${path}/${shop['id']}`, undefined, AS);
  const seen: string[] = [];
  for await (const { type, object } of events) {
    if (type === 'BOOKMARK') continue;
    seen.push(`${type} ${object?.['name']} ${object?.['volume']}`);
    if (seen.length === 2) break;
  }
  assert.deepEqual(seen, ['MODIFIED a 6', 'DELETED a 6']);
  const history = String(list.headers['cable-history']);
  const know = (given: string) =>
    fetch(`${address}${path}?watch=1&since=${since}&history=${encodeURIComponent(given)}`, {
      headers: close,
      signal: abort.signal,
    });
  assert.deepEqual([(await know(history)).status, (await know(`${history}0`)).status], [200, 410]);
  const late = await fetch(`${address}${path}?watch=1&since=1`, { headers: close });
  assert.equal(late.status, 410);
  assert.equal(((await late.json()) as { readonly status: number }).status, 410);
});

type Event = { readonly type: string; readonly object?: Readonly<Record<string, unknown>> };

async function* eventsOf({ body }: Response): AsyncGenerator<Event> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    const lines = text.split('\n');
    text = lines.pop() ?? '';
    for (const line of lines) yield JSON.parse(line) as Event;
  }
}

test('what would break clients or objects is refused, with the objects that it would break', async (t) => {
  const harness = await startHarness(t);
  const { send } = harness;
  await install(harness, file(V20));
  const path = '/proton/shop/v2.0/shops';
  await send('POST', path, { volume: 8, name: 'large' }, AS);
  const tighter = V20.replace('maximum: 9', 'maximum: 7');
  const dry = await install(harness, file(tighter), { breaking: true, dry_run: true });
  assert.equal(dry.status, 409, JSON.stringify(dry.body));
  const refusal = await install(harness, file(tighter), { breaking: true });
  assert.equal(refusal.status, 409);
  assert.match(String(refusal.body['NeutronError']?.['message']), /1 objects would not be/);
  assert.equal(
    (await send('POST', path, { volume: 9, colour: 'green' }, AS)).status,
    201,
    'the model of before goes on',
  );
  for (const shop of (await send('GET', path, undefined, ADMIN)).body['shops'] ?? [])
    await send('DELETE', `${path}/${shop['id']}`, undefined, ADMIN);
  assert.equal((await install(harness, file(tighter), { breaking: true })).status, 200);
  assert.equal((await send('POST', path, { volume: 8 }, AS)).status, 400);
  assert.equal((await install(harness, file('objects: ['))).status, 400);
  assert.equal((await send('POST', '/cable/v1/protons/install', { files: file(V20) }, AS)).status, 403);
});

test('a project has no more objects of a type than the proton’s row allows, whoever asks at once', async (t) => {
  const harness = await startHarness(t);
  const { send } = harness;
  await install(harness, file(V20));
  const path = '/proton/shop/v2.0/shops';
  const set = (body: object): Promise<{ readonly status: number }> =>
    send('PUT', '/cable/v1/protons/shop/quota', body, ADMIN);
  assert.equal((await set({ object: 'nothing', quota: 1 })).status, 400);
  assert.equal((await set({ object: 'shop', quota: 3 })).status, 200);
  assert.equal((await set({ object: 'shop', quota: 5, project_id: OTHER })).status, 200);
  const many = (project: string): Promise<number> =>
    Promise.all(
      Array.from({ length: 12 }, () => send('POST', path, { volume: 1 }, { ...AS, 'x-project-id': project })),
    ).then((answers) => answers.filter(({ status }) => status === 201).length);
  assert.deepEqual([await many(TENANT), await many(OTHER)], [3, 5]);
  const over = await send('POST', path, { volume: 1 }, AS);
  assert.equal(over.status, 409);
  assert.match(String(over.body['detail']), /Quota exceeded/);
  await assertInvariants(harness.server);
});
