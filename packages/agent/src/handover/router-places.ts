import type { RouterGateway, SliceKey } from '@cable/model';
import { contains, type Prefix, parseAddress, parsePrefix } from '../plan/address.ts';
import { gatewayHosts } from '../plan/live-gateway.ts';
import type { SliceReader, StateUpdate } from '../stream/slice-reader.ts';
import type { RouterAddress } from './carry-programs.ts';
import type { ToldRouters } from './flow-server.ts';
import type { SourceRouter } from './flow-source.ts';
import type { PassedNetworks } from './passed-flow.ts';

/** A router that this host may be the gateway of. Hosts are underlay addresses. */
export type RouterPlace = {
  /** Its own number, of this process. */
  readonly number: number;
  readonly gateway: RouterGateway;
  /** This host is the gateway, as far as it sees. */
  readonly isHere: boolean;
  /** Who has the flows, and tells them; null: this host itself, or nobody. */
  readonly from: string | null;
  /** Who may be told. */
  readonly others: ReadonlySet<string>;
};

export type RouterPlacesDeps = {
  readonly host: string;
  readonly slices: Pick<SliceReader, 'header' | 'items'>;
  /** Host of the router's gateway as this one sees it; undefined: that which the server says. */
  readonly hostOf: (routerId: string) => string | undefined;
  /** Number of a network; undefined: it is not planned. */
  readonly network: (id: string) => number | undefined;
  readonly after: (ms: number, call: () => void) => void;
};

export type RouterMoves = {
  /** Gateways that have come here; their flows are still heard of for `LINGER_MS`. */
  readonly came: readonly string[];
  /** Gateways that have left; what is left of their flows is told for as long. */
  readonly left: readonly string[];
  /** All for which something is different. */
  readonly changed: readonly string[];
};

/** What the other has seen of packets that came before it knew: by then it does. */
export const LINGER_MS = 3_000;

type Shape = {
  readonly net: number;
  readonly addresses: readonly RouterAddress[];
  readonly texts: ReadonlySet<string>;
};
type Leg = { readonly prefix: Prefix; readonly networkId: string };

const NOBODY: ReadonlySet<string> = new Set();
const NOTHING: Shape = { net: 0, addresses: [], texts: NOBODY };

/** Routers that this host is the gateway of, or stands by for: what the server says, and what is seen of hosts. */
export class RouterPlaces implements ToldRouters {
  readonly #deps: RouterPlacesDeps;
  readonly #places = new Map<string, RouterPlace>();
  readonly #shapes = new Map<string, Shape>();
  readonly #legs = new Map<string, readonly Leg[]>();
  readonly #sources = new Map<string, SourceRouter>();
  /** Addresses with ports of which own guests leave by this host, also when another is the gateway, by router; undefined: to be read anew. */
  #own: ReadonlyMap<string, ReadonlySet<string>> | undefined;
  #listener: (moves: RouterMoves) => void = () => undefined;
  #number = 0;

  constructor(deps: RouterPlacesDeps) {
    this.#deps = deps;
  }

  get(routerId: string): RouterPlace | undefined {
    return this.#places.get(routerId);
  }

  others(routerId: string): ReadonlySet<string> | undefined {
    const others = this.#places.get(routerId)?.others;
    return others === undefined || others.size === 0 ? undefined : others;
  }

