/** Policy routes of a Vpc: which are written, in which order. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError } from '@cable/api';
import type { AnyObject } from '@cable/model';
import { applyPolicies, type PolicyRoute } from './vpc.ts';
import { Unmet, type Work } from './work.ts';

/** A router with those policies: what is asked of it, in order. */
function bed(there: readonly AnyObject[], refused: readonly number[] = []) {
  const asked: string[] = [];
  const say = (verb: string, { priority, destination_ip_prefix: to }: Readonly<Record<string, unknown>>): void => {
    asked.push(`${verb} ${priority} ${to}`);
    if (refused.includes(Number(priority))) throw new ApiError(409, 'HTTPConflict', 'not now', '');
  };
  const policies = {
    list: async () => there,
    create: async (_type: string, body: Readonly<Record<string, unknown>>) => say('create', body),
    update: async (_type: string, _id: string, body: Readonly<Record<string, unknown>>) => say('update', body),
    delete: async (_type: string, id: string) => void asked.push(`delete ${id}`),
  };
  const work = {
    client: { within: () => policies },
    subnets: async (name: string) => {
      throw new Unmet('WaitsFor', `Subnet ${name} is not ready`);
    },
  } as unknown as Work;
  return { asked, apply: (routes: readonly PolicyRoute[]) => applyPolicies(work, 'router', routes) };
}

const policy = (priority: number, to: string): AnyObject => ({
  ...{ id: `p${priority}`, priority, action: 'drop', next_hop: null, subnet_id: null, source_ip_prefix: null },
  ...{ destination_ip_prefix: to, protocol: null, port_range_min: null, port_range_max: null },
});
const route = (priority: number, destination: string, more: Partial<PolicyRoute> = {}): PolicyRoute => ({
  ...{ priority, action: 'drop', destination },
  ...more,
});
const [A, B] = ['10.1.0.0/16', '10.2.0.0/16'];

test('one that waits, or is refused, keeps none of the others from being written, and stays as it is', async () => {
  const { asked, apply } = bed([policy(10, A), policy(15, A), policy(20, A)], [30]);
  const routes = [route(10, B, { subnet: 'late' }), route(20, B), route(30, B), route(40, B)];
  await assert.rejects(apply(routes), /Subnet late is not ready/);
  assert.deepEqual(asked, [`create 30 ${B}`, `create 40 ${B}`, `update 20 ${B}`, 'delete p15']);
});

test('one that moves is at its new priority before it leaves the old one', async () => {
  const { asked, apply } = bed([policy(10, A), policy(20, B)]);
  await apply([route(20, A), route(30, B)]);
  assert.deepEqual(asked, [`create 30 ${B}`, `update 20 ${A}`, 'delete p10']);
});

test('a router that is full makes room first', async () => {
  const full = Array.from({ length: 64 }, (_, n) => policy(n, A));
  const { asked, apply } = bed(full);
  await apply([...full.slice(1).map((_, n) => route(n + 1, A)), route(100, B)]);
  assert.deepEqual(asked, ['delete p0', `create 100 ${B}`]);
});
