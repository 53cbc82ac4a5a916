import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BUILT_IN_RESOURCES } from '@cable/model';
import type { Credentials } from './credentials.ts';
import {
  credentials,
  naively,
  pick,
  randomCredentials,
  randomOf,
  randomRule,
  randomWorld,
  rowsOf,
  seesNaively,
} from './policy.fixture.ts';
import { createPolicy, type Policy } from './policy.ts';
import { parseRule, type RuleText } from './rule-text.ts';
import { PolicyError, type RuleDefault } from './rules.ts';

const MODELS = BUILT_IN_RESOURCES;

function policyOf(rules: Readonly<Record<string, RuleText>>): Policy {
  const defaults: RuleDefault[] = Object.entries(rules).map(([name, check]) => ({
    ...{ name, check, description: name },
    scope: 'any',
  }));
  return createPolicy({ rules: defaults, models: MODELS });
}

const WORLD = {
  network: [
    { id: 'mine', project_id: 'p', shared_with: [] },
    { id: 'shared', project_id: 'q', shared_with: ['*'] },
    { id: 'foreign', project_id: 'q', shared_with: [] },
    { id: 'granted', project_id: 'q', shared_with: ['r', 'p'] },
    { id: 'not granted', project_id: 'q', shared_with: ['r'] },
  ],
  security_group: [{ id: 'group', project_id: 'p' }],
};

