/** Services in the maps of a packet test, as the agent writes them. */
import { createHash } from 'node:crypto';
import {
  CB_BACKENDS,
  CB_ROUTE_SERVICE,
  CB_SERVICE_F_LOCAL,
  type CbServiceKey,
  MAPS,
} from '../../packages/agent/src/bpf/abi.gen.ts';
import { addr, type World } from './world.ts';

/** Where an endpoint serves. */
export type Place = { readonly ip: string; readonly port: number };

export type ServiceOptions = {
  readonly scope: number;
  readonly ip: string;
  readonly protocol: number;
  readonly port: number;
  /** Endpoints that stand in the list behind those that count. Default: none. */
  readonly kept?: readonly Place[];
  /** Default 0: no affinity. */
  readonly affinityS?: number;
  readonly isLocal?: boolean;
};

const NOTHING = new Uint8Array(16);

/** Prefixes of a scope lead to its Services, in a router. `outer`: the scope of what nodes let in from outside. */
export function addScope(world: World, vrf: number, scope: number, cidrs: readonly string[], outer = 0): void {
  const nexthop = Uint8Array.from(NOTHING);
  const view = new DataView(nexthop.buffer);
  view.setUint32(0, scope, true);
  view.setUint32(4, outer, true);
  for (const cidr of cidrs) {
    const [base = '', length = '0'] = cidr.split('/');
    const key = { prefixlen: 32 + (base.includes(':') ? 0 : 96) + Number(length), vrf, addr: addr(base) };
    world.write(MAPS.cb_route_2, key, {
      ...{ kind: CB_ROUTE_SERVICE, flags: 0, net: 0, mtuBytes: 0, mac: new Uint8Array(6), nexthop },
      ...{ own: NOTHING, outside: 0 },
    });
  }
}

/** A port of a Service leads to the endpoints. */
export function setService(world: World, options: ServiceOptions, endpoints: readonly Place[]): void {
  const { scope, ip, protocol, port, kept = [], affinityS = 0, isLocal = false } = options;
  const all = [...endpoints, ...kept];
  const list = createHash('sha256').update(JSON.stringify(all)).digest().readBigUInt64LE();
  for (let chunk = 0; chunk * CB_BACKENDS < all.length; chunk++) {
    const backend = Array.from({ length: CB_BACKENDS }, (_, n) => {
      const place = all[chunk * CB_BACKENDS + n];
      return { addr: place === undefined ? NOTHING : addr(place.ip), portBe: place?.port ?? 0 };
    });
    world.write(MAPS.cb_backend_1, { list, chunk }, { backend });
  }
  const flags = isLocal ? CB_SERVICE_F_LOCAL : 0;
  const value = { list, count: endpoints.length, total: all.length, affinityS, service: 0xabcdef01, flags };
  world.write(MAPS.cb_service_1, keyOf(scope, ip, protocol, port), value);
  world.write(MAPS.cb_service_1, keyOf(scope, ip, 0, 0), {
    ...{ list: 0n, count: 0, total: 0, affinityS: 0, service: 0, flags: 0 },
  });
}

export function removeService(world: World, { scope, ip, protocol, port }: ServiceOptions): void {
  world.erase(MAPS.cb_service_1, keyOf(scope, ip, protocol, port));
}

function keyOf(scope: number, ip: string, protocol: number, portBe: number): CbServiceKey {
  return { scope, addr: addr(ip), protocol, portBe };
}
