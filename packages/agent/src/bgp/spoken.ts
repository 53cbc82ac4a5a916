/** Which VPNs of the host's slices are spoken of by BGP. */
import type { SliceKey, VpnBgp, VpnNeighbor } from '@cable/model';
import type { SliceReader, StateUpdate } from '../stream/slice-reader.ts';
import type { BgpSpeaker, SpokenVpn } from './bgp-config.ts';

/** `refused`: VPNs of which this host does not speak, and why. Speaker undefined: of none. */
export type Spoken = {
  readonly speaker: BgpSpeaker | undefined;
  readonly refused: readonly { readonly vpnId: string; readonly reason: string }[];
};

/** Keeps which slices of VPNs there are. */
export class SpokenVpns {
  readonly #slices: Pick<SliceReader, 'header' | 'items'>;
  readonly #host: string;
  readonly #underlay: string;
  readonly #keys = new Set<SliceKey>();

  constructor(host: string, underlay: string, slices: Pick<SliceReader, 'header' | 'items'>) {
    this.#host = host;
    this.#underlay = underlay;
    this.#slices = slices;
  }

  /** True: something of a VPN is otherwise. */
  take({ changes }: Pick<StateUpdate, 'changes'>): boolean {
    let isChanged = false;
    for (const { key } of changes) {
      if (!key.startsWith('vpn:')) continue;
      isChanged = true;
      this.#keys.add(key);
    }
    return isChanged;
  }

  /** As the slices are now. All VPNs of a host are of one AS: that of the first by id; others are refused. */
  get now(): Spoken {
    const vpns: SpokenVpn[] = [];
    const neighbors = new Map<string, VpnNeighbor>();
    const refused: { vpnId: string; reason: string }[] = [];
    let localAs: number | undefined;
    for (const key of [...this.#keys].sort()) {
      const vpn = this.#slices.header<'vpn'>(key as `vpn:${string}`);
      if (vpn === undefined) this.#keys.delete(key);
      const bgp = vpn?.bgp === undefined ? undefined : neighborsOf(vpn.bgp, this.#underlay);
      if (vpn === undefined || bgp === undefined || bgp.neighbors.length === 0) continue;
      localAs ??= bgp.localAs;
      const reason = refusalOf(bgp, localAs, neighbors);
      if (reason !== undefined) {
        refused.push({ vpnId: vpn.id, reason });
        continue;
      }
      for (const one of bgp.neighbors) neighbors.set(one.address, one);
      const prefixes = [...this.#slices.items<'vpn'>(key as `vpn:${string}`)].flatMap(([, place]) =>
        place.host === this.#host && place.label === undefined ? place.prefixes : [],
      );
      const { id, label, routeDistinguisher, importTargets, exportTargets } = vpn;
      vpns.push({ id, label, routeDistinguisher, importTargets, exportTargets, prefixes });
    }
    if (localAs === undefined) return { speaker: undefined, refused };
    return { speaker: { localAs, neighbors: [...neighbors.values()], underlay: this.#underlay, vpns }, refused };
  }
}

/** Those that the host of the underlay address speaks to. */
function neighborsOf({ localAs, neighbors }: VpnBgp, underlay: string): VpnBgp {
  const own = neighbors.filter(({ localAddress = underlay }) => localAddress === underlay);
  return { localAs, neighbors: own.map(({ address, as }) => ({ address, as })) };
}

function refusalOf(bgp: VpnBgp, localAs: number, known: ReadonlyMap<string, VpnNeighbor>): string | undefined {
  if (bgp.localAs !== localAs)
    return `its AS is ${bgp.localAs}, and another VPN of this host has ${localAs}: give all VPNs one AS`;
  const other = bgp.neighbors.find(({ address, as }) => (known.get(address)?.as ?? as) !== as);
  return other === undefined
    ? undefined
    : `its neighbor ${other.address} has AS ${other.as}, and another in a VPN before it`;
}