  knows(underlay: string): boolean {
    for (const { others } of this.#places.values()) if (others.has(underlay)) return true;
    return false;
  }

  source(routerId: string): SourceRouter | undefined {
    const place = this.#places.get(routerId);
    if (place === undefined) return undefined;
    const known = this.#sources.get(routerId);
    if (known?.number === place.number) return known;
    const source = { number: place.number, addresses: () => this.addresses(routerId) };
    this.#sources.set(routerId, source);
    return source;
  }

  /** One. */
  onMoves(listener: (moves: RouterMoves) => void): void {
    this.#listener = listener;
  }

  /** The state changed, and gateways of these routers are seen elsewhere. Nothing of it is planned yet. */
  take({ changes }: Pick<StateUpdate, 'changes'>, moved: Iterable<string>): void {
    const routers = new Set(moved);
    for (const { key } of changes) {
      if (key === `leases:${this.#deps.host}`) this.#forgetOwn();
      const id = routerOf(key);
      if (id === undefined) continue;
      this.#shapes.delete(id);
      this.#legs.delete(id);
      routers.add(id);
    }
    this.#lookAt(routers);
  }

  /** Addresses that the router has outside, at its gateway. The same array as long as they are the same. */
  addresses(routerId: string): readonly RouterAddress[] {
    return this.#shape(routerId).addresses;
  }

  /** Whether this, in canonical text, is one of them. */
  hasAddress(routerId: string, address: string): boolean {
    return this.#shape(routerId).texts.has(address);
  }

  /** Number of the network outside; undefined: it is not planned yet. */
  external(routerId: string): number | undefined {
    return this.#network(this.#places.get(routerId)?.gateway.networkId);
  }

  /** Networks of a flow whose end inside has this address; undefined: they are not planned yet. */
  networks(routerId: string, inside: string): PassedNetworks | undefined {
    const gateway = this.#places.get(routerId)?.gateway;
    const [external, transit] = [this.#network(gateway?.networkId), this.#network(gateway?.portId)];
    if (external === undefined || transit === undefined) return undefined;
    const address = parsePrefix(inside);
    const leg = address && this.#legsOf(routerId).find(({ prefix }) => contains(prefix, address));
    return { external, transit, inner: this.#network(leg?.networkId) ?? 0 };
  }

  #network(id: string | undefined): number | undefined {
    return id === undefined ? undefined : this.#deps.network(id);
  }

  #lookAt(routers: ReadonlySet<string>): void {
    const [came, left, changed]: [string[], string[], string[]] = [[], [], []];
    for (const id of routers) {
      const before = this.#places.get(id);
      const now = this.#placeOf(id, before);
      if (before === undefined && now === undefined) continue;
      changed.push(id);
      if (now?.isHere === true && before?.isHere === false) came.push(id);
      if (now?.isHere !== true && before?.isHere === true) left.push(id);
      this.#keep(id, before, now);
    }
    if (changed.length > 0) this.#listener({ came, left, changed });
  }

  /** A while longer it is heard of by whom it was, or told to whom it was. */
  #keep(id: string, before: RouterPlace | undefined, now: RouterPlace | undefined): void {
    if (before !== undefined && before.isHere !== (now?.isHere ?? false)) {
      const { others } = before.isHere ? before : (now ?? before);
      const from = before.isHere ? (now?.from ?? null) : before.from;
      const lingering = { ...(now ?? { ...before, isHere: false }), from, others };
      this.#places.set(id, lingering);
      this.#deps.after(LINGER_MS, () => {
        if (this.#places.get(id) !== lingering) return;
        this.#set(id, now);
        this.#listener({ came: [], left: [], changed: [id] });
      });
      return;
    }
    this.#set(id, now);
  }

  #set(id: string, now: RouterPlace | undefined): void {
    if (now !== undefined) this.#places.set(id, now);
    else for (const known of [this.#places, this.#shapes, this.#legs, this.#sources]) known.delete(id);
  }

  #placeOf(id: string, before: RouterPlace | undefined): RouterPlace | undefined {
    const { host, slices, hostOf } = this.#deps;
    const gateway = slices.header(`router:${id}`)?.gateway;
    if (gateway?.standbys === undefined) return undefined;
    const hosts = gatewayHosts(gateway);
    if (!hosts.some((one) => one.host === host)) return undefined;
    const active = hostOf(id) ?? gateway.host;
    const isHere = active === host;
    const others = hosts.flatMap((one) => (one.host === host || one.underlay === null ? [] : [one.underlay]));
    if (before === undefined) this.#number += 1;
    return {
      number: before?.number ?? this.#number,
      gateway,
      isHere,
      from: isHere ? null : (hosts.find((one) => one.host === active)?.underlay ?? null),
      others: isHere ? new Set(others) : NOBODY,
    };
  }

  #shape(id: string): Shape {
    const own = this.#ownOf(id);
    const net = this.#network(this.#places.get(id)?.gateway.networkId);
    const known = this.#shapes.get(id);
    if (net === undefined) return known ?? NOTHING;
    if (known?.net === net) return known;
    const texts = new Set(this.#texts(id));
    const addresses = [...texts].flatMap((text) => {
      const address = parseAddress(text);
      return address === undefined ? [] : [{ net, address, ...(own.has(text) ? { isOwn: true as const } : {}) }];
    });
    const shape = { net, addresses, texts };
    this.#shapes.set(id, shape);
    return shape;
  }

  #forgetOwn(): void {
    for (const id of this.#own?.keys() ?? []) this.#shapes.delete(id);
    this.#own = undefined;
  }

  #ownOf(id: string): ReadonlySet<string> {
    if (this.#own === undefined) {
      const own = new Map<string, Set<string>>();
      for (const [, { routerId, address, leavesBy }] of this.#deps.slices.items<'leases'>(
        `leases:${this.#deps.host}`,
      )) {
        if (leavesBy !== 'host') continue;
        const addresses = own.get(routerId) ?? new Set<string>();
        own.set(routerId, addresses.add(address));
        this.#shapes.delete(routerId);
      }
      this.#own = own;
    }
    return this.#own.get(id) ?? NOBODY;
  }

  *#texts(id: string): Generator<string> {
    const { slices } = this.#deps;
    const gateway = this.#places.get(id)?.gateway;
    for (const { ipAddress } of gateway?.fixedIps ?? []) yield ipAddress;
    for (const key of [`floating:${id}`, `forwards:${id}`] as const) {
      for (const [, { networkId, floatingIp }] of slices.items<'floating' | 'forwards'>(key)) {
        if (networkId === gateway?.networkId) yield floatingIp;
      }
    }
  }

  #legsOf(id: string): readonly Leg[] {
    const known = this.#legs.get(id);
    if (known !== undefined) return known;
    const legs = Array.from(this.#deps.slices.items<'router'>(`router:${id}`)).flatMap(([, { cidr, networkId }]) => {
      const prefix = parsePrefix(cidr);
      return prefix === undefined ? [] : [{ prefix, networkId }];
    });
    this.#legs.set(id, legs);
    return legs;
  }
}

function routerOf(key: SliceKey): string | undefined {
  const at = key.indexOf(':');
  const kind = key.slice(0, at);
  return kind === 'router' || kind === 'floating' || kind === 'forwards' ? key.slice(at + 1) : undefined;
}