test('a rule is asked of credentials and target', () => {
  const admin = { roles: ['Admin'] };
  const system = { projectId: null, systemScope: 'all' };
  const token = {
    others: { token: { user: { id: 'u', domain: { id: 'd' } }, catalog: [{ id: 'a' }, { id: 'b' }], off: false } },
  };
  for (const [rule, given, object, expected] of [
    ['', {}, {}, true],
    ['!', {}, {}, false],
    ['role:admin', {}, {}, false],
    ['role:ADMIN', admin, {}, true],
    ['role:%(wanted)s', {}, { wanted: 'MEMBER' }, true],
    ['role:%(wanted)s', {}, {}, false],
    ['is_admin:True', admin, {}, true],
    ['is_admin:True', {}, {}, false],
    ['is_admin:False', {}, {}, true],
    ['is_admin:True', { isAdmin: true }, {}, true],
    ['is_admin:True', { ...admin, isAdmin: false }, {}, false],
    ['project_id:%(project_id)s', {}, { project_id: 'p' }, true],
    ['project_id:%(project_id)s', {}, { project_id: 'q' }, false],
    ['project_id:%(project_id)s', {}, {}, false],
    ['tenant_id:%(tenant_id)s', {}, { project_id: 'p' }, true],
    ['project_id:%(project_id)s', system, { project_id: null }, false],
    ['project_id:None', system, {}, true],
    ['project_id:None', {}, {}, false],
    ['project_id:p', {}, {}, true],
    ['user_id:%(owner)s', {}, { owner: 'u' }, true],
    ['domain_id:d', { domainId: 'd' }, {}, true],
    ['user_domain_id:d', {}, {}, true],
    ['system_scope:all', system, {}, true],
    ['system_scope:all', {}, {}, false],
    ["'x':%(name)s", {}, { name: 'x' }, true],
    ['None:%(name)s', {}, { name: null }, true],
    ['None:%(name)s', {}, { name: '' }, false],
    ['None:%(name)s', {}, {}, false],
    ['True:%(flag)s', {}, { flag: true }, true],
    ['True:%(flag)s', {}, { flag: false }, false],
    ['False:%(flag)s', {}, { flag: false }, true],
    ['12:%(n)s', {}, { n: 12 }, true],
    ['project_id:%(list)s', {}, { list: ['p'] }, false],
    ['user_id:%(a)s%%%(b)s', { userId: 'x%y' }, { a: 'x', b: 'y' }, true],
    ['token.user.domain.id:%(target.domain)s', token, { target: { domain: 'd' } }, true],
    ['token.user.domain.id:%(target.domain)s', token, { 'target.domain': 'd' }, true],
    ['token.user.domain.id:%(target.domain)s', token, { target: {} }, false],
    ['token.catalog.id:b', token, {}, true],
    ['token.catalog.id:c', token, {}, false],
    ['token.user:u', token, {}, false],
    ['token.off:False', token, {}, true],
    ['token.user.constructor.name:Object', token, {}, false],
    ['constructor.name:Object', {}, {}, false],
    ["'Object':%(a.constructor.name)s", {}, { a: {} }, false],
    ['nothing:%(name)s', {}, { name: 'x' }, false],
    ['tenant_id:%(network:tenant_id)s', {}, { network_id: 'mine' }, true],
    ['tenant_id:%(network:tenant_id)s', {}, { network_id: 'foreign' }, false],
    ['tenant_id:%(network:tenant_id)s', {}, { network_id: 'gone' }, false],
    ['tenant_id:%(network:tenant_id)s', {}, {}, false],
    ['tenant_id:%(router:tenant_id)s', {}, { router_id: 'r' }, false],
    ['field:networks:shared=True', {}, { network_id: 'shared' }, true],
    ['field:networks:shared=True', {}, { network_id: 'mine' }, false],
    ['field:networks:shared=True', {}, { shared: true }, true],
    ['field:network:shared=1', {}, { shared: true }, true],
    ['field:networks:shared=False', {}, { network_id: 'mine' }, true],
    ['field:networks:shared=False', {}, {}, false],
    ['field:networks:shared=True', {}, { network_id: 'granted' }, true],
    ['field:networks:shared=True', {}, { network_id: 'not granted' }, false],
    ['field:networks:shared=True', { projectId: null }, { network_id: 'granted' }, false],
    ['field:networks:shared=True', { projectId: null }, { network_id: 'shared' }, true],
    ['True:%(shared)s', {}, { shared_with: ['p'] }, true],
    ['True:%(network:shared)s', {}, { network_id: 'granted' }, true],
    ['False:%(network:shared)s', {}, { network_id: 'not granted' }, true],
    ['field:port:device_owner=~^network:', {}, { device_owner: 'network:dhcp' }, true],
    ['field:port:device_owner=~^network:', {}, { device_owner: 'compute:nova' }, false],
    ['field:port:device_owner=~network', {}, { device_owner: 'my network' }, false],
    ['field:port:device_owner=', {}, { device_owner: '' }, true],
    ['field:port:mtu=1500', {}, { mtu: 1500 }, true],
    ['field:port:binding:vnic_type=baremetal', {}, { 'binding:vnic_type': 'baremetal' }, true],
    ['None:%(binding:host_id)s', {}, { 'binding:host_id': null }, true],
    ["'h':%(binding:host_id)s", {}, { 'binding:host_id': 'h' }, true],
    ['not role:member', {}, {}, false],
    ['not project_id:%(project_id)s', {}, { project_id: 'q' }, true],
    ['role:admin or project_id:%(project_id)s and not role:dunce', {}, { project_id: 'p' }, true],
    ['(role:admin or project_id:%(project_id)s) and role:dunce', {}, { project_id: 'p' }, false],
    [[['role:admin'], ['project_id:%(project_id)s', 'role:member']], {}, { project_id: 'p' }, true],
    ['rule:nobody', {}, {}, false],
    ['rule:owner', {}, { project_id: 'p' }, true],
  ] as readonly (readonly [RuleText, Partial<Credentials>, object, boolean])[]) {
    const policy = policyOf({ asked: rule, context_is_admin: 'role:admin', owner: 'project_id:%(project_id)s' });
    const target = { type: 'port', object: { ...object }, row: rowsOf(WORLD) };
    const name = `${JSON.stringify(rule)} by ${JSON.stringify(given)} of ${JSON.stringify(object)}`;
    assert.equal(policy.for(credentials(given)).allows('asked', target), expected, name);
  }
});

