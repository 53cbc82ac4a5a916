/** Machines outside: known by what they say of themselves, if they are the next hop of a gateway, were asked, or have asked for an address of ours. */
import { type Cloud, isOutside } from './cloud.ts';
import { outsiderWith } from './gateways.ts';
import { isGroupMac } from './headers.ts';

/** One question in so long. */
const ASK_SECONDS = 1;

type Neighbour = { mac?: string; askedSeconds?: number };

export class Neighbours {
  readonly #all = new Map<string, Neighbour>();

  /** Next hops are heard of whenever they say something. */
  constructor({ routers }: Cloud) {
    for (const { gateway } of routers)
      if (gateway !== undefined) this.#all.set(keyOf(gateway.network, gateway.nextHop), {});
  }

  macOf(network: string, address: string): string | undefined {
    return this.#all.get(keyOf(network, address))?.mac;
  }

  /** `asks`: for an address of ours. Nobody says that of an address which we have ourselves. */
  hear(
    cloud: Cloud,
    { network, address, mac }: { readonly network: string; readonly address: string; readonly mac: string },
    asks: boolean,
  ): void {
    if (!isOutside(cloud, network) || isGroupMac(mac) || outsiderWith(cloud, network, address) !== undefined) return;
    const key = keyOf(network, address);
    const known = this.#all.get(key) ?? (asks ? {} : undefined);
    if (known === undefined) return;
    this.#all.set(key, Object.assign(known, { mac }));
  }

  /** May who is there be asked now? Then he has been. */
  ask(network: string, address: string, nowSeconds: number): boolean {
    const key = keyOf(network, address);
    const known = this.#all.get(key) ?? {};
    this.#all.set(key, known);
    if (known.askedSeconds !== undefined && nowSeconds - known.askedSeconds < ASK_SECONDS) return false;
    known.askedSeconds = nowSeconds;
    return true;
  }
}

function keyOf(network: string, address: string): string {
  return `${network} ${address}`;
}
