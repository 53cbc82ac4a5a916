import { CB_PEER_F_UPLINK } from '../bpf/abi.gen.ts';
import { parseAddress } from './address.ts';
import { encodeEntry } from './entries.ts';
import { peerParts } from './topics.ts';
import { type Family, topicFamily } from './unit.ts';

/**
 * A host with endpoints in a network: its tunnelled packets are accepted for the networks that those may send to, and no others. (Where it has
 * endpoints in two networks that reach a third, two units say the same of that.)
 */
export const PEERS: Family = topicFamily({ name: 'peer', topic: 'peer', subject: 'host' }, ({ scope }, reader) => {
  const { networkId, underlay } = peerParts(scope);
  const remote = parseAddress(underlay);
  const tunnel = reader.facts('tunnel', underlay).get('')?.value;
  if (remote === undefined || tunnel === undefined) return {};
  const network = reader.facts('network', networkId).get('')?.value;
  const reach = reader.facts('reach', networkId).get('')?.value ?? [];
  // On the uplink the vrouter takes what is tunnelled here out itself.
  const flags = reader.ownEncapsulation ? CB_PEER_F_UPLINK : 0;
  return {
    projectId: network?.projectId,
    entries: reach.map(({ vni, net }) =>
      encodeEntry('cb_peer_2', { wireId: vni, remote }, { net, tunnel, flags, vif: 0 }),
    ),
  };
});