test('the parent of a part is what a delete of it cascades from', () => {
  const policy = policyOf({ asked: 'tenant_id:%(ext_parent:tenant_id)s' });
  const view = policy.for(credentials());
  const ask = (type: string, object: object): boolean =>
    view.allows('asked', { type, object: { ...object }, row: rowsOf(WORLD) });
  assert.equal(ask('security_group_rule', { security_group_id: 'group' }), true);
  assert.equal(ask('subnet', { network_id: 'mine' }), true);
  assert.equal(ask('subnet', { network_id: 'foreign' }), false);
  assert.equal(ask('port', { network_id: 'mine' }), false);
});

test('a rule that is not there is the rule default, and nothing without that', () => {
  const target = { type: 'port', object: {}, row: rowsOf({}) };
  assert.equal(policyOf({}).for(credentials()).allows('get_port', target), false);
  assert.equal(policyOf({ default: '@' }).for(credentials()).allows('get_port', target), true);
  const policy = policyOf({ default: 'role:member', asked: 'not rule:unknown' });
  assert.equal(policy.for(credentials()).allows('asked', target), false);
  assert.match(policy.warnings.join(), /asked refers to unknown, which is not there: the rule default stands for it/);
});

test('is_admin is what context_is_admin says, whatever that rests on', () => {
  const policy = policyOf({ context_is_admin: 'is_admin:True or role:boss or project_id:ops', asked: 'is_admin:True' });
  const ask = (given: Partial<Credentials>): boolean =>
    policy.for(credentials(given)).allows('asked', { type: 'port', object: {}, row: rowsOf({}) });
  assert.equal(ask({ roles: ['BOSS'] }), true);
  assert.equal(ask({ projectId: 'ops' }), true);
  assert.equal(ask({}), false);
  assert.equal(policy.for(credentials({ projectId: 'ops' })).isAdmin, true);
  // The rule default does not stand for this one.
  assert.equal(policyOf({ default: '@' }).for(credentials()).isAdmin, false);
});

test('no number of sets of roles makes a difference', () => {
  const policy = policyOf({ asked: 'role:r2999 or role:r0' });
  const target = { type: 'port', object: {}, row: rowsOf({}) };
  const first = policy.for(credentials({ roles: ['r0'] }));
  const allowed = Array.from({ length: 3000 }, (_, at) =>
    policy.for(credentials({ roles: [`r${at}`] })).allows('asked', target),
  );
  assert.deepEqual([allowed.filter(Boolean).length, allowed[0], allowed[2999]], [2, true, true]);
  assert.equal(first.allows('asked', target), true);
});

test('the name of a role does not make it several', () => {
  const policy = policyOf({ context_is_admin: 'role:admin' });
  for (const separator of ['\n', ',', '","', '\0', ' ']) {
    assert.equal(policy.for(credentials({ roles: ['x', 'admin'] })).isAdmin, true);
    assert.equal(policy.for(credentials({ roles: [`x${separator}admin`] })).isAdmin, false, JSON.stringify(separator));
    assert.equal(policy.for(credentials({ systemScope: `null${separator}admin`, roles: [] })).isAdmin, false);
  }
});

test('an override takes the place of a default, and may add rules', () => {
  const rules = [{ name: 'get_port', check: '!', description: '' }];
  const policy = createPolicy({ rules, overrides: { get_port: 'rule:mine', mine: [['role:member']] }, models: MODELS });
  assert.equal(policy.for(credentials()).allows('get_port', { type: 'port', object: {}, row: rowsOf({}) }), true);
});

