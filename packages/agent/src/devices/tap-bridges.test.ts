import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { silentLogger, sleep } from '@cable/kit';
import { enterOwnNamespace, ip } from '../guest/testing/own-namespace.ts';
import { listLinks } from '../net/link.ts';
import { NetlinkSocket } from '../net/socket.ts';
import { LinkRemover } from './link-remover.ts';
import type { ObservedLink } from './link-rows.ts';
import { startTapBridgeSweep } from './tap-bridges.ts';

const HERE = '11111111-1111-4111-8111-111111111111';
const LATE = '22222222-2222-4222-8222-222222222222';
const OURS = ['cbr11111111-11', 'cbr22222222-22', 'cbr33333333-33'] as const;
const OTHERS = ['cbr0', 'cbr3333333333', 'qbr33333333-33'] as const;

let socket: NetlinkSocket;
let remover: LinkRemover;

before(() => {
  enterOwnNamespace();
  socket = new NetlinkSocket();
  remover = new LinkRemover({ gatherMs: 0 });
});

after(async () => {
  await remover.close();
  socket.close();
});

function links(): readonly ObservedLink[] {
  return listLinks(socket).map((link) => ({ ...link, addresses: [], programId: undefined }));
}

function bridges(): readonly string[] {
  return links()
    .filter(({ kind }) => kind === 'bridge')
    .map(({ name }) => name)
    .sort();
}

test('a bridge goes when its port was not of this host at two looks; others’ bridges and devices of that name stay', async () => {
  for (const name of [...OURS, ...OTHERS]) ip(`link add ${name} type bridge`);
  ip('link add cbr44444444-44 type veth peer name far');
  ip('tuntap add tap33333333-33 mode tap');
  ip('link set tap33333333-33 master cbr33333333-33');
  const ports = new Set([HERE]);
  const stop = new AbortController();
  let looks = 0;
  const sweep = startTapBridgeSweep({
    links: {
      values: () => {
        looks += 1;
        // Nova makes the bridge before this host has heard of the port.
        if (looks === 2) ports.add(LATE);
        return links();
      },
    },
    ports: () => ports,
    remover,
    log: silentLogger(),
    signal: stop.signal,
    everyMs: 20,
  });
  await sleep(100);
  assert.equal(looks, 0, 'before the state is known to be whole nothing is looked at');
  sweep.take({ synced: false });
  await sleep(60);
  assert.equal(looks, 0);
  sweep.take({ synced: true });
  while (looks < 4) await sleep(5);
  stop.abort();
  await sweep.done;
  assert.deepEqual(bridges(), [OURS[0], OURS[1], ...OTHERS].sort());
  const left = links().map(({ name }) => name);
  assert.ok(left.includes('cbr44444444-44') && left.includes('tap33333333-33'), left.join(' '));
});
