/** What somebody found who tried protons out. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Harness, startHarness } from '../testing/harness.ts';
import { ADMIN, AS, file, install, model, OTHER, PORT, TENANT, V10, V20 } from './protons.fixture.ts';

const SERVICE = { 'x-roles': 'service', 'x-project-id': 'services' };
type Fault = { readonly message: string; readonly detail: string };

const MACHINE = '5b2f6c1e-8d7a-4f3b-9c2d-1e0f9a8b7c6d';

/** The third version of the shop: another name once more. */
const V30 = V20.slice(0, V20.indexOf('conversions:'))
  .replace('version: "2.0", description', 'version: "3.0", description')
  .replaceAll('volume', 'amount')
  .concat(`conversions:
  - from: "2.0"
    objects:
      Shop:
        - rename: { from: volume, to: amount }
`);

async function withThree(harness: Harness): Promise<void> {
  for (const text of [V10, V20, V30]) {
    const { status, body } = await install(harness, file(text));
    assert.equal(status, 200, JSON.stringify(body));
  }
}

test('regression: a version by way of which another one is converted is not removed', async (t) => {
  const harness = await startHarness(t);
  const { send } = harness;
  await withThree(harness);
  const shop = { amount: 3, route_targets: ['1:1', '1:2'] };
  const id = (await send('POST', '/proton/shop/v3.0/shops', shop, AS)).body['id'];
  const before = (await send('GET', `/proton/shop/v1.0/shops/${id}`, undefined, AS)).body;
  assert.deepEqual([before['size'], before['targets']], [3, '1:1,1:2']);
  const refusal = await send('DELETE', '/cable/v1/protons/shop/versions/2.0', undefined, ADMIN);
  assert.equal(refusal.status, 409, JSON.stringify(refusal.body));
  const { message, detail } = refusal.body['NeutronError'] as unknown as Fault;
  assert.equal(String(message), 'shop 1.0 is converted by way of 2.0.');
  assert.match(String(detail), /Remove 1\.0 first \(cable proton remove-version shop 1\.0\)/);
  const replaced = await install(harness, file(V20.slice(0, V20.indexOf('conversions:'))), {
    breaking: true,
    storage: false,
  });
  assert.equal(replaced.status, 409, JSON.stringify(replaced.body));
  assert.match(JSON.stringify(replaced.body), /No conversions would lead from 1\.0 to 3\.0 of shop any more/);
  assert.deepEqual((await send('GET', `/proton/shop/v1.0/shops/${id}`, undefined, AS)).body, before);
  for (const version of ['1.0', '2.0']) {
    const gone = await send('DELETE', `/cable/v1/protons/shop/versions/${version}`, undefined, ADMIN);
    assert.equal(gone.status, 200, JSON.stringify(gone.body));
  }
});

test('regression: an If-Match that names no state of the object is not met', async (t) => {
  const harness = await startHarness(t);
  const { send } = harness;
  assert.equal((await install(harness, file(V20))).status, 200);
  const made = await send('POST', '/proton/shop/v2.0/shops', { volume: 3 }, AS);
  const path = `/proton/shop/v2.0/shops/${made.body['id']}`;
  const tag = `revision_number=${made.body['revision_number']}`;
  for (const header of ['"nonsense"', `W/"${tag}"`, 'nonsense', '', '"revision_number=999"', '"a", "b"', `"${tag}x"`]) {
    const change = await send('PUT', path, { name: 'x' }, { ...AS, 'if-match': header });
    assert.equal(change.status, 412, `${header}: ${JSON.stringify(change.body)}`);
    assert.equal((await send('PATCH', path, { name: 'x' }, { ...AS, 'if-match': header })).status, 412, header);
    assert.equal((await send('DELETE', path, undefined, { ...AS, 'if-match': header })).status, 412, header);
  }
  const other = { ...AS, 'x-project-id': 'other', 'if-match': '"nonsense"' };
  assert.equal((await send('PUT', path, { name: 'x' }, other)).status, 404, 'who does not see it learns nothing');
  assert.equal((await send('PUT', path, { name: 'y' }, { ...AS, 'if-match': `"nonsense", "${tag}"` })).status, 200);
  assert.equal((await send('PUT', path, { name: 'z' }, { ...AS, 'if-match': `"${tag}"` })).status, 412, 'not any more');
  assert.equal((await send('PUT', path, { name: 'z' }, { ...AS, 'if-match': '*' })).status, 200);
});

test('regression: a tenant does not say which machine a port is of, nor that it works', async (t) => {
  const harness = await startHarness(t);
  const { send } = harness;
  assert.equal((await install(harness, model('net-l3vpn'))).status, 200);
  const base = '/proton/net-l3vpn/v1.0/ports';
  const lies = { device_id: MACHINE, device_owner: 'compute:nova', status: 'ACTIVE' };
  for (const [name, value] of Object.entries(lies)) {
    const made = await send('POST', base, { ...PORT, [name]: value }, AS);
    assert.equal(made.status, 403, `${name}: ${JSON.stringify(made.body)}`);
  }
  const made = await send('POST', base, { ...PORT, device_id: null, device_owner: null }, AS);
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const path = `${base}/${made.body['id']}`;
  for (const [name, value] of Object.entries(lies)) {
    assert.equal((await send('PUT', path, { [name]: value }, AS)).status, 403, name);
  }
  assert.equal((await send('PUT', path, { device_id: MACHINE, device_owner: 'compute:nova' }, SERVICE)).status, 200);
  const shown = (await send('GET', path, undefined, AS)).body;
  assert.equal((await send('PUT', path, { ...shown, name: 'other' }, AS)).status, 200);
});