test('a policy that cannot work is refused with what is wrong in it', () => {
  const chain = (length: number): Readonly<Record<string, string>> =>
    Object.fromEntries(Array.from({ length }, (_, at) => [`r${at}`, at === 0 ? '@' : `rule:r${at - 1}`]));
  const doubling = (length: number): Readonly<Record<string, string>> =>
    Object.fromEntries(
      Array.from({ length }, (_, at) => [
        `r${at}`,
        at === 0 ? 'role:a' : `rule:r${at - 1} or (rule:r${at - 1} and role:b)`,
      ]),
    );
  for (const [rules, reason] of [
    [{ a: 'rule:b', b: 'role:x or not rule:c', c: 'rule:b' }, /policy rule b: it refers to itself: b -> c -> b/],
    [{ a: 'rule:a' }, /a -> a/],
    [{ default: 'rule:none' }, /default -> default/],
    [{ a: 'role:a and', b: 'role:' }, /policy rule a, character 11: a check.*\npolicy rule b, character 6/],
    [chain(40), /more than 20 rules/],
    [Object.fromEntries(Object.entries(chain(40)).reverse()), /more than 20 rules/],
    [doubling(20), /more than 10000 checks/],
  ] as readonly (readonly [Readonly<Record<string, string>>, RegExp])[]) {
    assert.throws(
      () => policyOf(rules),
      (err) => err instanceof PolicyError && reason.test(err.message),
      JSON.stringify(rules),
    );
  }
  assert.ok(policyOf(chain(20)));
  const twice = { name: 'a', check: '', description: '' };
  assert.throws(() => createPolicy({ rules: [twice, twice], models: MODELS }), /two defaults/);
});

test('rules about attributes that a type does not have are told of', () => {
  const { warnings } = policyOf({
    get_port: '@',
    'create_port:fixed_ip': '!',
    'get_port:binding:host_id': '!',
    'get_other:x': '!',
  });
  assert.deepEqual(
    warnings.filter((one) => /attribute/.test(one)),
    ['policy rule create_port:fixed_ip is never asked: a port has no such attribute'],
  );
});

test('a list whose rule gives nothing to look up is told of when the rule is loaded', () => {
  const scans = (check: string): boolean =>
    policyOf({ get_port: check }).warnings.some((one) => /get_port gives nothing to look up/.test(one));
  for (const check of [
    '@',
    '!',
    'role:admin',
    'role:admin or project_id:%(project_id)s',
    'not role:admin and project_id:%(project_id)s',
    'project_id:%(project_id)s and not field:port:name=~x',
    'user_id:%(device_id)s or field:networks:shared=True or tenant_id:%(network:tenant_id)s',
    'None:%(name)s and project_id:%(project_id)s',
  ]) {
    assert.equal(scans(check), false, check);
  }
  for (const check of [
    'not project_id:%(project_id)s',
    'role:auditor and not field:port:name=x',
    'role:admin or (role:member and field:port:name=~x)',
    'project_id:%(project_id)s or None:%(name)s',
    'project_id:%(binding:vif_details.x)s',
    "'tap':%(binding:vif_type)s",
    'project_id:p-%(name)s',
  ]) {
    assert.equal(scans(check), true, check);
  }
});

