import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Port } from '@cable/model';
import { readerOf } from '../engine/reader.ts';
import { credentialsOf } from '../policy/credentials.ts';
import { type Json, startHarness } from '../testing/harness.ts';
import { Eyes } from './eyes.ts';
import { Neighbours } from './neighbours.ts';
import { peeringCause } from './peering-causes.ts';

type Headers = Record<string, string>;

const P: Headers = { 'x-project-id': 'p', 'x-roles': 'member' };
const Q: Headers = { 'x-project-id': 'q', 'x-roles': 'member' };

test('why two ports behind a peering cannot talk is told to who sees a side of it, until nothing is wrong', async (t) => {
  const { create, send, server } = await startHarness(t);
  const { tables, addresses, resources } = server.deps;
  const behind = async (headers: Headers, cidr: string) => {
    const [router, network] = [await create('router', {}, headers), await create('network', {}, headers)];
    const subnet = await create('subnet', { network_id: network['id'], cidr, ip_version: 4 }, headers);
    const path = `/v2.0/routers/${router['id']}`;
    const body = { subnet_id: subnet['id'] };
    assert.equal((await send('PUT', `${path}/add_router_interface`, body, headers)).status, 200);
    const port = (await create('port', { network_id: network['id'] }, headers)) as unknown as Port;
    return { id: router['id'], path: `${path}/peerings`, subnet: subnet['id'], port, headers };
  };
  const [here, there] = [await behind(P, '10.1.0.0/24'), await behind(Q, '10.8.0.0/24')];
  type Place = typeof here;
  const peer = async (one: Place, other: Place): Promise<Json> => {
    const body = { router_peering: { peer_router_id: other.id, name: 'link' } };
    return (await send('POST', one.path, body, one.headers)).body['router_peering'] as Json;
  };
  const change = async (place: Place, side: Json, fields: object): Promise<void> => {
    const answer = await send('PUT', `${place.path}/${side['id']}`, { router_peering: fields }, place.headers);
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
  };
  const eyesOf = (projectId: string) =>
    new Eyes({ tables, resources }, readerOf(server.deps, credentialsOf({ projectId, roles: ['member', 'reader'] })));
  const told = (projectId: string) => {
    const cause = peeringCause(tables, here.port, there.port, eyesOf(projectId));
    return cause && `${cause.code}: ${cause.text}`;
  };
  const found = () =>
    new Neighbours({ tables, addresses }).find(here.port.network_id, there.port.fixed_ips[0]?.ip_address ?? '');
  assert.equal(told('p'), undefined);
  const one = await peer(here, there);
  assert.match(told('p') ?? '', /^peering_down: peering link is DOWN: it waits for the other side/);
  assert.equal(told('q'), undefined, 'who does not see the side is not told of it');
  const other = await peer(there, here);
  assert.match(told('p') ?? '', /^peering_lets_nothing_through: peering link does not let the sender/);
  await change(here, one, { subnet_ids: [here.subnet] });
  assert.match(told('p') ?? '', /^peering_lets_nothing_through: the other side of peering link/);
  assert.equal(found(), undefined);
  await change(there, other, { subnet_ids: [there.subnet] });
  assert.equal(told('p'), undefined);
  assert.equal(found(), there.port.id);
  await change(here, one, { accepted_prefixes: ['10.9.0.0/16'] });
  assert.match(told('p') ?? '', /^peering_not_taken/);
  assert.equal(found(), undefined);
});
