import { CB_ENDPOINT_NAT } from '../bpf/abi.gen.ts';
import { parseAddress, parseMac } from './address.ts';
import { endpointOf } from './endpoint-entries.ts';
import { encodeEntry } from './entries.ts';
import { type Family, itemFamily, type PlanReader } from './unit.ts';

/**
 * A floating IP, on the host of its router's gateway: what comes for it goes to the port's address, and what that sends leaves with it. What a port of another host
 * sends comes by the transit network.
 */
export const FLOATING_IPS: Family = itemFamily(
  { name: 'floating IP', slice: 'floating', subject: 'host' },
  ({ scope: routerId }, floating, reader) => {
    const gateway = reader.header('router', routerId)?.gateway;
    const vrf = reader.number('router', routerId);
    if (vrf === undefined || gateway?.host !== reader.host || gateway.networkId !== floating.networkId) return {};
    const { floatingIp, fixedIp, portId, innerNetworkId } = floating;
    const [outer, inner, mac] = [parseAddress(floatingIp), parseAddress(fixedIp), parseMac(gateway.macAddress)];
    const vif = reader.facts('vif', portId).get('')?.value;
    const outside = numberOf(floating.networkId, reader);
    const inside = numberOf(vif === undefined ? gateway.portId : innerNetworkId, reader);
    if (outer === undefined || inner === undefined || mac === undefined) return {};
    if (outside === undefined || inside === undefined) return {};
    return {
      entries: [
        encodeEntry('cb_nat_1', { net: outside, outside: 0, addr: outer }, { to: inner, toNet: inside, vrf }),
        encodeEntry('cb_nat_1', { net: inside, outside, addr: inner }, { to: outer, toNet: outside, vrf }),
        encodeEntry(
          'cb_ep_2',
          { net: outside, addr: outer },
          endpointOf({ kind: CB_ENDPOINT_NAT, vif: vif ?? 0, vrf, mac }),
        ),
      ],
    };
  },
);

function numberOf(networkId: string, reader: PlanReader): number | undefined {
  return reader.facts('network', networkId).get('')?.value.net;
}
