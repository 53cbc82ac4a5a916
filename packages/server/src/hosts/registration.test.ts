import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Table } from '@cable/kit';
import type { AnyObject } from '@cable/model';
import type { Tables } from '../tables.ts';
import type { HostIdentity } from './identity.ts';
import { planFromTables } from './registration.ts';

test('nothing is made of an entry that is refused: what the host has said still counts', () => {
  const rows = {
    host: new Table<AnyObject>('host', { underlay: (row: AnyObject) => [String(row['underlay'])] }),
    alive: new Table<AnyObject>('alive', {}),
  };
  const tables = { of: (type: 'host' | 'alive') => rows[type], modRevision: () => 1 } as unknown as Tables;
  rows.host.put('h1', { id: 'h1', underlay: '192.0.2.1' });
  rows.alive.put('h1', { id: 'h1', server: 'a', entry: 1, agentId: 'm1', session: 's1', underlay: '192.0.2.1' });
  const entered: string[] = [];
  const context = {
    hasStream: () => true,
    aliveOp: ({ host }: { readonly host: string }) => {
      entered.push(host);
      return { kind: 'put', key: host, value: '' } as const;
    },
    now: () => new Date(),
  };
  const other: HostIdentity = { agentId: 'm2', session: 's2', previousSession: null, underlay: '192.0.2.2' };
  const plan = (identity: HostIdentity, agentVersion: string | undefined) =>
    planFromTables(tables, context, {
      ...{
        host: 'h1',
        identity,
        agentVersion,
        underlayMtu: null,
        bridgeMappings: {},
        bandwidth: {},
        availabilityZone: 'nova',
        cluster: null,
        features: [],
      },
    });
  assert.throws(() => plan(other, '1'), { code: 'HostNameInUse' });
  assert.throws(() => plan({ ...other, underlay: '192.0.2.1' }, undefined), { code: 'HostSuperseded' });
  assert.deepEqual(entered, []);
  assert.ok(plan({ ...other, underlay: '192.0.2.1' }, '1') !== undefined);
  assert.deepEqual(entered, ['h1']);
});

test('a host that is being renamed is not kept alive by what the tables showed before', () => {
  const host = new Table<AnyObject>('host', { underlay: (row: AnyObject) => [String(row['underlay'])] });
  const rows = { host, alive: new Table<AnyObject>('alive', {}) };
  const tables = { of: (type: 'host' | 'alive') => rows[type], modRevision: () => 7 } as unknown as Tables;
  const context = {
    hasStream: () => true,
    aliveOp: () => ({ kind: 'put', key: 'alive', value: '' }) as const,
    now: () => new Date(),
  };
  const identity: HostIdentity = { agentId: 'm', session: 's', previousSession: null, underlay: '192.0.2.1' };
  const plan = () =>
    planFromTables(tables, context, {
      host: 'h1',
      identity,
      agentVersion: undefined,
      underlayMtu: null,
      bridgeMappings: {},
      bandwidth: {},
      availabilityZone: 'nova',
      cluster: null,
      features: [],
    });
  host.put('h1', { id: 'h1', underlay: '192.0.2.1' });
  assert.deepEqual(plan()?.compares[0], { kind: 'modRevision', key: '/cable/o/host/h1', revision: 7 });
  for (const attribute of ['_renamed_to', '_renamed_from']) {
    host.put('h1', { id: 'h1', underlay: '192.0.2.1', [attribute]: 'h2' });
    assert.equal(plan(), undefined);
  }
});
