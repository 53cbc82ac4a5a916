import {
  CB_DIR_EGRESS,
  CB_DIR_INGRESS,
  CB_ENDPOINT_GATEWAY,
  CB_ENDPOINT_REMOTE,
  CB_ENDPOINT_SERVICE,
  CB_ENDPOINT_VIF,
  CB_POLICY_NONE,
  CB_ROUTE_F_PEER,
  CB_ROUTE_NEXTHOP,
  CB_VIF_F_ADMIN_UP,
  CB_VIF_F_ANTISPOOF,
  type CbEndpoint,
  type CbRoute,
  type CbVif,
  cbClass,
  cbEndpoint,
  cbIn,
  cbRoute,
  cbVif,
  MAPS,
} from '../../bpf/abi.gen.ts';
import { arrayIndex, type ByteText, textBytes } from '../../bpf/codec.ts';
import type { AgentMap } from '../../desired.ts';
import { hex } from '../../plan/address.ts';
import type { FakeDataPlane } from './fake-data-plane.ts';

/** A packet of a guest: its device, and what its headers say. */
export type Packet = {
  readonly ifindex: number;
  readonly srcMac: Uint8Array;
  readonly src: Uint8Array;
  readonly dstMac: Uint8Array;
  readonly dst: Uint8Array;
  readonly protocol: number;
  readonly port: number;
};

/** What is remembered of it in a flow: where it goes, and the rows on whose epochs that rests. Undefined: nothing is. */
export type Verdict = { readonly to: string; readonly rows: readonly string[] };

/** The decision that the vrouter comes to by the maps, told plainly. */
export function verdictOf(plane: FakeDataPlane, packet: Packet): Verdict | undefined {
  const maps = new Lookups(plane);
  const sender = maps.sender(packet.ifindex);
  if (sender === undefined || !maps.maySend(sender, packet)) return undefined;
  const way = maps.resolve(sender.row.net, packet);
  if (way === undefined) return undefined;
  const { endpoint, net, route } = way;
  const rows = [`cb_vif_2 ${sender.vif}`, `cb_net_1 ${sender.row.net}`, `cb_net_1 ${net}`];
  const hop = route === undefined ? '' : ` by ${hex(route.mac)} ${route.mtuBytes}`;
  if (!maps.passes(sender.row, CB_DIR_EGRESS, packet.dst, packet)) return undefined;
  if (endpoint.kind === CB_ENDPOINT_REMOTE) {
    return { to: `tunnel ${endpoint.tunnel} ${net} ${hex(endpoint.mac)}${hop}`, rows };
  }
  const receiver = maps.vif(endpoint.vif);
  if (receiver === undefined || (receiver.flags & CB_VIF_F_ADMIN_UP) === 0) return undefined;
  if (!maps.passes(receiver, CB_DIR_INGRESS, packet.src, packet)) return undefined;
  const to = `vif ${endpoint.vif} ${receiver.ifindex} ${receiver.flags} ${hex(endpoint.mac)}${hop}`;
  return { to, rows: [...rows, `cb_vif_2 ${endpoint.vif}`] };
}

type Way = { readonly endpoint: CbEndpoint; readonly net: number; readonly route?: CbRoute };

class Lookups {
  readonly #plane: FakeDataPlane;

  constructor(plane: FakeDataPlane) {
    this.#plane = plane;
  }

  sender(ifindex: number): { readonly vif: number; readonly row: CbVif } | undefined {
    const value = this.#get('cb_in_1', MAPS.cb_in_1.key.text({ ifindex, vlan: 0 }));
    if (value === undefined) return undefined;
    const { vif } = cbIn.decode(value);
    const row = this.vif(vif);
    return row === undefined || (row.flags & CB_VIF_F_ADMIN_UP) === 0 ? undefined : { vif, row };
  }

  vif(vif: number): CbVif | undefined {
    const value = this.#get('cb_vif_2', arrayIndex.text(vif));
    return value === undefined || value.subarray(0, 16).every((byte) => byte === 0) ? undefined : cbVif.decode(value);
  }

  maySend({ vif, row }: { readonly vif: number; readonly row: CbVif }, { srcMac, src }: Packet): boolean {
    if ((row.flags & CB_VIF_F_ANTISPOOF) === 0) return true;
    return (
      this.#lpm('cb_source_2', MAPS.cb_source_2.key.text({ prefixlen: 192, vif, mac: srcMac, addr: src })) !== undefined
    );
  }

