import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BUILT_IN_RESOURCES } from '@cable/model';
import { authorize, type Deed, refusal } from './authorize.ts';
import type { Credentials } from './credentials.ts';
import { DEFAULT_RULES } from './defaults/all.ts';
import { BASE_RULES } from './defaults/base.ts';
import { credentials, rowsOf } from './policy.fixture.ts';
import { createPolicy, type Policy } from './policy.ts';
import type { RuleText } from './rule-text.ts';
import { actionRule } from './rules.ts';

const ROW = rowsOf({ network: [{ id: 'n', project_id: 'q', shared_with: ['*'] }] });
const PORT = { id: 'i', project_id: 'p', network_id: 'n', device_owner: '', name: 'a' };

function policyOf(overrides: Readonly<Record<string, RuleText>> = {}): Policy {
  return createPolicy({ rules: DEFAULT_RULES, overrides, models: BUILT_IN_RESOURCES });
}

/** `allowed`, `hidden`, or the message of the refusal. */
function answer(policy: Policy, type: string, deed: Deed, given: Partial<Credentials> = {}): string {
  const decision = authorize(policy, { credentials: credentials(given), type, row: ROW, deed });
  return decision.kind === 'refused' ? refusal(decision.rules).message : decision.kind;
}

test('a refusal names the rules that failed, in Neutron’s words', () => {
  const choice = { mac_address: 'fa:16:3e:00:00:02', fixed_ips: [{ ip_address: '10.0.0.5' }], name: 'b' };
  const deed: Deed = { verb: 'create', object: { ...PORT, ...choice }, given: Object.keys(choice) };
  assert.equal(
    answer(policyOf(), 'port', deed),
    '((rule:create_port and rule:create_port:mac_address) and rule:create_port:fixed_ips:ip_address) is disallowed by policy',
  );
  assert.equal(answer(policyOf({ create_port: '!' }), 'port', deed), 'rule:create_port is disallowed by policy');
  const error = refusal(['create_port']);
  assert.equal(`${error.status} ${error.type}`, '403 PolicyNotAuthorized');
});

test('an object that may not be seen is hidden, one that may be seen but not changed is refused', () => {
  const network = { id: 'n', project_id: 'q', shared_with: ['*'] };
  const update = (before: { readonly id: string }): Deed => ({ verb: 'update', before, changes: { name: 'x' } });
  assert.equal(answer(policyOf(), 'network', update(network)), 'rule:update_network is disallowed by policy');
  assert.equal(
    answer(policyOf(), 'network', update({ ...network, shared_with: [] } as { readonly id: string })),
    'hidden',
  );
  assert.equal(
    answer(policyOf(), 'network', { verb: 'delete', before: network }),
    'rule:delete_network is disallowed by policy',
  );
  assert.equal(answer(policyOf(), 'host', { verb: 'action', before: { id: 'h' }, action: 'rename' }), 'hidden');
  const seen = policyOf({ get_host: '' });
  const rename: Deed = { verb: 'action', before: { id: 'h' }, action: 'rename' };
  assert.equal(answer(seen, 'host', rename), 'rule:rename_host is disallowed by policy');
  assert.equal(answer(seen, 'host', rename, { roles: ['admin'] }), 'allowed');
});

test('a create asks for what was given and is not the default', () => {
  const policy = policyOf({
    'create_port:name': '!',
    'create_port:tenant_id': 'role:admin',
    'create_port:binding:profile:x': '!',
  });
  const create = (object: object, given: readonly string[]): string =>
    answer(policy, 'port', { verb: 'create', object: { ...PORT, ...object }, given });
  assert.equal(create({}, []), 'allowed');
  assert.match(create({}, ['name']), /create_port:name\)/);
  assert.equal(create({ name: '' }, ['name']), 'allowed');
  assert.match(create({ 'binding:profile': {} }, ['binding:profile']), /profile/, 'Neutron has no default for it');
  assert.match(create({}, ['project_id']), /create_port:tenant_id/);
  const profile = (value: object): string => create({ 'binding:profile': value }, ['binding:profile']);
  assert.doesNotMatch(profile({ y: 1 }), /profile:x/);
  assert.match(profile({ x: 1 }), /profile:x/);
});

test('an update asks its own rule of the object before, and those of attributes of the object after', () => {
  const policy = policyOf({
    update_port: "'a':%(name)s",
    'update_port:name': "'b':%(name)s and rule:owner",
    'update_port:description': '!',
  });
  const update = (changes: object): string =>
    answer(policy, 'port', { verb: 'update', before: PORT, changes: { ...changes } });
  assert.equal(update({ name: 'b' }), 'allowed');
  assert.match(update({ name: 'c' }), /update_port:name/);
  assert.match(update({ description: '' }), /update_port:description/);
  const foreign = { ...PORT, project_id: 'q' };
  const stolen: Deed = { verb: 'update', before: foreign, changes: { name: 'b', project_id: 'p' } };
  assert.match(
    answer(policyOf({ get_port: '', update_port: '', 'update_port:name': 'rule:owner' }), 'port', stolen),
    /name/,
  );
});

test('some attributes are free in an update that leaves them as they are', () => {
  const update = (changes: object): string =>
    answer(policyOf(), 'port', { verb: 'update', before: { ...PORT, ...BINDING }, changes: { ...changes } });
  const BINDING = {
    'binding:vnic_type': 'normal',
    'binding:host_id': '',
    fixed_ips: [{ subnet_id: 's', ip_address: '10.0.0.5' }],
  };
  assert.equal(
    update({ 'binding:vnic_type': 'normal', fixed_ips: [{ subnet_id: 's', ip_address: '10.0.0.5' }] }),
    'allowed',
  );
  assert.match(update({ 'binding:vnic_type': 'baremetal' }), /vnic_type/);
  assert.match(update({ fixed_ips: [] }), /fixed_ips/);
  assert.match(update({ 'binding:host_id': '' }), /host_id/);
});

