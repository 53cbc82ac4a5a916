/** The default rules decide what was decided before there were rules: by declarations, and by checks in hooks. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AnyObject, BUILT_IN_RESOURCES, type ResourceModel } from '@cable/model';
import { authorize, type Decision, type Deed } from './authorize.ts';
import { credentialsOf } from './credentials.ts';
import { DEFAULT_RULES } from './defaults/all.ts';
import { BASE_RULES } from './defaults/base.ts';
import { rulesOfDeclaration } from './defaults/declared.ts';
import { rowsOf, type World } from './policy.fixture.ts';
import { createPolicy } from './policy.ts';

const MODELS = new Map(BUILT_IN_RESOURCES.map((model) => [model.type, model]));
const POLICY = createPolicy({ rules: DEFAULT_RULES, models: BUILT_IN_RESOURCES });
const PROJECTS = ['p', 'q'] as const;
type Caller = { readonly projectId: string; readonly isAdmin: boolean };
const CALLERS: readonly Caller[] = [...PROJECTS, 'r'].flatMap((projectId) =>
  [false, true].map((isAdmin) => ({ projectId, isAdmin })),
);

/** Every owner, shared and not; a part of each in each. */
function smallWorld(): World {
  const network = PROJECTS.flatMap((project_id) =>
    [false, true].map((shared) => ({ id: `n-${project_id}-${shared}`, project_id, shared })),
  );
  const security_group = PROJECTS.map((project_id) => ({ id: `g-${project_id}`, project_id }));
  const parts = (prefix: string, attribute: string, parents: readonly AnyObject[]): readonly AnyObject[] =>
    PROJECTS.flatMap((project_id) =>
      parents.map(({ id }) => ({ id: `${prefix}-${project_id}-${id}`, project_id, [attribute]: id })),
    );
  const port = parts('port', 'network_id', network).flatMap((one) =>
    ['', 'network:dhcp'].map((device_owner) => ({ ...one, id: `${one.id}-${device_owner}`, device_owner, ...PORT })),
  );
  return {
    network,
    security_group,
    port,
    subnet: parts('subnet', 'network_id', network),
    router: PROJECTS.map((project_id) => ({ id: `r-${project_id}`, project_id })),
    security_group_rule: parts('rule', 'security_group_id', security_group),
    host: [{ id: 'h' }],
    agent: [{ id: 'a' }],
  };
}

const PORT = {
  mac_address: 'fa:16:3e:00:00:01',
  fixed_ips: [{ subnet_id: 's', ip_address: '10.0.0.5' }],
  port_security_enabled: true,
  allowed_address_pairs: [],
  'binding:host_id': '',
  'binding:vnic_type': 'normal',
  'binding:profile': {},
};

const WORLD = smallWorld();
const ROW = rowsOf(WORLD);

function decide(type: string, caller: Caller, deed: Deed): Decision {
  return authorize(POLICY, { credentials: credentialsOf(caller), type, row: ROW, deed });
}

/** What was decided, restated. */
const TODAY = {
  sees(model: ResourceModel, object: AnyObject, caller: Caller): boolean {
    if (caller.isAdmin) return true;
    if (model.adminOnly) return false;
    if (object['project_id'] === caller.projectId) return true;
    if (model.sharedBy !== undefined && object[model.sharedBy] === true) return true;
    const parent = parentOf(model, object, model.visibleThrough);
    const sharedBy = parent?.model.sharedBy;
    if (sharedBy !== undefined && parent?.object?.[sharedBy] === true) return true;
    return TODAY.ownsParent(model, object, caller);
  },
  ownsParent(model: ResourceModel, object: AnyObject, caller: Caller): boolean {
    return parentOf(model, object, model.ownedThrough)?.object?.['project_id'] === caller.projectId;
  },
  writes: (object: AnyObject, caller: Caller): boolean => caller.isAdmin || object['project_id'] === caller.projectId,
};

function parentOf(
  model: ResourceModel,
  object: AnyObject,
  through: string | undefined,
): { readonly model: ResourceModel; readonly object: AnyObject | undefined } | undefined {
  const parent = through === undefined ? undefined : MODELS.get(model.attributes[through]?.reference?.type ?? '');
  return parent && { model: parent, object: ROW(parent.name, String(object[through ?? ''])) };
}

function* everyCase(): Iterable<readonly [ResourceModel, AnyObject, Caller]> {
  for (const model of BUILT_IN_RESOURCES) {
    for (const object of WORLD[model.type] ?? []) for (const caller of CALLERS) yield [model, object, caller];
  }
}

test('the default rules load without a warning, and each has a description', () => {
  assert.deepEqual(POLICY.warnings, []);
  assert.deepEqual(
    DEFAULT_RULES.filter((rule) => !/^[A-Z].*\.$/.test(rule.description)),
    [],
  );
});

