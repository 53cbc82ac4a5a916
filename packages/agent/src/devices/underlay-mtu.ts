import type { Logger } from '@cable/kit';
import { overlayIpVersion, TUNNEL_HEADER_BYTES } from '@cable/model';
import { idOf, kindOf, typedSlices } from '../plan/inputs.ts';
import type { ListedSlices } from '../show/names.ts';
import type { SliceChange } from '../stream/slice-reader.ts';
import type { UnderlayWatch } from './underlay.ts';

/** A network whose largest packets the underlay does not carry. */
export type NetworkTooLarge = { readonly id: string; readonly name: string; readonly mtuBytes: number };

export type UnderlayMtuDeps = {
  readonly underlay: Pick<UnderlayWatch, 'now'>;
  /** This host's address in the underlay. */
  readonly address: string;
  /** What the operator says that the underlay carries (`--underlay-mtu`). */
  readonly wantedBytes: number;
  readonly log: Logger;
};

/** No device of ours may have less (`ETH_MIN_MTU`). */
const LEAST_BYTES = 68;

/** What the underlay carries, who needs more, and the log's word about both. */
export class UnderlayMtu {
  readonly #deps: UnderlayMtuDeps;
  /** Of networks that were said to be too large. */
  #said: ReadonlySet<string> = new Set();

  constructor(deps: UnderlayMtuDeps) {
    this.#deps = deps;
    this.deviceChanged();
  }

  /** Largest packet that fits into the tunnel: what own devices have. What the operator says is not exceeded, nor is what the device takes. */
  get innerBytes(): number {
    return Math.max(this.#bytes() - TUNNEL_HEADER_BYTES[overlayIpVersion(this.#deps.address)], LEAST_BYTES);
  }

  /** Sorted by id. */
  tooLarge(slices: ListedSlices): readonly NetworkTooLarge[] {
    const most = this.innerBytes;
    const networks = [...slices.keys()]
      .filter((key) => kindOf(key) === 'network')
      .map((key) => typedSlices(slices).header('network', idOf(key)));
    return networks
      .flatMap((network) => (network !== undefined && network.mtuBytes > most ? [network] : []))
      .map(({ id, name, mtuBytes }) => ({ id, name, mtuBytes }))
      .sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** The device, its MTU, or what has the address is another: says so when it takes less than the operator says. */
  deviceChanged(): void {
    const { underlay, wantedBytes, log } = this.#deps;
    const found = underlay.now;
    if (found === undefined || found.mtuBytes >= wantedBytes) return;
    log.warn(
      { devices: found.devices, mtuBytes: found.mtuBytes, wantedBytes },
      'the device of the underlay takes smaller packets than --underlay-mtu says: own devices are made for it',
    );
  }

  /** Says which networks need more than there is, each once until it is otherwise. */
  checkNetworks(slices: ListedSlices): void {
    const found = this.tooLarge(slices);
    const news = found.filter(({ id }) => !this.#said.has(id));
    this.#said = new Set(found.map(({ id }) => id));
    if (news.length === 0) return;
    this.#deps.log.warn(
      { networks: news.slice(0, SAID_AT_ONCE), count: news.length, mostBytes: this.innerBytes },
      'networks have a larger MTU than the underlay carries, their largest packets do not come through: lower it, or raise that of the device',
    );
  }

  #bytes(): number {
    const { underlay, wantedBytes } = this.#deps;
    return Math.min(wantedBytes, underlay.now?.mtuBytes ?? wantedBytes);
  }
}

const SAID_AT_ONCE = 10;

/** Whether a network's header is among the changes. */
export function concernsNetworks(changes: readonly SliceChange[]): boolean {
  return changes.some(({ key, item }) => item === null && kindOf(key) === 'network');
}
