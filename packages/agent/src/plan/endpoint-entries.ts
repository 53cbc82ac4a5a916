import { type CbEndpoint, MAPS } from '../bpf/abi.gen.ts';
import type { ByteText } from '../bpf/codec.ts';
import { linkLocalOf, parseAddress } from './address.ts';
import type { Planned } from './entries.ts';

/** An endpoint of this kind; zero in the fields of which the kind makes no use. (By spreading a default it takes ten times as long.) */
export function endpointOf({
  kind,
  mac,
  vif = 0,
  tunnel = 0,
  vrf = 0,
  flags = 0,
}: Pick<CbEndpoint, 'kind' | 'mac'> & Partial<CbEndpoint>): CbEndpoint {
  return { kind, flags, vif, tunnel, mac, vrf };
}

/**
 * The endpoint under each of its addresses (what is none is left out) and under its MAC. One with an IPv6 address has the link-local address of its MAC, too.
 */
export function endpointEntries(net: number, endpoint: CbEndpoint, addresses: readonly string[]): Planned[] {
  const value = MAPS.cb_ep_2.value.text(endpoint);
  const planned: Planned[] = [];
  let linkLocal: ByteText | undefined;
  for (const text of addresses) {
    const addr = parseAddress(text);
    if (addr === undefined) continue;
    if (text.includes(':')) linkLocal ??= MAPS.cb_ep_2.key.text({ net, addr: linkLocalOf(endpoint.mac) });
    const key = MAPS.cb_ep_2.key.text({ net, addr });
    if (key !== linkLocal) planned.push({ map: 'cb_ep_2', key, value });
  }
  if (linkLocal !== undefined) planned.push({ map: 'cb_ep_2', key: linkLocal, value });
  planned.push({ map: 'cb_mac_2', key: MAPS.cb_mac_2.key.text({ net, mac: endpoint.mac }), value });
  return planned;
}