test('a rule that shows objects becomes look-ups', () => {
  const through = { attribute: 'network_id', type: 'network' };
  const GRANTED = ['*', 'p'].map((value) => ({ attribute: 'shared_with', value, through }));
  for (const [check, given, expected] of [
    ['@', {}, 'all'],
    ['!', {}, 'none'],
    ['role:admin or project_id:%(project_id)s', { roles: ['admin'] }, 'all'],
    ['role:admin', {}, 'none'],
    ['project_id:p', {}, 'all'],
    ['not project_id:p', {}, 'none'],
    ['role:admin or tenant_id:%(tenant_id)s', {}, [{ attribute: 'project_id', value: 'p', through: null }]],
    ['project_id:%(project_id)s', { projectId: null }, 'none'],
    ['tenant_id:%(network:tenant_id)s', {}, [{ attribute: 'project_id', value: 'p', through }]],
    ['project_id:%(router:project_id)s', {}, 'none'],
    ['field:networks:shared=True', {}, GRANTED],
    ['True:%(network:shared)s', {}, GRANTED],
    ['field:networks:shared=False', {}, 'scan'],
    ["'x':%(network:shared)s", {}, 'none'],
    ['field:networks:shared=x', {}, 'none'],
    ['field:ports:device_owner=compute', {}, [{ attribute: 'device_owner', value: 'compute', through: null }]],
    [
      'project_id:%(project_id)s and field:networks:shared=True',
      {},
      [{ attribute: 'project_id', value: 'p', through: null }],
    ],
    ['field:port:name=~x', {}, 'scan'],
    ['field:port:name=~x and role:admin', {}, 'none'],
    ['project_id:%(project_id)s', { projectId: 'None' }, 'scan'],
  ] as readonly (readonly [string, Partial<Credentials>, unknown])[]) {
    const visibility = policyOf({ get_port: check }).for(credentials(given)).visibility('port', rowsOf({}));
    assert.deepEqual(visibility.kind === 'lookups' ? visibility.lookups : visibility.kind, expected, check);
  }
});

test('compiled rules answer as naive ones do, and look-ups lead to every object that is shown', () => {
  const random = randomOf(20260101);
  let [allowed, looked, found] = [0, 0, 0];
  for (let round = 0; round < 600; round += 1) {
    const texts: Record<string, string> = {
      context_is_admin: pick(random, ['role:admin', 'project_id:q', 'is_admin:True']),
    };
    if (random() < 0.5) texts['default'] = randomRule(random, [], 1);
    for (const name of ['a', 'b', 'c', 'get_network', 'get_subnet', 'get_port']) {
      texts[name] = randomRule(
        random,
        [...Object.keys(texts), 'unknown'].filter((one) => one !== 'default'),
        3,
      );
    }
    const policy = policyOf(texts);
    const rules = new Map(
      Object.entries(texts).map(([name, text]) => {
        const parsed = parseRule(text);
        assert.ok(parsed.ok, text);
        return [name, parsed.expression];
      }),
    );
    const world = randomWorld(random);
    const row = rowsOf(world);
    for (let caller = 0; caller < 6; caller += 1) {
      const given = randomCredentials(random);
      const view = policy.for(given);
      for (const model of MODELS.filter((one) => world[one.name] !== undefined)) {
        const naive = { rules, credentials: given, model, row };
        const isAdmin = naively({ ...naive, isAdmin: false }, 'context_is_admin', {});
        assert.equal(view.isAdmin, isAdmin, `${texts['context_is_admin']} by ${JSON.stringify(given)}`);
        const visibility = view.visibility(model.name, row);
        for (const object of world[model.name] ?? []) {
          const rule = `get_${model.name}`;
          const expected = seesNaively({ ...naive, isAdmin }, object);
          const story = `${texts[rule]} of ${JSON.stringify({ texts, object, given })}`;
          assert.equal(view.allows(rule, { type: model.name, object, row }), expected, story);
          allowed += Number(expected);
          if (visibility.kind === 'all') assert.ok(expected, story);
          else if (visibility.kind === 'none') assert.ok(!expected, story);
          else assert.equal(visibility.sees(object), expected, story);
          if (visibility.kind !== 'lookups') continue;
          looked += 1;
          const isFound = visibility.lookups.some(({ attribute, value, through }) => {
            const owner = through === null ? object : row(through.type, String(object[through.attribute]));
            const held = owner?.[attribute];
            // An index has no rows without a value.
            if (Array.isArray(held)) return held.includes(value);
            return typeof value === 'boolean' ? held === value : held !== null && held !== '' && String(held) === value;
          });
          found += Number(isFound);
          assert.ok(isFound || !expected, story);
        }
      }
    }
  }
  assert.ok(allowed > 5000 && looked > 1000 && found < looked, `${allowed} ${looked} ${found}`);
});
