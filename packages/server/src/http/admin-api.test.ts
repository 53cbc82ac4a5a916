/** The native API asks the rule `admin_api`, which is an operator's like any other. */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { test } from 'node:test';
import { HOST_UPGRADE } from '@cable/model';
import type { Permission } from '../engine/permission.ts';
import { createPolicy } from '../policy/policy.ts';
import type { CableServer } from '../server.ts';
import { startEdge } from './edge.fixture.ts';

const OPEN = ['/metrics', '/healthz', '/readyz', '/', '/v2.0', '/v2.0/extensions', '/openapi.json', '/cable/v1/schema'];
const REGISTRATION = JSON.stringify({ underlay: '192.0.2.1', agentVersion: '1' });

/** As an operator's rule. */
function override({ deps }: CableServer, check: string): void {
  const permission = deps.permission as { -readonly [K in keyof Permission]: Permission[K] };
  permission.policy = createPolicy({
    ...{ rules: deps.modules.rules, models: deps.resources.all },
    overrides: { admin_api: check },
  });
}

/** Status of an upgrade of a host's watch. */
function watch(url: URL, roles: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { connection: 'Upgrade', upgrade: HOST_UPGRADE, 'x-roles': roles };
    const call = request(new URL('/cable/v1/hosts/h1/watch', url), { headers }, (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    });
    call.on('upgrade', (answer, socket) => {
      socket.destroy();
      resolve(answer.statusCode ?? 0);
    });
    call.on('error', reject).end();
  });
}

for (const { check, permitted, refused } of [
  { check: 'rule:admin_only', permitted: ['admin', 'Admin'], refused: ['member', 'operator'] },
  { check: 'role:operator', permitted: ['operator'], refused: ['admin', 'member'] },
  { check: 'role:admin and project_id:%(project_id)s', permitted: [], refused: ['admin'] },
]) {
  test(`status, check and the agents’ routes ask admin_api: ${check}`, async (t) => {
    const { server, url, ask } = await startEdge(t);
    override(server, check);
    const statuses = async (roles: string): Promise<readonly number[]> => {
      const headers = { 'x-roles': roles };
      const asked = [
        await ask('PUT', '/cable/v1/hosts/h1', { headers, body: REGISTRATION }),
        await ask('GET', '/cable/v1/status', { headers }),
        await ask('GET', '/cable/v1/check', { headers }),
      ];
      return [...asked.map(({ status }) => status), await watch(url, roles)];
    };
    for (const roles of refused) assert.deepEqual(await statuses(roles), [403, 403, 403, 403], roles);
    for (const roles of permitted) assert.deepEqual(await statuses(roles), [204, 200, 200, 101], roles);
    const headers = { 'x-roles': 'nobody' };
    for (const path of OPEN) {
      const { status } = await ask('GET', path, { headers });
      // On a busy machine a server may say that it is not ready.
      assert.ok(status === 200 || (path === '/readyz' && status === 503), `${path}: ${status}`);
    }
    const { error } = await ask('GET', '/cable/v1/status', { headers });
    assert.equal(error?.message, 'rule:admin_api is disallowed by policy');
  });
}
