import type { IdKind } from '../plan/inputs.ts';
import { idOf, typedSlices } from '../plan/inputs.ts';
import { peeringOf } from '../plan/peerings.ts';
import type { Planner } from '../plan/planner.ts';
import type { ListedSlices } from '../show/names.ts';

export type NumberSource = {
  readonly slices: ListedSlices;
  readonly planner: Pick<Planner, 'ids' | 'numberOf'>;
};

/** Ids behind the host's numbers, as they are now. Null: nobody has the number any more. */
export type HostNumbers = {
  port(vif: number): string | null;
  network(net: number): string | null;
  router(vrf: number): string | null;
  /** Id of the side of a peering of a router here. */
  peering(number: number): string | null;
  /** Underlay address of the host that a tunnel leads to. */
  underlay(tunnel: number): string | null;
  /** Id of a mirror of a port here. */
  mirror(number: number): string | null;
};

/** Each kind is turned round when it is first asked for. */
export function readNumbers({ slices, planner }: NumberSource): HostNumbers {
  const ids = (kind: IdKind) => once(() => new Map(Array.from(planner.ids(kind), ([id, number]) => [number, id])));
  const [ports, networks, tunnels] = [ids('vif'), ids('network'), ids('tunnel')];
  const routers = once(() => {
    const found = new Map<number, string>();
    for (const key of slices.keys()) {
      if (!key.startsWith(ROUTER)) continue;
      const id = key.slice(ROUTER.length);
      const vrf = planner.numberOf('router', id);
      if (vrf !== undefined) found.set(vrf, id);
    }
    return found;
  });
  const peerings = once(() => {
    const found = new Map<number, string>();
    for (const key of slices.keys()) {
      if (!key.startsWith(PEERINGS)) continue;
      for (const [id] of typedSlices(slices).items('peerings', idOf(key))) {
        const number = planner.numberOf('router', peeringOf(id));
        if (number !== undefined) found.set(number, id);
      }
    }
    return found;
  });
  const mirrors = once(() => {
    const found = new Map<number, string>();
    for (const key of slices.keys()) {
      if (!key.startsWith(HOST)) continue;
      for (const [, port] of typedSlices(slices).items('host', idOf(key))) {
        for (const { id } of port.mirrors ?? []) found.set(planner.numberOf('mirror', id) ?? 0, id);
      }
    }
    return found;
  });
  return {
    port: (vif) => ports().get(vif) ?? null,
    network: (net) => networks().get(net) ?? null,
    router: (vrf) => routers().get(vrf) ?? null,
    peering: (number) => peerings().get(number) ?? null,
    underlay: (tunnel) => tunnels().get(tunnel) ?? null,
    mirror: (number) => mirrors().get(number) ?? null,
  };
}

const ROUTER = 'router:';
const PEERINGS = 'peerings:';
const HOST = 'host:';

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