test('a value that the caller may not see is not free to be guessed', () => {
  const update = (check: string): string =>
    answer(policyOf({ 'get_port:device_owner': check, 'update_port:device_owner': '!' }), 'port', {
      verb: 'update',
      before: PORT,
      changes: { device_owner: '' },
    });
  assert.equal(update('@'), 'allowed');
  assert.match(update('role:admin'), /update_port:device_owner/);
  assert.match(update("'x':%(name)s"), /update_port:device_owner/);
});

test('an operator’s rules for members and readers, as Neutron has them today, tell the two apart', () => {
  const member = '(rule:admin_only) or (role:member and project_id:%(project_id)s)';
  const policy = policyOf({
    create_network: member,
    get_network: '(rule:admin_only) or (role:reader and project_id:%(project_id)s) or rule:shared',
    update_network: member,
    delete_network: member,
  });
  const deeds: readonly Deed[] = [
    { verb: 'create', object: { project_id: 'p' }, given: [] },
    { verb: 'update', before: { id: 'n', project_id: 'p' } as { readonly id: string }, changes: {} },
    { verb: 'delete', before: { id: 'n', project_id: 'p' } as { readonly id: string } },
  ];
  const answers = (roles: readonly string[], projectId: string): readonly string[] =>
    deeds.map((deed) => answer(policy, 'network', deed, { roles, projectId }).replace(/ .*/, ''));
  assert.deepEqual(answers(['member', 'reader'], 'p'), ['allowed', 'allowed', 'allowed']);
  assert.deepEqual(answers(['reader'], 'p'), ['rule:create_network', 'rule:update_network', 'rule:delete_network']);
  assert.deepEqual(answers(['member', 'reader'], 'q'), ['rule:create_network', 'hidden', 'hidden']);
  assert.deepEqual(answers(['admin'], 'q'), ['allowed', 'allowed', 'allowed']);
  const list = policy.for(credentials({ roles: ['reader'] })).visibility('network', ROW);
  assert.deepEqual(list.kind === 'lookups' && list.lookups.map((one) => one.attribute), [
    'project_id',
    'shared_with',
    'shared_with',
  ]);
});

test('a verb without a rule has the rule default', () => {
  const policy = createPolicy({
    rules: DEFAULT_RULES.filter((rule) => rule.name !== 'create_router'),
    models: BUILT_IN_RESOURCES,
  });
  const create = (project_id: string): string =>
    answer(policy, 'router', { verb: 'create', object: { project_id }, given: [] });
  assert.equal(create('p'), 'allowed');
  assert.equal(create('q'), 'rule:create_router is disallowed by policy');
});

test('a type that brings no rules has those that its declaration says', () => {
  const policy = createPolicy({ rules: BASE_RULES, overrides: { get_network: '!' }, models: BUILT_IN_RESOURCES });
  assert.deepEqual(policy.warnings, []);
  const create = (given: string, caller: Partial<Credentials>): string =>
    answer(policy, 'network', { verb: 'create', object: { project_id: 'p', [given]: true }, given: [given] }, caller);
  assert.equal(create('name', {}), 'allowed');
  assert.match(create('shared', {}), /create_network:shared/);
  assert.equal(create('shared', { roles: ['admin'] }), 'allowed');
  assert.equal(answer(policy, 'network', { verb: 'delete', before: { id: 'n' } }, { roles: ['admin'] }), 'hidden');
  assert.equal(answer(policy, 'agent', { verb: 'delete', before: { id: 'a' } }), 'hidden');
});

test('the rule of an action is named for the type', () => {
  assert.equal(actionRule({ type: 'router', plural: 'routers' }, 'add_router_interface'), 'add_router_interface');
  assert.equal(actionRule({ type: 'host', plural: 'hosts' }, 'rename'), 'rename_host');
  assert.equal(actionRule({ type: 'port', plural: 'ports' }, 'report'), 'report_port');
  const qos = BUILT_IN_RESOURCES.find(({ type }) => type === 'qos_policy');
  assert.equal(qos && actionRule(qos, 'update_tag'), 'update_policies_tags');
});

test('attributes are hidden by the credentials, or from object to object', () => {
  const policy = policyOf({
    'get_port:name': 'rule:owner',
    'get_port:tenant_id': 'role:auditor',
    'get_port:status': 'user_id:u',
  });
  const view = policy.for(credentials({ userId: 'x' }));
  const hidden = view.hiddenAttributes('port');
  for (const name of ['binding:host_id', 'project_id', 'tenant_id', 'status']) assert.ok(hidden.always.has(name), name);
  assert.deepEqual([...hidden.sometimes], ['name']);
  assert.equal(policy.for(credentials()).hiddenAttributes('port').always.has('status'), false);
  const of = (project_id: string): readonly string[] => [
    ...view.hiddenOf({ type: 'port', object: { ...PORT, project_id }, row: ROW }),
  ];
  assert.deepEqual(of('p'), []);
  assert.deepEqual(of('q'), ['name']);
});

test('callers of a class share what is hidden from them', () => {
  const policy = policyOf();
  const [one, other] = [credentials({ userId: 'a' }), credentials({ userId: 'b' })].map((given) => policy.for(given));
  assert.equal(one?.hiddenAttributes('port'), other?.hiddenAttributes('port'));
});
