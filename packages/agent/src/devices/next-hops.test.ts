import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CB_PEER_F_UPLINK, cbHop, cbPeer, cbPeerKey } from '../bpf/abi.gen.ts';
import { createMap } from '../bpf/map.ts';
import { NO_ADDRESS, parseAddress } from '../plan/address.ts';
import { dropUnkeptHops } from './next-hops.ts';

const HASH = 1;

function keyOf(address: string): Uint8Array {
  return cbPeerKey.encode({ addr: parseAddress(address) ?? NO_ADDRESS });
}

test('a hop goes unless an agent that keeps hops was the last to write its peer', () => {
  const sizes = { type: HASH, keySize: cbPeerKey.size, maxEntries: 16, flags: 0 };
  const peers = createMap({ ...sizes, name: 'peers', valueSize: cbPeer.size });
  const hops = createMap({ ...sizes, name: 'hops', valueSize: cbHop.size });
  try {
    const [kept, rewritten, gone] = ['192.0.2.1', '192.0.2.2', '192.0.2.3'].map(keyOf);
    assert.ok(kept && rewritten && gone);
    peers.update(kept, cbPeer.encode({ flags: CB_PEER_F_UPLINK }));
    peers.update(rewritten, cbPeer.encode({ flags: 0 }));
    const hop = cbHop.encode({ ifindex: 1, mtuBytes: 1500, nexthop: NO_ADDRESS });
    for (const key of [kept, rewritten, gone]) hops.update(key, hop);
    dropUnkeptHops({ peers, hops });
    assert.deepEqual(
      [kept, rewritten, gone].map((key) => hops.lookup(key) !== undefined),
      [true, false, false],
    );
  } finally {
    peers.close();
    hops.close();
  }
});
