import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError, createClient } from './client.ts';
import type { Transport, TransportRequest, TransportResponse } from './transport.ts';

/** Answers from a script, and remembers what was asked. */
function scripted(
  answers: readonly (readonly [number, unknown])[],
): Transport & { readonly asked: TransportRequest[] } {
  const asked: TransportRequest[] = [];
  const next = (request: TransportRequest): TransportResponse => {
    const [status, body] = answers[asked.length] ?? [500, undefined];
    asked.push(request);
    return {
      status,
      headers: {},
      body: body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body),
    };
  };
  return {
    asked,
    request: (request) => Promise.resolve(next(request)),
    stream: (request) => {
      const { status, body } = next(request);
      return Promise.resolve({ status, headers: {}, lines: linesOf(body) });
    },
  };
}

async function* linesOf(text: string): AsyncIterable<string> {
  yield* text.split('\n');
}

test('verbs become requests, with the project and the roles', async () => {
  const transport = scripted([
    [201, { port: { id: '1' } }],
    [200, { port: { id: '1' } }],
    [204, undefined],
    [200, { port_id: 'x' }],
  ]);
  const client = createClient({ transport, projectId: 'p', roles: ['member', 'reader'] });
  assert.deepEqual(await client.create('port', { network_id: 'n' }), { id: '1' });
  await client.update('port', '1', { name: 'a/b' });
  await client.delete('security_group', 'a/b');
  await client.action('router', 'r', 'add_router_interface', { subnet_id: 's' });
  assert.deepEqual(
    transport.asked.map(({ method, path, body }) => [method, path, body]),
    [
      ['POST', '/v2.0/ports', '{"port":{"network_id":"n"}}'],
      ['PUT', '/v2.0/ports/1', '{"port":{"name":"a/b"}}'],
      ['DELETE', '/v2.0/security-groups/a%2Fb', undefined],
      ['PUT', '/v2.0/routers/r/add_router_interface', '{"subnet_id":"s"}'],
    ],
  );
  assert.equal(transport.asked[0]?.headers?.['x-project-id'], 'p');
  assert.equal(transport.asked[0]?.headers?.['x-roles'], 'member,reader');
});

test('a list follows its pages', async () => {
  const next = { rel: 'next', href: 'http://elsewhere:1/v2.0/ports?limit=1&marker=1' };
  const transport = scripted([
    [200, { ports: [{ id: '1' }], ports_links: [next] }],
    [200, { ports: [], ports_links: [{ rel: 'previous', href: 'x' }] }],
  ]);
  const found = await createClient({ transport }).list('port', {
    limit: 1,
    fixed_ips: ['ip_address=a', 'subnet_id=b'],
  });
  assert.deepEqual(found, [{ id: '1' }]);
  assert.deepEqual(
    transport.asked.map(({ path }) => path),
    ['/v2.0/ports?limit=1&fixed_ips=ip_address%3Da&fixed_ips=subnet_id%3Db', '/v2.0/ports?limit=1&marker=1'],
  );
});

test('an error answer is thrown with Neutron’s type', async () => {
  const fault = { NeutronError: { type: 'NetworkInUse', message: 'in use', detail: 'd' } };
  const client = createClient({
    transport: scripted([
      [409, fault],
      [502, '<html>'],
      [404, fault],
    ]),
  });
  await assert.rejects(
    client.delete('network', '1'),
    (err) => err instanceof ApiError && err.type === 'NetworkInUse' && err.status === 409,
  );
  await assert.rejects(
    client.delete('network', '1'),
    (err) => err instanceof ApiError && err.type === '' && err.status === 502,
  );
  await assert.rejects(client.stream('/x'), (err) => err instanceof ApiError && err.status === 404);
});
