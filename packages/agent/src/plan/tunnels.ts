import { formatAddress, isMapped, parseAddress } from './address.ts';
import { encodeEntry } from './entries.ts';
import { type Family, topicFamily } from './unit.ts';

/** Another host: the way to it. */
export const TUNNELS: Family = topicFamily(
  { name: 'tunnel', topic: 'tunnel', subject: 'host' },
  ({ scope: name }, reader) => {
    const remote = parseAddress(name);
    const tunnel = reader.facts('tunnel', name).get('')?.value;
    if (remote === undefined || tunnel === undefined) return {};
    return { entries: [encodeEntry('cb_tunnel_1', tunnel, { remote })] };
  },
);

/** The name of the tunnel to the host with this underlay address, however that is written. */
export function tunnelName(underlay: string, remote: Uint8Array): string {
  return isMapped(remote) ? underlay : formatAddress(remote);
}
