import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BUILT_IN_RESOURCES } from '@cable/model';
import { DEFAULT_RULES } from './defaults/all.ts';
import { credentials, rowsOf } from './policy.fixture.ts';
import { createPolicy } from './policy.ts';
import { parsePolicyFile } from './policy-file.ts';

const of = (text: string) => parsePolicyFile(text, 'policy.yaml');
const policyOf = (text: string) =>
  createPolicy({ rules: DEFAULT_RULES, overrides: of(text).rules, models: BUILT_IN_RESOURCES });

test('a file is a mapping of names to rules, in YAML or in JSON', () => {
  const yaml = of(
    '# a comment\n"get_network": "rule:admin_only"\ncreate_port: \'@\'\nold: [["role:a", "role:b"], [role:c]]\nempty: ""\n',
  );
  assert.deepEqual(yaml.rules, {
    get_network: 'rule:admin_only',
    create_port: '@',
    old: [['role:a', 'role:b'], ['role:c']],
    empty: '',
  });
  assert.equal(yaml.lines.get('create_port'), 3);
  assert.deepEqual(of('{"get_network": "!"}').rules, { get_network: '!' });
  assert.deepEqual(of('').rules, {});
  assert.deepEqual(of('#"get_network": "!"\n').rules, {});
});

test('what cannot be read is refused with its line', () => {
  for (const [text, told] of [
    ['a: "b\n', /policy.yaml, line \d: /],
    ['a: ""\nget_network: "!"\nget_network: "@"\n', /policy.yaml, line 3: .*unique/],
    ['- a\n', /no mapping/],
    ['a: ""\nget_network:\n', /line 2: rule get_network is neither/],
    ['get_network: true\n', /line 1: rule get_network is neither/],
    ['get_network: {a: b}\n', /neither/],
    ['get_network: [[[role:a]]]\n', /neither/],
    ['1: role:a\n', /name of a rule is a text/],
    [`a: &a [x, x, x, x]\nb: &b [${'*a, '.repeat(100)}]\nc: [${'*b, '.repeat(100)}]\n`, /line 1|neither|alias/i],
  ] as const) {
    assert.throws(() => of(text), { message: told }, text.slice(0, 40));
  }
});

test('Neutron’s names are understood where ours are others, in names and in what refers to them', () => {
  const policy = policyOf(
    [
      'create_policy: "role:qos_maker"',
      'update_policy_bandwidth_limit_rule: "rule:create_policy"',
      'create_floatingip_port_forwarding: "!"',
      'activate: "role:mover"',
      'get_subports: "!"',
      'update_network:tags: "role:tagger"',
    ].join('\n'),
  );
  const row = rowsOf({});
  const may = (rule: string, type: string, roles: readonly string[]): boolean =>
    policy.for(credentials({ roles })).allows(rule, { type, object: { id: 'o', project_id: 'p' }, row });
  assert.equal(may('create_qos_policy', 'qos_policy', ['qos_maker']), true);
  assert.equal(may('create_qos_policy', 'qos_policy', ['manager']), false);
  assert.equal(may('update_qos_bandwidth_limit_rule', 'qos_bandwidth_limit_rule', ['qos_maker']), true);
  assert.equal(may('create_port_forwarding', 'port_forwarding', ['admin']), false);
  assert.equal(may('activate_port_binding', 'port', ['mover']), true);
  assert.equal(may('get_subports_trunk', 'trunk', ['admin']), false);
  assert.equal(may('update_networks_tags', 'network', ['tagger']), true);
  assert.throws(
    () => policyOf('create_policy: "!"\ncreate_qos_policy: "@"\n'),
    /is the rule create_qos_policy, which is there too/,
  );
});

test('rules that nothing asks are told of in one line', () => {
  const [warning, ...more] = policyOf(
    'get_netwrok: "!"\nmine: "@"\nget_network: "rule:mine"\ncreate_vpnservice: "!"\n',
  ).warnings;
  assert.deepEqual(more, []);
  assert.match(warning ?? '', /nothing asks.*: get_netwrok, create_vpnservice$/);
});

test('a rule that is not understood is refused with its name and place', () => {
  assert.throws(() => policyOf('get_network: "role:admin or (role:x"'), /policy rule get_network, character \d+/);
  assert.throws(() => policyOf('get_network: "http://x/y"'), /policy rule get_network/);
});
