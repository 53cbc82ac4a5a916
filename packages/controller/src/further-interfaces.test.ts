import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attachmentFacts, NETWORKS, selectionsOf } from './further-interfaces.ts';
import { furtherOf } from './further-ports.ts';
import { podFacts } from './pod-facts.ts';
import { defaultRoutes } from './port-extras.ts';

const selections = (text: string) => selectionsOf({ namespace: 'shop', annotations: { [NETWORKS]: text } });
const short = (text: string) => selections(text).map((one) => `${one.namespace}/${one.name}@${one.interfaceName}`);

test('networks are read as Multus reads them, short or as JSON', () => {
  assert.deepEqual(short(' a , kube-system/b@store, c'), ['shop/a@net1', 'kube-system/b@store', 'shop/c@net3']);
  assert.deepEqual(selections(''), []);
  const json = [{ name: 'a' }, { name: 'b', namespace: 'x', interface: 'd0', ips: ['fd00::5/64'], mac: null }];
  const [first, second] = selections(JSON.stringify(json));
  assert.deepEqual(first, { namespace: 'shop', name: 'a', interfaceName: 'net1', ipAddresses: [] });
  assert.deepEqual(second, { namespace: 'x', name: 'b', interfaceName: 'd0', ipAddresses: ['fd00::5'] });
});

test('what is no list of networks is told by what is wrong', () => {
  const cases: Readonly<Record<string, RegExp>> = {
    'a,,b': /"" is no/,
    'a/b/c': /"a\/b\/c" is no/,
    'a@x,b@x': /two interfaces are called x/,
    'a@net2,b': /two interfaces are called net2/,
    'a@a-name-that-is-too-long': /no name of an interface/,
    '[': /is no JSON/,
    '{"name":"a"}': /no list/,
    '["a"]': /no list/,
    '[{}]': /has no name/,
    '[{"name":"a","ips":["10.0.0.5","10.0.0.6"]}]': /one address of each version/,
    '[{"name":"a","ips":[7]}]': /7 is no IP address/,
    '[{"name":"a","mac":"x"}]': /"x" is no MAC/,
    [Array.from({ length: 33 }, (_, at) => `n${at}`).join()]: /33 networks are more than 32/,
  };
  for (const [text, message] of Object.entries(cases)) assert.throws(() => selections(text), { message }, text);
});

test('a definition is ours when its configuration, or one of a chain, names the plug-in and a cluster', () => {
  const facts = (config: string) => attachmentFacts({ metadata: { name: 'a' }, spec: { config } });
  const own = { type: 'cable-cni', cluster: 'prod', subnet: 'front' };
  assert.deepEqual(facts(JSON.stringify(own)), { cluster: 'prod', subnet: 'front' });
  assert.deepEqual(facts(JSON.stringify({ plugins: [{ type: 'tuning' }, own] })), { cluster: 'prod', subnet: 'front' });
  for (const other of [
    '',
    '7',
    'null',
    '{',
    '{"plugins":7}',
    '{"type":"macvlan","cluster":"prod"}',
    '{"type":"cable-cni"}',
  ])
    assert.deepEqual(facts(other), { cluster: undefined }, other);
});

test('annotations of an interface count before those of its definition’s, and ours before Kube-OVN’s', () => {
  const annotations = {
    [NETWORKS]: 'a,a,x/b',
    'a.shop.cable.io/ip-address': '10.0.0.1',
    'a.shop.ovn.kubernetes.io/ip_address.net2': '10.0.0.2',
    'a.shop.kubernetes.io/mac_address.net1': 'fa:16:3e:00:00:01',
    'a.shop.ovn.kubernetes.io/egress_rate': '2',
    'b.x.cable.io/network': 'blue',
    'cable.io/security-groups': 'of-the-first',
    'kubernetes.io/egress-bandwidth': '7M',
  };
  const pod = podFacts({ metadata: { name: 'p', namespace: 'shop', annotations } });
  const [first, second, third] = furtherOf(pod).map(({ wishes }) => wishes);
  assert.deepEqual([first?.ipAddresses, second?.ipAddresses, third?.ipAddresses], [['10.0.0.1'], ['10.0.0.2'], []]);
  assert.deepEqual([first?.macAddress, second?.macAddress], ['fa:16:3e:00:00:01', undefined]);
  assert.deepEqual([first?.rates.egressKbps, third?.rates.egressKbps], [2000, 0]);
  assert.deepEqual([third?.network, third?.securityGroups], ['blue', undefined]);
});

test('one interface has the default route that asks for it, and two are one too many', () => {
  const routes = (...said: readonly (boolean | undefined)[]) => [
    ...defaultRoutes(
      said.map((one, at) => ({ name: `i${at}`, wishes: one === undefined ? {} : { defaultRoute: one } })),
    ).values(),
  ];
  assert.deepEqual(routes(undefined, undefined), [null, null]);
  assert.deepEqual(routes(undefined, true), [false, true]);
  assert.deepEqual(routes(false, undefined), [false, null]);
  assert.throws(() => routes(true, undefined, true), /of i0 and i2 one can have it/);
});
