import { CB_ENDPOINT_ROUTER, CB_FORWARD_F_ONE } from '../bpf/abi.gen.ts';
import { parseAddress, parseMac } from './address.ts';
import { endpointOf } from './endpoint-entries.ts';
import { encodeEntry } from './entries.ts';
import { liveGateway } from './live-gateway.ts';
import { portPrefixes } from './port-ranges.ts';
import { type Family, itemFamily } from './unit.ts';

/** Bits of a key of `cb_forward_1` in front of the port: network, protocol, address. */
export const FORWARD_HEAD_BITS = 160;

/**
 * Ports of a floating IP that lead inside, on the host of their router's gateway. The address is one of the router's, which answers for it. What a port of another
 * host answers comes by the transit network.
 */
export const FORWARDS: Family = itemFamily(
  { name: 'port forwarding', slice: 'forwards', subject: 'host' },
  ({ scope: routerId }, forward, reader) => {
    const gateway = liveGateway(routerId, reader.header('router', routerId), reader);
    const vrf = reader.number('router', routerId);
    if (vrf === undefined || gateway?.host !== reader.host || gateway.networkId !== forward.networkId) return {};
    const [outer, inner] = [parseAddress(forward.floatingIp), parseAddress(forward.fixedIp)];
    const mac = parseMac(gateway.macAddress);
    const isHere = reader.facts('vif', forward.portId).size > 0;
    const numberOf = (id: string): number | undefined => reader.facts('network', id).get('')?.value.net;
    const net = numberOf(forward.networkId);
    const toNet = numberOf(isHere ? forward.innerNetworkId : gateway.portId);
    if (outer === undefined || inner === undefined || mac === undefined) return {};
    if (net === undefined || toNet === undefined) return {};
    const [first, last] = forward.externalPorts;
    const [toFirst, toLast] = forward.internalPorts;
    const flags = toFirst === toLast && first !== last ? CB_FORWARD_F_ONE : 0;
    const key = { net, protocol: forward.protocol, addr: outer };
    const value = { to: inner, first, toFirst, toNet, flags, vrf };
    return {
      entries: [
        ...portPrefixes(first, last).map((prefix) =>
          encodeEntry(
            'cb_forward_1',
            { ...key, prefixlen: FORWARD_HEAD_BITS + prefix.length, portBe: prefix.value },
            value,
          ),
        ),
        encodeEntry('cb_ep_2', { net, addr: outer }, endpointOf({ kind: CB_ENDPOINT_ROUTER, vrf, mac })),
      ],
    };
  },
);
