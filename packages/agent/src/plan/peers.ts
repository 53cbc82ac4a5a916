import { CB_PEER_F_UPLINK } from '../bpf/abi.gen.ts';
import { parseAddress } from './address.ts';
import { encodeEntry } from './entries.ts';
import { type Family, topicFamily } from './unit.ts';

/** A host whose tunnelled packets are accepted; on the uplink, where the vrouter takes them out of the tunnel itself. */
export const PEERS: Family = topicFamily(
  { name: 'peer', topic: 'peer', subject: 'host' },
  ({ scope: underlay }, reader) => {
    const addr = parseAddress(underlay);
    if (addr === undefined) return {};
    const flags = reader.ownEncapsulation ? CB_PEER_F_UPLINK : 0;
    return { entries: [encodeEntry('cb_peer_1', { addr }, { flags })] };
  },
);