test('regression: what another version filters by is found by the index of what is stored', async (t) => {
  const harness = await startHarness(t);
  const { send } = harness;
  assert.equal((await install(harness, file(V10))).status, 200);
  const old = { size: 3, targets: '1:1', tenant_id: TENANT };
  const made = await send('POST', '/proton/shop/v1.0/shops', { name: 'a', ...old }, AS);
  const indexed = V20.replace('    rules:\n', '    indexes: [[volume]]\n    rules:\n');
  assert.equal((await install(harness, file(indexed))).status, 200);
  await send('POST', '/proton/shop/v2.0/shops', { name: 'b', volume: 4 }, AS);
  const asked: string[] = [];
  const table = harness.server.deps.tables.any('proton.shop.shop');
  const by = table.by.bind(table);
  t.mock.method(table, 'by', (index: string, value: string) => {
    asked.push(`${index}=${value}`);
    return by(index as never, value);
  });
  const ids = async (query: string): Promise<readonly string[]> =>
    ((await send('GET', `/proton/shop/v1.0/shops?${query}`, undefined, AS)).body['shops'] ?? []).map((one) =>
      String(one['id']),
    );
  assert.deepEqual(await ids('size=3'), [String(made.body['id'])]);
  assert.ok(asked.includes('volume=3'), asked.join());
  assert.deepEqual(await ids('targets=1:1'), [String(made.body['id'])]);
  assert.equal((await ids(`tenant_id=${TENANT}`)).length, 2);
  assert.deepEqual(await ids('name=b&size=3'), []);
});

test('what is wrong is named whole', async (t) => {
  const harness = await startHarness(t);
  const { send } = harness;
  const more = V20.slice(0, V20.indexOf('conversions:')).replace(
    '      code: {',
    '      many: { type: object, default: {} }\n      fixed: { type: integer, immutable: true, nullable: true }\n      code: {',
  );
  assert.equal((await install(harness, file(more))).status, 200);
  assert.equal((await install(harness, model('net-l3vpn'))).status, 200);
  const shops = '/proton/shop/v2.0/shops';
  const refusalOf = async (answer: ReturnType<typeof send>): Promise<string> => {
    const { status, body } = await answer;
    return `${status} ${String(body['detail'])} ${String(body['remedy'])}`;
  };
  for (const key of ['\u0000', '\ud800']) {
    const words = await refusalOf(send('POST', shops, { volume: 1, many: { [key]: 1 } }, AS));
    assert.match(words, /^400 .*NUL or half a surrogate/);
  }
  assert.equal((await send('POST', shops, { volume: 1, many: { '\\u0000': '\\ud800' } }, AS)).status, 201);
  const part = await refusalOf(send('POST', shops, { volume: 1, route_targets: ['1:1', ''] }, AS));
  assert.match(part, /^400 Invalid input for route_targets\. Reason: route_targets\[1\] must match/);
  assert.match(await refusalOf(send('POST', shops, { volume: 2 ** 60 }, AS)), /^400 .*beyond 2\^53/);
  const short = { name: 'x', tenant_id: TENANT };
  const missing = await refusalOf(send('POST', '/proton/net-l3vpn/v1.0/ports', short, AS));
  assert.match(missing, /^400 .*attributes 'mac_address', 'admin_state_up', 'status', .*not specified/);
  const { id } = (await send('POST', shops, { volume: 1, fixed: 1 }, AS)).body;
  const fixed = await refusalOf(send('PUT', `${shops}/${id}`, { fixed: 2 }, AS));
  assert.match(fixed, /^400 .*immutable: leave it out, or create/);
  for (const path of ['/proton/nothing/v1.0/ports', '/proton/shop/v7/shops'])
    assert.match(await refusalOf(send('GET', path, undefined, AS)), /^404 .*\/proton\/ lists the protons/);
});

test('who creates an object that has no attribute for its owner sees it in lists', async (t) => {
  const harness = await startHarness(t);
  const { send } = harness;
  assert.equal((await install(harness, model('net-l3vpn'))).status, 200);
  const path = '/proton/net-l3vpn/v1.0/vpnafconfigs';
  const made = await send('POST', path, { vrf_rt_value: '65000:1', vrf_rt_type: 'both' }, AS);
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const seen = await send('GET', path, undefined, AS);
  assert.equal(seen.body['vpnafconfigs']?.length, 1, JSON.stringify(seen.body));
  assert.equal((await send('GET', path, undefined, { ...AS, 'x-project-id': OTHER })).body['vpnafconfigs']?.length, 0);
});
