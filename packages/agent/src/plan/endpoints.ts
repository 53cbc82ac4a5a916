import { CB_ENDPOINT_REMOTE } from '../bpf/abi.gen.ts';
import { parseAddress, parseMac } from './address.ts';
import { endpointEntries, endpointOf } from './endpoint-entries.ts';
import { pairEntries, sharedAddresses, sharedFacts } from './shared-addresses.ts';
import { standbyFacts } from './standby.ts';
import { peerName } from './topics.ts';
import { tunnelName } from './tunnels.ts';
import { type Family, itemFamily } from './unit.ts';

/** An endpoint on another host. Nothing while that host is not known: there is nowhere to send to. Those of this host are its ports'. */
export const ENDPOINTS: Family = itemFamily(
  { name: 'endpoint', slice: 'endpoints', subject: 'endpoint' },
  ({ scope: networkId }, one, reader) => {
    const { portId, host, underlay, macAddress, ipAddresses, pairs = [] } = one;
    const others = one.standby === undefined ? [] : standbyFacts(networkId, one, reader);
    if (host === reader.host || underlay === null) return { facts: others };
    const network = reader.facts('network', networkId).get('')?.value;
    const remote = parseAddress(underlay);
    // Whoever is elsewhere on a physical network is beyond the uplink.
    if (remote === undefined || network === undefined || !network.isTunnelled) return { facts: others };
    const name = tunnelName(underlay, remote);
    const tunnel = reader.id('tunnel', name);
    if (tunnel === undefined) return { facts: others };
    const mac = parseMac(macAddress);
    const endpoint = mac === undefined ? undefined : endpointOf({ kind: CB_ENDPOINT_REMOTE, mac, tunnel });
    const shared = sharedAddresses(pairs);
    return {
      projectId: network.projectId,
      facts: [
        ...others,
        { topic: 'tunnel', key: name, member: '', value: tunnel },
        { topic: 'host-in', key: networkId, member: name, value: tunnel },
        { topic: 'peer', key: peerName(networkId, name), member: '', value: null },
        ...sharedFacts(networkId, portId, shared, { tunnel }),
      ],
      entries: [
        ...(endpoint === undefined ? [] : endpointEntries(network.net, endpoint, ipAddresses)),
        ...pairEntries(network.net, tunnel, shared),
      ],
    };
  },
);
