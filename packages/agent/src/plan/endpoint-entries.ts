import { type CbEndpoint, MAPS } from '../bpf/abi.gen.ts';
import { NO_ADDRESS, parseAddress } from './address.ts';
import type { Planned } from './entries.ts';

/** An endpoint of this kind; zero in the fields of which the kind makes no use. (By spreading a default it takes ten times as long.) */
export function endpointOf({
  kind,
  mac,
  ifindex = 0,
  vrf = 0,
  flags = 0,
  remote = NO_ADDRESS,
}: Pick<CbEndpoint, 'kind' | 'mac'> & Partial<CbEndpoint>): CbEndpoint {
  return { kind, ifindex, vrf, flags, mac, remote };
}

/** The endpoint under each of its addresses (what is none is left out) and under its MAC. */
export function endpointEntries(vni: number, endpoint: CbEndpoint, addresses: readonly string[]): Planned[] {
  const value = MAPS.cb_ep_1.value.text(endpoint);
  const planned: Planned[] = [];
  for (const text of addresses) {
    const addr = parseAddress(text);
    if (addr !== undefined) planned.push({ map: 'cb_ep_1', key: MAPS.cb_ep_1.key.text({ vni, addr }), value });
  }
  planned.push({ map: 'cb_mac_1', key: MAPS.cb_mac_1.key.text({ vni, mac: endpoint.mac }), value });
  return planned;
}
