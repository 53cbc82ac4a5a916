import { startTurns } from '@cable/kit';
import type { NetworkHeader, SliceKey } from '@cable/model';
import { type DnsZoneSource, NetworkZone } from '../guest/dns-zone.ts';
import type { SliceChange, SliceReader, StateUpdate } from '../stream/slice-reader.ts';

type Slices = Pick<SliceReader, 'header' | 'item' | 'itemKeys' | 'size'>;

/** `making`: not all ports are in it yet. */
type Held = { readonly zone: NetworkZone; making: Promise<NetworkZone> | undefined };

/** Ports that are taken in at once; more of them wait for their turns. */
const AT_ONCE = 500;

/**
 * The names of the networks whose guests ask for them: made with a network's first question and kept as the state changes, so that neither a question nor a change
 * costs a look at all ports.
 */
export class NetworkZones {
  readonly #slices: Slices;
  readonly #zones = new Map<string, Held>();

  constructor(slices: Slices) {
    this.#slices = slices;
  }

  /** Undefined: the network is not known here. A promise: it is large, and this its first question. */
  get(networkId: string): NetworkZone | Promise<NetworkZone> | undefined {
    const held = this.#zones.get(networkId) ?? this.#make(networkId);
    return held?.making ?? held?.zone;
  }

  #make(networkId: string): Held | undefined {
    const network = this.#slices.header(`network:${networkId}`);
    if (network === undefined) return undefined;
    const held: Held = { zone: new NetworkZone(sourceOf(network)), making: undefined };
    this.#zones.set(networkId, held);
    const { zone } = held;
    const size = this.#slices.size(`endpoints:${networkId}`) + this.#slices.size(`names:${networkId}`);
    if (size <= AT_ONCE) {
      for (const _ of this.#fill(networkId, zone));
    } else {
      held.making = this.#fillInTurns(networkId, zone).finally(() => {
        held.making = undefined;
      });
    }
    return held;
  }

  async #fillInTurns(networkId: string, zone: NetworkZone): Promise<NetworkZone> {
    const turns = startTurns();
    for (const _ of this.#fill(networkId, zone)) if (turns.due()) await turns.next();
    return zone;
  }

  /** A step for each port. Each is looked up when it is its turn, so a change in between is in it either way. */
  *#fill(networkId: string, zone: NetworkZone): Generator<void> {
    const endpoints: `endpoints:${string}` = `endpoints:${networkId}`;
    const names: `names:${string}` = `names:${networkId}`;
    for (const id of [...this.#slices.itemKeys(endpoints)]) {
      zone.setEndpoint(id, this.#slices.item(endpoints, id)?.ipAddresses);
      yield;
    }
    for (const id of [...this.#slices.itemKeys(names)]) {
      zone.setPort(id, this.#slices.item(names, id));
      yield;
    }
  }

  /** The state changed. */
  take({ changes }: Pick<StateUpdate, 'changes'>): void {
    if (this.#zones.size === 0) return;
    for (const change of changes) this.#change(change);
  }

  #change({ key, item }: SliceChange): void {
    const [kind, networkId] = parts(key);
    const zone = this.#zones.get(networkId)?.zone;
    if (zone === undefined) return;
    if (item === null) {
      const network = kind === 'network' ? this.#slices.header(`network:${networkId}`) : undefined;
      if (network !== undefined) zone.setSource(sourceOf(network));
      else if (kind === 'network') this.#zones.delete(networkId);
    } else if (kind === 'endpoints') {
      zone.setEndpoint(item, this.#slices.item(`endpoints:${networkId}`, item)?.ipAddresses);
    } else if (kind === 'names') {
      zone.setPort(item, this.#slices.item(`names:${networkId}`, item));
    }
  }
}

function sourceOf({ dnsDomain, subnets }: NetworkHeader): DnsZoneSource {
  return {
    domain: dnsDomain ?? '',
    cidrs: subnets.map(({ cidr }) => cidr),
    gatewayIps: subnets.flatMap(({ gatewayIp }) => gatewayIp ?? []),
  };
}

function parts(key: SliceKey): readonly [kind: string, id: string] {
  const colon = key.indexOf(':');
  return [key.slice(0, colon), key.slice(colon + 1)];
}