  resolve(from: number, { dstMac, src, dst }: Packet): Way | undefined {
    const value = this.#get('cb_mac_2', MAPS.cb_mac_2.key.text({ net: from, mac: dstMac }));
    if (value === undefined) return undefined;
    const endpoint = cbEndpoint.decode(value);
    if (endpoint.kind === CB_ENDPOINT_VIF || endpoint.kind === CB_ENDPOINT_REMOTE) return { endpoint, net: from };
    if (endpoint.kind !== CB_ENDPOINT_GATEWAY && endpoint.kind !== CB_ENDPOINT_SERVICE) return undefined;
    const found = this.#lpm('cb_route_2', MAPS.cb_route_2.key.text({ prefixlen: 160, vrf: endpoint.vrf, addr: dst }));
    if (found === undefined) return undefined;
    const route = cbRoute.decode(found);
    if ((route.flags & CB_ROUTE_F_PEER) !== 0 && !this.#letsThrough(from, route, src)) return undefined;
    const addr = route.kind === CB_ROUTE_NEXTHOP ? route.nexthop : dst;
    const next = this.#get('cb_ep_2', MAPS.cb_ep_2.key.text({ net: route.net, addr }));
    const target = next === undefined ? undefined : cbEndpoint.decode(next);
    if (target?.kind !== CB_ENDPOINT_VIF && target?.kind !== CB_ENDPOINT_REMOTE) return undefined;
    return { endpoint: target, net: route.net, route };
  }

  /** Does the sender's side of a peering let its address through, in its network? */
  #letsThrough(net: number, { nexthop }: CbRoute, addr: Uint8Array): boolean {
    const vrf = new DataView(nexthop.buffer, nexthop.byteOffset).getUint32(0, true);
    const back = this.#lpm('cb_route_2', MAPS.cb_route_2.key.text({ prefixlen: 160, vrf, addr }));
    return back !== undefined && cbRoute.decode(back).net === net;
  }

  /** Both what its security groups and what its network policies say. */
  passes({ policy, networkPolicies }: CbVif, direction: number, remote: Uint8Array, packet: Packet): boolean {
    if (!this.allows(policy, direction, remote, packet)) return false;
    return networkPolicies === 0 || this.allows(networkPolicies, direction, remote, packet);
  }

  allows(policy: number, direction: number, remote: Uint8Array, { protocol, port }: Packet): boolean {
    if (policy === CB_POLICY_NONE) return true;
    const found = this.#lpm('cb_class_1', MAPS.cb_class_1.key.text({ prefixlen: 160, policy, addr: remote }));
    const classId = found === undefined ? 0 : cbClass.decode(found).classId;
    const rule = { prefixlen: 112, policy, classId, direction, family: 4, protocol, portBe: port };
    return this.#lpm('cb_rule_1', MAPS.cb_rule_1.key.text(rule)) !== undefined;
  }

  #get(map: AgentMap, key: ByteText): Uint8Array | undefined {
    const entry = this.#plane.entries(map).get(key);
    return entry === undefined ? undefined : textBytes(entry.value);
  }

  /** The longest prefix that holds the key. */
  #lpm(map: AgentMap, key: ByteText): Uint8Array | undefined {
    const wanted = textBytes(key);
    let best: { readonly length: number; readonly value: ByteText } | undefined;
    for (const entry of this.#plane.entries(map).values()) {
      const prefix = textBytes(entry.key);
      const length = new DataView(prefix.buffer).getUint32(0, true);
      if (length > (best?.length ?? -1) && agree(prefix, wanted, length)) best = { length, value: entry.value };
    }
    return best === undefined ? undefined : textBytes(best.value);
  }
}

/** Whether two LPM keys agree in so many bits after the length. */
function agree(a: Uint8Array, b: Uint8Array, bits: number): boolean {
  for (let bit = 0; bit < bits; bit += 8) {
    const at = 4 + (bit >> 3);
    const mask = bits - bit >= 8 ? 255 : (255 << (8 - (bits - bit))) & 255;
    if ((((a[at] ?? 0) ^ (b[at] ?? 0)) & mask) !== 0) return false;
  }
  return true;
}