test('who sees, changes and deletes what is as before', () => {
  let cases = 0;
  for (const [model, object, caller] of everyCase()) {
    const name = `${model.type} ${object.id} by ${JSON.stringify(caller)}`;
    const expected = (allowed: boolean): string =>
      TODAY.sees(model, object, caller) ? (allowed ? 'allowed' : 'refused') : 'hidden';
    const changed = TODAY.writes(object, caller);
    const deleted = changed || TODAY.ownsParent(model, object, caller);
    assert.equal(
      decide(model.type, caller, { verb: 'update', before: object, changes: {} }).kind,
      expected(changed),
      name,
    );
    assert.equal(decide(model.type, caller, { verb: 'delete', before: object }).kind, expected(deleted), name);
    for (const { name: action } of model.actions ?? []) {
      // There were none before.
      if (action.endsWith('_port_binding') || action.endsWith('_port_bindings')) continue;
      assert.equal(
        decide(model.type, caller, { verb: 'action', before: object, action }).kind,
        expected(changed),
        name,
      );
    }
    cases += 1;
  }
  assert.ok(cases > 200, String(cases));
});

test('lists look where everything is that was seen before, and nowhere else than in indexes', () => {
  for (const [model, object, caller] of everyCase()) {
    const visibility = POLICY.for(credentialsOf(caller)).visibility(model.type, ROW);
    assert.notEqual(visibility.kind, 'scan');
    const isSeen = visibility.kind === 'all' || (visibility.kind === 'lookups' && visibility.sees(object));
    assert.equal(isSeen, TODAY.sees(model, object, caller), `${model.type} ${object.id} by ${JSON.stringify(caller)}`);
    if (visibility.kind !== 'lookups' || !isSeen) continue;
    const isFound = visibility.lookups.some(({ attribute, value, through }) => {
      const owner = through === null ? object : ROW(through.type, String(object[through.attribute]));
      return owner?.[attribute] === value;
    });
    assert.ok(isFound, `${model.type} ${object.id} by ${JSON.stringify(caller)}`);
  }
});

test('attributes of administrators are given, changed and seen by them alone, as before', () => {
  for (const model of BUILT_IN_RESOURCES) {
    for (const caller of CALLERS) {
      const hidden = POLICY.for(credentialsOf(caller)).hiddenAttributes(model.type);
      const expected = Object.entries(model.attributes).filter(([, one]) => one.seeBy === 'admin' && !caller.isAdmin);
      assert.deepEqual([...hidden.always].sort(), expected.map(([name]) => name).sort(), model.type);
      assert.equal(hidden.sometimes.size, 0);
    }
  }
  for (const [model, object, caller] of everyCase()) {
    if (!TODAY.writes(object, caller)) continue;
    for (const [attribute, { write, writeBy, updateBy, default: standard }] of Object.entries(model.attributes)) {
      const name = `${model.type}.${attribute} by ${JSON.stringify(caller)}`;
      if (write === 'update' || write === 'both') {
        const expected = caller.isAdmin || (writeBy ?? updateBy) !== 'admin';
        const value = attribute in object ? object[attribute] : 'x';
        const changes = { [attribute]: value };
        assert.equal(
          decide(model.type, caller, { verb: 'update', before: object, changes }).kind === 'allowed',
          expected,
          name,
        );
      }
      // Before, the default was refused too when it was given.
      if ((write !== 'create' && write !== 'both') || writeBy !== 'admin') continue;
      for (const [value, isDefault] of [
        [standard, true],
        ['x', false],
      ] as const) {
        if (value === undefined) continue;
        const deed: Deed = { verb: 'create', object: { ...object, [attribute]: value }, given: [attribute] };
        assert.equal(decide(model.type, caller, deed).kind === 'allowed', caller.isAdmin || isDefault, name);
      }
    }
  }
});

test('whoever sees the parents of an object creates it, but subnets only on its own networks, as before', () => {
  for (const [model, object, caller] of everyCase()) {
    // Another project than one's own is refused before rules are asked, and parents that are not seen are not found.
    if (model.adminOnly || !TODAY.writes(object, caller)) continue;
    const parents = Object.entries(model.attributes).flatMap(([through, { reference }]) => {
      const parent = reference === undefined ? undefined : parentOf(model, object, through);
      return parent?.object === undefined ? [] : [{ model: parent.model, object: parent.object }];
    });
    if (!parents.every((parent) => TODAY.sees(parent.model, parent.object, caller))) continue;
    const expected = model.type !== 'subnet' || parents.every((parent) => TODAY.writes(parent.object, caller));
    const given = Object.keys(object).filter((name) => name.endsWith('_id'));
    const decision = decide(model.type, caller, { verb: 'create', object, given });
    assert.equal(decision.kind === 'allowed', expected, `${model.type} ${object.id} by ${JSON.stringify(caller)}`);
  }
});

