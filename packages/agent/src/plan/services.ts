import { SERVICE_MAC } from '@cable/model';
import { CB_ENDPOINT_SERVICE } from '../bpf/abi.gen.ts';
import { NO_ADDRESS, parseMac } from './address.ts';
import { endpointEntries, endpointOf } from './endpoint-entries.ts';
import { encodeEntry } from './entries.ts';
import { METADATA_ADDRESS, METADATA_ADDRESS6 } from './port-subnets.ts';
import { type Family, topicFamily } from './unit.ts';

const MAC = parseMac(SERVICE_MAC) ?? NO_ADDRESS.subarray(0, 6);

/**
 * The service addresses of a network with a port on this host. The service MAC carries the vrf of the gateway's router: a guest that learned it
 * before the router came is routed all the same.
 */
export const SERVICES: Family = topicFamily(
  { name: 'service', topic: 'near', subject: 'host' },
  ({ scope: networkId }, reader) => {
    const network = reader.header('network', networkId);
    const net = reader.facts('network', networkId).get('')?.value.net;
    if (network === undefined || net === undefined) return {};
    const gateways = network.subnets.flatMap((subnet) => subnet.gatewayIp ?? []);
    const leg = reader.sortedFacts('leg-in', networkId).find(({ value }) => gateways.includes(value.ipAddress));
    const vrf = leg === undefined ? 0 : (reader.number('router', leg.value.routerId) ?? 0);
    const service = endpointOf({ kind: CB_ENDPOINT_SERVICE, mac: MAC });
    const metadata = network.subnets.some(({ ipVersion }) => ipVersion === 6)
      ? [METADATA_ADDRESS, METADATA_ADDRESS6]
      : [METADATA_ADDRESS];
    // On a physical network whoever is the gateway answers there for itself.
    const answered = network.wire === undefined ? gateways : [];
    const addresses = endpointEntries(net, service, [...answered, ...metadata]);
    return {
      projectId: network.projectId,
      entries: [
        ...addresses.filter(({ map }) => map === 'cb_ep_2'),
        encodeEntry('cb_mac_2', { net, mac: MAC }, { ...service, vrf }),
      ],
    };
  },
);
