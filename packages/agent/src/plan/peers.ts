import { parseAddress } from './address.ts';
import { encodeEntry } from './entries.ts';
import { type Family, topicFamily } from './unit.ts';

/** A host whose tunnelled packets are accepted. */
export const PEERS: Family = topicFamily({ name: 'peer', topic: 'peer', subject: 'host' }, ({ scope: underlay }) => {
  const addr = parseAddress(underlay);
  if (addr === undefined) return {};
  return { entries: [encodeEntry('cb_peer_1', { addr }, { flags: 0 })] };
});
