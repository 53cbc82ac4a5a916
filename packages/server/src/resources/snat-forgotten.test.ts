import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Port, SnatLease } from '@cable/model';
import { SnatForgotten, type SnatForgottenDeps } from './snat-forgotten.ts';

const LEASE = { id: 'l', router_id: 'r', host_id: 'h1' } as SnatLease;
const HOUR = 3_600_000;

function gatewayOn(host: string, ...standbys: readonly string[]): Port {
  const owner = { device_owner: 'network:router_gateway', device_id: 'r' };
  return { id: 'g', ...owner, 'binding:host_id': host, standby_hosts: standbys } as unknown as Port;
}

/** Rows that a test makes. The lease was last changed at revision 10. */
class Bed {
  ms = 0;
  gateway: Port | undefined = gatewayOn('h2', 'h3');
  readonly hosts = new Set(['h1', 'h2', 'h3', 'h4']);
  readonly alive = new Set(this.hosts);
  /** What each has programmed. */
  readonly acked: Record<string, number> = { h1: 10, h2: 10, h3: 10, h4: 10 };
  readonly forgotten: SnatForgotten;

  constructor() {
    const row = (type: string, id: string): unknown => {
      if (type === 'host') return this.hosts.has(id) ? { id } : undefined;
      if (type === 'alive') return this.alive.has(id) ? { server: 's' } : undefined;
      if (type === 'router') return this.gateway === undefined ? undefined : { gateway_port_id: 'g' };
      return id === 'g' ? this.gateway : undefined;
    };
    const tables = { of: (type: string) => ({ get: (id: string) => row(type, id) }), modRevision: () => 10 };
    this.forgotten = new SnatForgotten({
      tables: tables as unknown as SnatForgottenDeps['tables'],
      monotonicMs: () => this.ms,
      acknowledged: (host) => this.acked[host] ?? 0,
    });
  }

  move(revision: number, to: Port | undefined): void {
    const before = this.gateway;
    this.gateway = to;
    this.forgotten.take(revision, { before: before as never, after: to as never });
  }

  get isFree(): boolean {
    return this.forgotten.isForgotten(LEASE);
  }
}

test('what is taken back is free when the lease’s host, the gateway’s and those that stand by have programmed that', () => {
  const bed = new Bed();
  assert.ok(bed.isFree);
  for (const host of ['h1', 'h2', 'h3']) {
    bed.acked[host] = 9;
    assert.ok(!bed.isFree, host);
    bed.acked[host] = 10;
  }
  bed.acked['h4'] = 0;
  assert.ok(bed.isFree, 'others never had it');
});

test('a host that may not have the gateway any more, but has not said that it knows, counts', () => {
  const bed = new Bed();
  Object.assign(bed.acked, { h2: 5, h3: 5, h4: 9 });
  bed.move(8, gatewayOn('h4'));
  bed.acked['h4'] = 10;
  assert.ok(!bed.isFree);
  bed.acked['h2'] = 8;
  assert.ok(!bed.isFree, 'h3 may have taken the place of h2');
  bed.acked['h3'] = 8;
  assert.ok(bed.isFree, 'they know that they have no gateway');
  bed.acked['h4'] = 9;
  bed.move(11, undefined);
  assert.ok(!bed.isFree, 'the router is gone');
  bed.acked['h4'] = 10;
  assert.ok(bed.isFree);
});

test('one that is silent for an hour is dead, whoever else is waited for meanwhile; one that is gone knows nothing', () => {
  const bed = new Bed();
  bed.acked['h2'] = 0;
  for (const host of ['h1', 'h3']) bed.alive.delete(host);
  assert.ok(!bed.isFree);
  bed.ms = HOUR - 1;
  bed.acked['h2'] = 10;
  assert.ok(!bed.isFree);
  bed.ms = HOUR;
  assert.ok(bed.isFree);
  bed.alive.add('h1');
  bed.acked['h1'] = 3;
  assert.ok(!bed.isFree, 'it lives');
  bed.hosts.delete('h1');
  assert.ok(bed.isFree);
});
