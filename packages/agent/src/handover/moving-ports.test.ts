import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Endpoint, LocalPort, OtherPlace, SliceItem, SliceKey, SliceKind, StandbyPort } from '@cable/model';
import { MovingPorts } from './moving-ports.ts';

const PORT = 'c0000000-0000-4000-8000-000000000001';
const NETWORK = 'a0000000-0000-4000-8000-000000000001';
const [H1, H2, H3] = ['192.0.2.1', '192.0.2.2', '192.0.2.3'];

const local = { id: PORT, networkId: NETWORK, macAddress: '02:00:00:00:00:01' } as LocalPort;
const endpointAt = (host: string, underlay: string | null, standby: readonly OtherPlace[] = []): Endpoint => ({
  ...{ portId: PORT, macAddress: local.macAddress, ipAddresses: [], host, underlay },
  ...(standby.length === 0 ? {} : { standby }),
});

function bed() {
  const items = new Map<string, unknown>();
  const told: string[] = [];
  const moving = new MovingPorts('h1', {
    item: <K extends SliceKind>(key: `${K}:${string}`, item: string) =>
      items.get(`${key}/${item}`) as SliceItem<K> | undefined,
  });
  moving.onChange((portId) => told.push(portId));
  const put = (key: SliceKey, value: LocalPort | StandbyPort | Endpoint | undefined): void => {
    if (value === undefined) items.delete(`${key}/${PORT}`);
    else items.set(`${key}/${PORT}`, value);
    moving.take({ changes: [{ key, item: PORT }] });
  };
  return { moving, put, told };
}

test('a port that rests is no matter of anybody', () => {
  const { moving, put, told } = bed();
  put('host:h1', local);
  put(`endpoints:${NETWORK}`, endpointAt('h1', H1));
  assert.equal(moving.get(PORT), undefined);
  assert.equal(moving.knows(H2), false);
  assert.deepEqual(told, []);
});

test('a port that is to come here has its flows where it is; that host alone may ask for them', () => {
  const { moving, put } = bed();
  put('standby:h1', { ...local, left: false });
  put(`endpoints:${NETWORK}`, endpointAt('h2', H2, [{ host: 'h1', underlay: H1, left: false }]));
  assert.equal(moving.get(PORT)?.from, H2);
  assert.deepEqual([...(moving.get(PORT)?.others ?? [])], [H2]);
  assert.deepEqual([moving.knows(H2), moving.knows(H3)], [true, false]);
});

test('a port that has come here has them where it was last; one that has left, here', () => {
  const { moving, put } = bed();
  put('host:h1', local);
  const places = [
    { host: 'h3', underlay: H3, left: true },
    { host: 'h2', underlay: H2, left: true },
  ];
  put(`endpoints:${NETWORK}`, endpointAt('h1', H1, places));
  assert.equal(moving.get(PORT)?.from, H2);
  put('host:h1', undefined);
  put('standby:h1', { ...local, left: true });
  put(`endpoints:${NETWORK}`, endpointAt('h2', H2, [{ host: 'h1', underlay: H1, left: true }]));
  assert.equal(moving.get(PORT)?.from, null);
  assert.deepEqual([...(moving.get(PORT)?.others ?? [])], [H2]);
});

test('once the other binding is gone nobody is told any more; a host without an address is nobody', () => {
  const { moving, put, told } = bed();
  put('host:h1', local);
  put(`endpoints:${NETWORK}`, endpointAt('h1', H1, [{ host: 'h2', underlay: null, left: false }]));
  assert.equal(moving.get(PORT), undefined);
  put(`endpoints:${NETWORK}`, endpointAt('h1', H1, [{ host: 'h2', underlay: H2, left: false }]));
  assert.deepEqual(moving.get(PORT)?.from, null);
  put(`endpoints:${NETWORK}`, endpointAt('h1', H1));
  assert.equal(moving.get(PORT), undefined);
  assert.deepEqual(told, [PORT, PORT]);
});
