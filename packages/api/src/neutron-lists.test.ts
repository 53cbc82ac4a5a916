/** What lists can be filtered and sorted by, beside neutron-server 21. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BUILT_IN_RESOURCES, type ResourceModel } from '@cable/model';
import { NEUTRON_LISTS } from './neutron-lists.fixture.ts';
import { parseListQuery } from './query.ts';

const LISTED = BUILT_IN_RESOURCES.filter(
  ({ prefix, verbs, plural }) => prefix === '/v2.0' && verbs.includes('list') && NEUTRON_LISTS[plural] !== undefined,
);

/** What Neutron takes and Cable does not, with the reason. */
const NOT_FILTERED: Readonly<Record<string, string>> = {};
const NOT_SORTED: Readonly<Record<string, string>> = {
  'networks availability_zone_hints': 'a list has no order (Neutron sorts by its JSON)',
  'address_scopes shared': 'true for some callers and not for others, so no table has it in order',
  'subnetpools shared': 'the same',
  'subnetpools default_prefixlen': 'digits as text, as Neutron shows them: 8 would come behind 24',
  'subnetpools min_prefixlen': 'the same',
  'subnetpools max_prefixlen': 'the same',
};

/** What an attribute is asked by. */
function valueFor(model: ResourceModel, name: string): string {
  if (name === 'fixed_ips') return 'ip_address=10.0.0.1';
  const type = model.attributes[name]?.type;
  return type === 'boolean' ? 'True' : type === 'integer' ? '1' : 'x';
}

function takes(model: ResourceModel, query: string): boolean {
  try {
    parseListQuery(model, new URLSearchParams(query));
    return true;
  } catch {
    return false;
  }
}

function missing(
  kind: 'filters' | 'sorts',
  queryFor: (model: ResourceModel, name: string) => string,
): readonly string[] {
  return LISTED.flatMap((model) => {
    const standard = kind === 'filters' && model.standard ? ['description', 'revision_number'] : [];
    const names = [...(NEUTRON_LISTS[model.plural]?.[kind] ?? '').split(' ').filter(Boolean), ...standard];
    return names.filter((name) => !takes(model, queryFor(model, name))).map((name) => `${model.plural} ${name}`);
  });
}

test('every list of Neutron’s is there', () => {
  const listed = new Set(LISTED.map(({ plural }) => plural));
  assert.deepEqual(
    Object.keys(NEUTRON_LISTS).filter((plural) => !listed.has(plural)),
    [],
  );
});

test('lists are filtered by whatever Neutron filters by', () => {
  const found = missing('filters', (model, name) => `${name}=${valueFor(model, name)}`);
  assert.deepEqual([...found].sort(), Object.keys(NOT_FILTERED).sort());
});

test('lists are sorted by whatever Neutron sorts by, but for what has a reason', () => {
  const found = missing('sorts', (_model, name) => `sort_key=${name}&sort_dir=asc`);
  assert.deepEqual([...found].sort(), Object.keys(NOT_SORTED).sort());
});
