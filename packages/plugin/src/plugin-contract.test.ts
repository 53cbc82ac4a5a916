/** What is taken of a plug-in's answers, and what the probe finds of one. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { capabilityFault } from './capability-faults.ts';
import { DETAILS_MAX, parseCapabilities, parsePlug, RESOURCES } from './contract.ts';
import { createPluginClient, type PluginClient } from './plugin-client.ts';
import { createPluginServer } from './plugin-server.ts';
import { type ProbeReport, runProbe } from './probe.ts';

const RESOURCES_SAID = Object.fromEntries(RESOURCES.map((name) => [name, ['create', 'update', 'delete']]));

const SAID = {
  ...{ contract: 1, version: '1', instance: 'a', resources: RESOURCES_SAID },
  ...{ network_types: ['geneve', 'vlan'], vif_types: ['ovs'] },
};

/** What the probe finds of a good plug-in of which some answers are others. */
async function probed(t: TestContext, change: (verb: string, body: object) => object): Promise<ProbeReport> {
  const { contract: _, instance: _instance, ...said } = SAID;
  const server = await createPluginServer(
    { capabilities: () => said, put: async () => undefined, remove: async () => {} },
    { host: '127.0.0.1', port: 0, token: 'x' },
  );
  t.after(() => server.stop());
  const client = createPluginClient({ endpoint: server.endpoint, secret: 'x', authorities: null });
  t.after(() => client.close());
  const altered: PluginClient = {
    close: () => client.close(),
    call: async (verb, body, options) => {
      const answer = await client.call(verb, body, options);
      return answer.status < 300 ? { ...answer, body: change(verb, answer.body as object) } : answer;
    },
  };
  return runProbe(altered);
}

const failuresOf = ({ checks }: ProbeReport) => checks.filter(({ passed }) => !passed).map(({ detail }) => detail);

test('a good plug-in passes the probe', async (t) => {
  assert.deepEqual(failuresOf(await probed(t, (_verb, body) => body)), []);
});

test('one without instance, or with another one in health, is refused', async (t) => {
  const without = ({ instance: _, ...rest }: { readonly instance?: unknown }): object => rest;
  for (const verbs of [['capabilities', 'health'], ['health'], ['capabilities']]) {
    const [first] = failuresOf(await probed(t, (verb, body) => (verbs.includes(verb) ? without(body) : body)));
    assert.match(String(first), /^instance is/, verbs.join());
  }
  const other = await probed(t, (verb, body) => (verb === 'health' ? { ...body, instance: 'another' } : body));
  assert.match(String(failuresOf(other)[0]), /^instance is not that of capabilities/);
});

test('each field of capabilities is looked at, and what is wrong is said', () => {
  assert.equal(capabilityFault(SAID), undefined);
  const cases: readonly (readonly [object, RegExp])[] = [
    [{ resources: { network: ['create'] } }, /network lacks update and delete/],
    [{ vif_types: [] }, /vif_types is empty/],
    [{ vif_types: ['binding_failed'] }, /vif_types: "binding_failed" is none of ovs/],
    [{ zones: 'pod1' }, /zones is no list/],
    [{ zones: [7] }, /zones: 7 is no text/],
    [{ flavors: 'gold' }, /flavors is neither/],
    [{ flavors: { 'No Name': {} } }, /"No Name" is no name: give \{NAME/],
    [{ flavors: { gold: 7 } }, /flavors: "" is no name/],
    [{ flavors: { gold: { network_types: ['gre'] } } }, /gold: network_types: "gre" is none of geneve, vlan/],
    [{ flavors: [{ name: 'gold', resources: ['port'] }] }, /gold: resources: "port" is none of network, router/],
    [{ extensions: ['No Alias'] }, /"No Alias" is no alias/],
    [{ features: [] }, /features is no object/],
    [{ features: { overhead_bytes: 58 } }, /overhead_bytes is no \{"4"/],
    [{ features: { overhead_bytes: { 4: '58' } } }, /overhead_bytes is no \{"4"/],
    [{ limits: { networks: -1 } }, /limits: "networks" is no name with a whole number/],
    [{ limits: 7 }, /limits is no object/],
  ];
  for (const [more, fault] of cases) assert.match(String(capabilityFault({ ...SAID, ...more })), fault);
});

test('flavors are an object by name, a list of objects, or a list of names', () => {
  const gold = { description: 'fast', resources: ['network', 'router'], network_types: ['vlan'] };
  const flavorsOf = (flavors: unknown) => {
    assert.equal(capabilityFault({ ...SAID, flavors }), undefined);
    const said = parseCapabilities({ ...SAID, flavors });
    return said.ok ? said.value.flavors : said.reason;
  };
  const expected = { gold: { description: 'fast', resources: ['network', 'router'], networkTypes: ['vlan'] } };
  assert.deepEqual(flavorsOf({ gold }), expected);
  assert.deepEqual(flavorsOf([{ name: 'gold', ...gold }]), expected);
  const plain = { gold: { description: '', resources: ['network'], networkTypes: ['geneve', 'vlan'] } };
  for (const form of [{ gold: {} }, [{ name: 'gold' }], ['gold']]) assert.deepEqual(flavorsOf(form), plain);
});

test('how a port is plugged is one of the ways that were declared, and has a bound', () => {
  assert.deepEqual(parsePlug({ vif_type: 'ovs' }, ['ovs']), { vif_type: 'ovs', vif_details: {} });
  const cases: readonly (readonly [unknown, RegExp])[] = [
    [{ vif_type: 'tap' }, /tap is none that it declared: ovs/],
    [{ vif_type: 'binding_failed' }, /is none of ovs/],
    [{ vif_type: 7 }, /neither vif_type nor refused/],
    [{ vif_type: 'ovs', vif_details: [] }, /vif_details is no object/],
    [{ vif_type: 'ovs', vif_details: { x: 'é'.repeat(DETAILS_MAX / 2) } }, /more than 16384 bytes/],
    [{ vif_type: 'ovs', refused: 'no such host' }, /^no such host$/],
    [7, /neither/],
  ];
  for (const [given, reason] of cases) {
    const { refused } = parsePlug(given, ['ovs']) as { readonly refused?: string };
    assert.match(String(refused), reason);
  }
});

test('nothing that a plug-in says drives a terminal', async (t) => {
  const text = 'a\u0000b\u001b[31mc\u009b\u202ed\ne';
  const server = createServer((request, response) => {
    const isGood = request.url === '/v1/health';
    const type = { 'content-type': 'application/json' };
    response.writeHead(isGood ? 200 : 400, type).end(JSON.stringify({ detail: text, [text]: [text] }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = createPluginClient({ endpoint, secret: null, authorities: null });
  t.after(() => client.close());
  const shown = 'a\\u0000b\\u001b[31mc\\u009b\\u202ed\\u000ae';
  assert.equal((await client.call('verify', {}, { timeoutMs: 5000 })).problem, shown);
  const { body } = await client.call('health', {}, { timeoutMs: 5000 });
  assert.deepEqual(body, { detail: shown, [shown]: [shown] });
});
