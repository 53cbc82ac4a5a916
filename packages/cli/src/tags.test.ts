import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BUILT_IN_RESOURCES } from '@cable/model';
import { cable } from './testing/run.ts';
import { type StubServer, startStub } from './testing/stub-server.ts';

const A = '11111111-1111-4111-8111-111111111111';

async function asked(
  t: { after(fn: () => void): void },
  words: string,
  models: typeof BUILT_IN_RESOURCES = BUILT_IN_RESOURCES,
): Promise<readonly string[]> {
  const server: StubServer = await startStub();
  t.after(() => server.close());
  server.put('network', { id: A, name: 'n' });
  const { status, err } = await cable(words, server, models);
  assert.deepEqual([status, err], [0, ''], words);
  return server.requests;
}

test('set adds tags, takes all, or gives others instead; unset takes some or all', async (t) => {
  const path = `/v2.0/networks/${A}`;
  const rows: readonly (readonly [string, readonly string[]])[] = [
    ['set --tag a --tag b', [`POST ${path}/tags {"tags":["a","b"]}`, `GET ${path}`]],
    ['set --no-tag', [`PUT ${path}/tags {"tags":[]}`, `GET ${path}`]],
    ['set --no-tag --tag a', [`PUT ${path}/tags {"tags":["a"]}`, `GET ${path}`]],
    [
      'set --name m --tag a',
      [`PUT ${path} {"network":{"name":"m"}}`, `POST ${path}/tags {"tags":["a"]}`, `GET ${path}`],
    ],
    ['unset --tag a --tag b', [`DELETE ${path}/tags/a`, `DELETE ${path}/tags/b`]],
    ['unset --all-tag', [`DELETE ${path}/tags`]],
  ];
  for (const [words, requests] of rows) {
    const [verb = '', ...options] = words.split(' ');
    assert.deepEqual((await asked(t, `network ${verb} ${A} ${options.join(' ')}`)).slice(-requests.length), requests);
  }
});

test('a server without tag-creation is sent the tags one by one', async (t) => {
  const older = BUILT_IN_RESOURCES.map((model) => {
    const actions = model.actions?.filter(({ name }) => name !== 'create_tags');
    return actions === undefined ? model : { ...model, actions };
  });
  const requests = await asked(t, `network set ${A} --tag a --tag b`, older);
  const path = `/v2.0/networks/${A}`;
  assert.deepEqual(requests.slice(-3), [`PUT ${path}/tags/a`, `PUT ${path}/tags/b`, `GET ${path}`]);
});

test('create tags what it has made; a port is made with its tags', async (t) => {
  const network = await asked(t, 'network create n2 --tag a');
  assert.deepEqual(network, [
    'POST /v2.0/networks {"network":{"name":"n2"}}',
    'POST /v2.0/networks/new-1/tags {"tags":["a"]}',
    'GET /v2.0/networks/new-1',
  ]);
  const port = await asked(t, `port create --network ${A} --tag a`);
  assert.equal(port.at(-1), `POST /v2.0/ports {"port":{"network_id":"${A}","tags":["a"]}}`);
});

test('list filters by tags in openstack’s words', async (t) => {
  const requests = await asked(t, 'network list --json --tags a,b --any-tags c --not-tags d --not-any-tags e,f');
  assert.deepEqual(requests, ['GET /v2.0/networks?tags=a,b&tags-any=c&not-tags=d&not-tags-any=e,f']);
});

test('unset says that nothing is given; tags have no commands of their own', async () => {
  const { status, err } = await cable(`network unset ${A}`, { url: 'http://127.0.0.1:9' });
  assert.deepEqual([status, /nothing to take is given/.test(err)], [2, true]);
  assert.doesNotMatch((await cable('network --help')).out, /update-tag|get-tag/);
});
