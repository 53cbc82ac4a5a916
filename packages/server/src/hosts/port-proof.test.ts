import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Port } from '@cable/model';
import { SliceCache } from '../slices/slice-cache.ts';
import { createWorld, failOnError } from '../slices/world.fixture.ts';
import { testNetwork, testPort } from './plane.fixture.ts';
import { PortProof } from './port-proof.ts';

const NET = testNetwork(1);
const PORT = testPort(0x10, NET, 'h1');

/** Hosts h1 and h2 carry the network, h3 does not; all are alive and have acknowledged 5. */
function setUp() {
  const world = createWorld();
  const cache = new SliceCache(world.tables, failOnError);
  cache.load(0);
  const hosts = ['h1', 'h2', 'h3'].map((id) => world.put('host', { id }));
  const peer = world.put('port', testPort(0x20, NET, 'h2'));
  cache.apply(5, [...hosts, world.put('network', NET), peer]);
  const alive = new Set(['h1', 'h2', 'h3']);
  const acknowledged = new Map<string, number>();
  const proof = new PortProof({
    tables: world.tables,
    cache,
    isAlive: (host) => alive.has(host),
    acknowledged: (host) => acknowledged.get(host) ?? 5,
  });
  const putPort = (revision: number, port: Port): ReadonlySet<string> => {
    const change = world.put('port', port);
    if (change.type !== 'port') throw new Error('not a port');
    return proof.change(change, cache.apply(revision, [change]).get(change) ?? new Set(), revision);
  };
  return { world, cache, alive, acknowledged, proof, putPort };
}

test('a port waits for the hosts that need what changed, and for no others', () => {
  const { proof, putPort } = setUp();
  assert.deepEqual([...putPort(6, PORT)].sort(), ['h1', 'h2']);
  assert.equal(proof.isProven(PORT.id), false);
  assert.deepEqual(proof.acknowledge('h1', 5), []);
  assert.deepEqual(proof.acknowledge('h1', 6), [PORT.id]);
  assert.deepEqual(proof.acknowledge('h2', 9), [PORT.id]);
  assert.equal(proof.isProven(PORT.id), true);
  assert.equal(proof.size, 0);
});

test('a change of what only its own host needs waits for that host alone', () => {
  const { proof, putPort } = setUp();
  putPort(6, PORT);
  proof.acknowledge('h1', 6);
  proof.acknowledge('h2', 6);
  assert.deepEqual([...putPort(7, { ...PORT, name: 'renamed' })], ['h1']);
});

test('a status write waits for nobody', () => {
  const { proof, putPort } = setUp();
  putPort(6, PORT);
  proof.died('h1');
  proof.died('h2');
  assert.deepEqual([...putPort(7, { ...PORT, status: 'ACTIVE' })], []);
  assert.equal(proof.isProven(PORT.id), true);
});

test('a second change raises the revision that is waited for', () => {
  const { proof, putPort } = setUp();
  putPort(6, PORT);
  putPort(8, { ...PORT, mac_address: '02:00:00:00:00:99' });
  assert.deepEqual(proof.acknowledge('h1', 6), []);
  assert.deepEqual(proof.acknowledge('h1', 8), [PORT.id]);
});

test('a dead host is not waited for until it is alive again', () => {
  const { alive, proof, putPort } = setUp();
  alive.delete('h2');
  assert.deepEqual([...putPort(6, PORT)], ['h1']);
  alive.add('h2');
  proof.cameAlive('h2');
  proof.cameAlive('h3');
  proof.acknowledge('h1', 6);
  assert.equal(proof.isProven(PORT.id), false);
  assert.deepEqual(proof.died('h2'), [PORT.id]);
  assert.equal(proof.isProven(PORT.id), true);
});

test('a deleted or unbound port waits for nobody', () => {
  const { proof, putPort } = setUp();
  putPort(6, PORT);
  assert.deepEqual([...putPort(7, { ...PORT, 'binding:host_id': '' })], []);
  assert.equal(proof.size, 0);
});

test('after a restart a port waits for hosts that have not acknowledged its last write', () => {
  const { world, cache, acknowledged, proof } = setUp();
  cache.apply(6, [world.put('port', PORT)]);
  acknowledged.set('h1', 7);
  proof.load(PORT, 6);
  assert.deepEqual([...proof.waitingFor(PORT.id)], ['h2']);
});
