import type { RouterGateway } from '@cable/model';
import type { SliceReader } from '../stream/slice-reader.ts';

export type CutOffDeps = {
  readonly slices: Pick<SliceReader, 'header'>;
  /** Whether the interface of a physical network has a carrier. */
  readonly hasCarrier: (physicalNetwork: string) => boolean;
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
};

/** An interface that had no carrier is trusted again after so long with one. */
export const CARRIER_MS = 5000;

/** Routers whose ports are leased, and to whose external network this host has no way: what leaves by it otherwise leaves by the gateway. */
export class CutOff {
  readonly #deps: CutOffDeps;
  /** Gateways, by router. */
  readonly #leasing = new Map<string, RouterGateway>();
  /** When each physical network was last seen without a carrier. */
  readonly #lostMs = new Map<string, number>();
  #cutOff: ReadonlySet<string> = new Set();

  constructor(deps: CutOffDeps) {
    this.#deps = deps;
  }

  has(routerId: string): boolean {
    return this.#cutOff.has(routerId);
  }

  /** The router's gateway as the slices have it; undefined: it has none. */
  take(routerId: string, gateway: RouterGateway | undefined): void {
    if (gateway?.leased === true) this.#leasing.set(routerId, gateway);
    else this.#leasing.delete(routerId);
  }

  /** Looks at carriers. Returns those of which it has changed whether they are cut off. */
  look(): readonly string[] {
    const before = this.#cutOff;
    this.#cutOff = new Set([...this.#leasing].filter(([, gateway]) => this.#isCutOff(gateway)).map(([id]) => id));
    return [...before, ...this.#cutOff].filter((id) => before.has(id) !== this.#cutOff.has(id));
  }

  #isCutOff({ networkId }: RouterGateway): boolean {
    const { slices, hasCarrier, now } = this.#deps;
    const physical = slices.header(`network:${networkId}`)?.wire?.physicalNetwork;
    if (physical === undefined) return false;
    if (!hasCarrier(physical)) this.#lostMs.set(physical, now());
    const lostMs = this.#lostMs.get(physical);
    return lostMs !== undefined && now() - lostMs < CARRIER_MS;
  }
}
