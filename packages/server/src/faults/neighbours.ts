import type { EngineDeps } from '../engine/context.ts';
import { peeredSubnets } from './peering-causes.ts';

/** Finds ports by addresses, as a port sees them: in its network, and in those that its routers and their peerings lead to. */
export class Neighbours {
  readonly #deps: Pick<EngineDeps, 'tables' | 'addresses'>;
  readonly #subnets = new Map<string, readonly string[]>();

  constructor(deps: Pick<EngineDeps, 'tables' | 'addresses'>) {
    this.#deps = deps;
  }

  /** Id of the port; undefined: nobody is known to have the address there. */
  find(networkId: string, address: string): string | undefined {
    for (const subnetId of this.#reached(networkId)) {
      const holder = this.#deps.addresses.holderOf(subnetId, address);
      if (holder !== undefined) return holder;
    }
    return undefined;
  }

  #reached(networkId: string): readonly string[] {
    const known = this.#subnets.get(networkId);
    if (known !== undefined) return known;
    const { tables } = this.#deps;
    const own = tables
      .of('subnet')
      .by('network_id', networkId)
      .map(({ id }) => id);
    const legs = tables.of('router_interface').by('network_id', networkId);
    const others = legs.flatMap(({ device_id: router }) =>
      tables
        .of('router_interface')
        .by('device_id', router)
        .flatMap(({ fixed_ips: ips }) => ips.map(({ subnet_id: id }) => id)),
    );
    const found = [...new Set([...own, ...others, ...peeredSubnets(tables, networkId)])];
    this.#subnets.set(networkId, found);
    return found;
  }
}
