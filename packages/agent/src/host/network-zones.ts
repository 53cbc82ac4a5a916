import type { SliceKey } from '@cable/model';
import { NetworkZone } from '../guest/dns-zone.ts';
import type { SliceChange, SliceReader, StateUpdate } from '../stream/slice-reader.ts';

type Slices = Pick<SliceReader, 'header' | 'item' | 'items'>;

/**
 * The names of the networks whose guests ask for them: made with a network's first question and kept as the state changes, so that neither a question nor a change
 * costs a look at all ports. A network with another domain or other subnets is made anew.
 */
export class NetworkZones {
  readonly #slices: Slices;
  readonly #zones = new Map<string, NetworkZone>();

  constructor(slices: Slices) {
    this.#slices = slices;
  }

  /** Undefined: the network is not known here. */
  get(networkId: string): NetworkZone | undefined {
    const known = this.#zones.get(networkId);
    if (known !== undefined) return known;
    const network = this.#slices.header(`network:${networkId}`);
    if (network === undefined) return undefined;
    const zone = new NetworkZone({
      domain: network.dnsDomain ?? '',
      cidrs: network.subnets.map(({ cidr }) => cidr),
      gatewayIps: network.subnets.flatMap(({ gatewayIp }) => gatewayIp ?? []),
    });
    for (const [id, { ipAddresses }] of this.#slices.items(`endpoints:${networkId}`)) zone.setEndpoint(id, ipAddresses);
    for (const [id, names] of this.#slices.items(`names:${networkId}`)) zone.setPort(id, names);
    this.#zones.set(networkId, zone);
    return zone;
  }

  /** The state changed. */
  take({ changes }: Pick<StateUpdate, 'changes'>): void {
    if (this.#zones.size === 0) return;
    for (const change of changes) this.#change(change);
  }

  #change({ key, item }: SliceChange): void {
    const [kind, networkId] = parts(key);
    const zone = this.#zones.get(networkId);
    if (zone === undefined) return;
    if (item === null) {
      // The network itself, or all of a part of it: gone, or there only now.
      if (kind === 'network' || kind === 'endpoints' || kind === 'names') this.#zones.delete(networkId);
    } else if (kind === 'endpoints') {
      zone.setEndpoint(item, this.#slices.item(`endpoints:${networkId}`, item)?.ipAddresses);
    } else if (kind === 'names') {
      zone.setPort(item, this.#slices.item(`names:${networkId}`, item));
    }
  }
}

function parts(key: SliceKey): readonly [kind: string, id: string] {
  const colon = key.indexOf(':');
  return [key.slice(0, colon), key.slice(colon + 1)];
}
