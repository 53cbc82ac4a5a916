/** Where networks are placed, without a server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DispatchDefault, Plugin } from '@cable/model';
import { type DispatchRows, type Placement, place } from './dispatch.ts';

const WANTED: Placement = { resource: 'network', flavor: null, project: 'p', zones: [], networkType: null };

const plugin = (name: string, more: object = {}): Plugin =>
  ({
    ...{ name, state: 'Ready', problem: null, limits: {} },
    capabilities: { contract: 1, resources: { network: ['create'] }, network_types: ['geneve'], ...more },
  }) as unknown as Plugin;

const rows = (more: Partial<DispatchRows> = {}): DispatchRows => ({
  ...{ plugins: [], rules: [], defaultOf: () => undefined, hostZones: new Set(['nova']), ...more },
});

test('regression: a type that is asked for beats a default flavor, not a flavor that is asked for', () => {
  const all = { project_id: '*', plugin: 'vrouter', network_flavor: 'overlay', router_flavor: null };
  const given = rows({ defaultOf: (project) => (project === '*' ? (all as DispatchDefault) : undefined) });
  const of = (more: Partial<Placement>) => {
    const { flavor, networkType, refusal } = place(given, { ...WANTED, ...more });
    return [flavor, networkType, refusal?.kind ?? null];
  };
  assert.deepEqual(of({}), ['overlay', 'vxlan', null]);
  assert.deepEqual(of({ networkType: 'vxlan' }), ['overlay', 'vxlan', null]);
  assert.deepEqual(of({ networkType: 'vlan' }), [null, 'vlan', null]);
  assert.deepEqual(of({ networkType: 'vlan', flavor: 'overlay' }), ['overlay', null, 'cannot']);
});

test('a zone is reached by who has it; who names none reaches those of hosts', () => {
  const plugins = [plugin('all'), plugin('pod', { zones: ['pod1'] })];
  const found = (zones: readonly string[]) => {
    const { backend, candidates } = place(rows({ plugins }), { ...WANTED, zones });
    return [backend?.name ?? null, candidates.filter(({ can }) => can).map((one) => one.backend)];
  };
  assert.deepEqual(found(['pod1']), ['pod', ['pod']]);
  assert.deepEqual(found(['nova']), ['vrouter', ['vrouter', 'all']]);
  assert.deepEqual(found(['nowhere']), [null, []]);
  assert.deepEqual(found([]), ['vrouter', ['vrouter', 'all', 'pod']]);
});
