import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CB_PEER_F_UPLINK, cbHop, cbHopKey, cbPeer, cbPeerKey } from '../bpf/abi.gen.ts';
import { createMap } from '../bpf/map.ts';
import { NO_ADDRESS, parseAddress } from '../plan/address.ts';
import { dropUnkeptHops } from './next-hops.ts';

const HASH = 1;

function addressOf(address: string): Uint8Array {
  return parseAddress(address) ?? NO_ADDRESS;
}

test('a hop goes unless an agent that keeps hops was the last to write its peer', () => {
  const sizes = { type: HASH, maxEntries: 16, flags: 0 };
  const peers = createMap({ ...sizes, name: 'peers', keySize: cbPeerKey.size, valueSize: cbPeer.size });
  const hops = createMap({ ...sizes, name: 'hops', keySize: cbHopKey.size, valueSize: cbHop.size });
  try {
    const [kept, rewritten, gone] = ['192.0.2.1', '192.0.2.2', '192.0.2.3'].map(addressOf);
    assert.ok(kept && rewritten && gone);
    for (const wireId of [101, 102]) {
      const put = (remote: Uint8Array, flags: number): void =>
        peers.update(cbPeerKey.encode({ wireId, remote }), cbPeer.encode({ net: 1, tunnel: 1, flags, vif: 0 }));
      put(kept, CB_PEER_F_UPLINK);
      put(rewritten, 0);
    }
    const hop = cbHop.encode({ ifindex: 1, mtuBytes: 1500, nexthop: NO_ADDRESS });
    for (const addr of [kept, rewritten, gone]) hops.update(cbHopKey.encode({ addr }), hop);
    dropUnkeptHops({ peers, hops });
    assert.deepEqual(
      [kept, rewritten, gone].map((addr) => hops.lookup(cbHopKey.encode({ addr })) !== undefined),
      [true, false, false],
    );
  } finally {
    peers.close();
    hops.close();
  }
});
