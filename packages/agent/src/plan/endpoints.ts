import { CB_ENDPOINT_REMOTE } from '../bpf/abi.gen.ts';
import { parseAddress, parseMac } from './address.ts';
import { endpointEntries, endpointOf } from './endpoint-entries.ts';
import { peerName } from './topics.ts';
import { tunnelName } from './tunnels.ts';
import { type Family, itemFamily } from './unit.ts';

/** An endpoint on another host. Nothing while that host is not known: there is nowhere to send to. Those of this host are its ports'. */
export const ENDPOINTS: Family = itemFamily(
  { name: 'endpoint', slice: 'endpoints', subject: 'endpoint' },
  ({ scope: networkId }, { host, underlay, macAddress, ipAddresses }, reader) => {
    if (host === reader.host || underlay === null) return {};
    const network = reader.facts('network', networkId).get('')?.value;
    const remote = parseAddress(underlay);
    // Whoever is elsewhere on a physical network is beyond the uplink.
    if (remote === undefined || network === undefined || !network.isTunnelled) return {};
    const name = tunnelName(underlay, remote);
    const tunnel = reader.id('tunnel', name);
    if (tunnel === undefined) return {};
    const mac = parseMac(macAddress);
    const endpoint = mac === undefined ? undefined : endpointOf({ kind: CB_ENDPOINT_REMOTE, mac, tunnel });
    return {
      projectId: network.projectId,
      facts: [
        { topic: 'tunnel', key: name, member: '', value: tunnel },
        { topic: 'host-in', key: networkId, member: name, value: tunnel },
        { topic: 'peer', key: peerName(networkId, name), member: '', value: null },
      ],
      entries: endpoint === undefined ? [] : endpointEntries(network.net, endpoint, ipAddresses),
    };
  },
);
