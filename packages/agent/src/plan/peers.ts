import { MAPS } from '../bpf/abi.gen.ts';
import { parseAddress } from './address.ts';
import { encodeEntry, type Planned } from './entries.ts';

/** Entries of cb_peer_1: hosts whose tunnelled packets are accepted. */
export function planPeers(underlays: Iterable<string>): readonly Planned[] {
  return [...new Set(underlays)].sort().flatMap((underlay) => {
    const addr = parseAddress(underlay);
    return addr === undefined ? [] : [{ map: 'cb_peer_1', entry: encodeEntry(MAPS.cb_peer_1, { addr }, { flags: 0 }) }];
  });
}