/** A value of an attribute of a port, and whether it was a choice that only the network's owner or only an admin had. */
const CHOICES = [
  { attribute: 'device_owner', value: 'compute:nova', who: 'all' },
  { attribute: 'device_owner', value: 'network:dhcp', who: 'admin' },
  { attribute: 'mac_address', value: 'fa:16:3e:00:00:02', who: 'network owner' },
  { attribute: 'port_security_enabled', value: false, who: 'network owner' },
  { attribute: 'allowed_address_pairs', value: [{ ip_address: '10.0.0.9' }], who: 'network owner' },
  { attribute: 'allowed_address_pairs', value: [], who: 'all' },
  { attribute: 'fixed_ips', value: [{ subnet_id: 's' }], who: 'all' },
  { attribute: 'fixed_ips', value: [{ subnet_id: 's' }, { ip_address: '10.0.0.9' }], who: 'network owner' },
  { attribute: 'binding:vnic_type', value: 'baremetal', who: 'admin' },
  { attribute: 'binding:vnic_type', value: 'normal', who: 'all' },
  { attribute: 'binding:host_id', value: 'h', who: 'admin' },
  { attribute: 'security_groups', value: [], who: 'all' },
] as const;

test('what may be chosen for a new port is as before', () => {
  for (const port of WORLD['port'] ?? []) {
    const network = ROW('network', String(port['network_id']));
    for (const caller of CALLERS) {
      if (network === undefined || !TODAY.writes(port, caller)) continue;
      for (const { attribute, value, who } of CHOICES) {
        const isOwner = TODAY.writes(network, caller);
        const expected = caller.isAdmin || who === 'all' || (who === 'network owner' && isOwner);
        const object = { ...port, [attribute]: value };
        const decision = decide('port', caller, { verb: 'create', object, given: ['network_id', attribute] });
        assert.equal(decision.kind === 'allowed', expected, `${attribute} ${port.id} by ${JSON.stringify(caller)}`);
      }
    }
  }
});

test('what may be changed of a port is as before', () => {
  for (const before of WORLD['port'] ?? []) {
    const network = ROW('network', String(before['network_id']));
    for (const caller of CALLERS) {
      if (network === undefined || !TODAY.writes(before, caller)) continue;
      for (const { attribute, value } of CHOICES) {
        const isChanged = JSON.stringify(before[attribute]) !== JSON.stringify(value);
        const isOwners = ['mac_address', 'port_security_enabled', 'allowed_address_pairs', 'fixed_ips'].includes(
          attribute,
        );
        const isAdmins =
          attribute === 'binding:host_id' ||
          attribute === 'mac_address' ||
          (isChanged && attribute === 'binding:vnic_type') ||
          (isChanged && attribute === 'device_owner' && value.startsWith('network:'));
        const expected: boolean =
          caller.isAdmin || !(isAdmins || (isChanged && isOwners && !TODAY.writes(network, caller)));
        const decision = decide('port', caller, { verb: 'update', before, changes: { [attribute]: value } });
        assert.equal(decision.kind === 'allowed', expected, `${attribute} ${before.id} by ${JSON.stringify(caller)}`);
      }
    }
  }
});

test('rules made from declarations decide as the rules of the types do, but for what hooks decided', () => {
  const declared = BUILT_IN_RESOURCES.flatMap((model) => rulesOfDeclaration(model, MODELS));
  const policy = createPolicy({ rules: [...BASE_RULES, ...declared], models: BUILT_IN_RESOURCES });
  assert.deepEqual(policy.warnings, []);
  for (const [model, object, caller] of everyCase()) {
    const [ours, theirs] = [policy, POLICY].map((one) => one.for(credentialsOf(caller)));
    for (const { name } of [...DEFAULT_RULES, ...declared]) {
      const isHooks = /^(create|update)_(subnet|port|security_group_rule)\b/.test(name) || name === 'network_device';
      const isOther = isHooks || name.includes('_port_binding') || !name.includes(`_${model.type}`);
      if (isOther || !declared.some((one) => one.name === name)) continue;
      // A verb that a type does not have has no rule.
      if (!DEFAULT_RULES.some((one) => one.name === name)) continue;
      const target = { type: model.type, object, row: ROW };
      assert.equal(
        ours?.allows(name, target),
        theirs?.allows(name, target),
        `${name} ${object.id} by ${JSON.stringify(caller)}`,
      );
    }
  }
});
