import { startTurns } from '@cable/kit';
import type { SliceKey } from '@cable/model';
import { ClusterZone } from '../guest/cluster-zone.ts';
import type { SliceChange, SliceReader, StateUpdate } from '../stream/slice-reader.ts';

type Slices = Pick<SliceReader, 'header' | 'item' | 'items' | 'itemKeys' | 'size' | 'keys'>;

/** `making`: not all of the scope is in it yet. */
type Held = { readonly zone: ClusterZone; making: Promise<unknown> | undefined };

/** Objects that are taken in at once; more of them wait for their turns. */
const AT_ONCE = 500;
const NONE: readonly ClusterZone[] = [];

/**
 * The names of the Services of Kubernetes clusters, scope by scope: made with the first question of a guest behind one of the scope's routers, and kept as the state
 * changes, so that neither a question nor a change costs a look at all of them.
 */
export class ClusterZones {
  readonly #slices: Slices;
  readonly #zones = new Map<string, Held>();
  /** Scopes whose Services a network's ports reach; empty after a change of routers or scopes. */
  readonly #scopesOf = new Map<string, readonly string[]>();

  constructor(slices: Slices) {
    this.#slices = slices;
  }

  /** The clusters that ports of the network reach, in the order of their scopes' IDs. A promise: they are large, and this is the first question. */
  of(networkId: string): readonly ClusterZone[] | Promise<readonly ClusterZone[]> {
    const scopes = this.#scopesOf.get(networkId) ?? this.#findScopes(networkId);
    if (scopes.length === 0) return NONE;
    const held = scopes.flatMap((scope) => this.#zones.get(scope) ?? this.#make(scope) ?? []);
    const zones = held.map(({ zone }) => zone);
    const making = held.flatMap((one) => one.making ?? []);
    return making.length === 0 ? zones : Promise.all(making).then(() => zones);
  }

  #findScopes(networkId: string): readonly string[] {
    const found: string[] = [];
    for (const key of this.#slices.keys()) {
      const [kind, scope] = parts(key);
      if (kind !== 'services') continue;
      const { clusterDomain, routerIds = [] } = this.#slices.header(`services:${scope}`) ?? {};
      if (clusterDomain !== undefined && routerIds.some((id) => this.#isIn(id, networkId))) found.push(scope);
    }
    found.sort();
    this.#scopesOf.set(networkId, found);
    return found;
  }

  #isIn(routerId: string, networkId: string): boolean {
    for (const [, leg] of this.#slices.items(`router:${routerId}`)) if (leg.networkId === networkId) return true;
    return false;
  }

  #make(scope: string): Held | undefined {
    const header = this.#slices.header(`services:${scope}`);
    if (header === undefined) return undefined;
    const zone = new ClusterZone(header, {
      service: (id) => this.#slices.item(`services:${scope}`, id),
      backend: (key) => this.#slices.item(`backends:${scope}`, key),
    });
    const held: Held = { zone, making: undefined };
    this.#zones.set(scope, held);
    const size = this.#slices.size(`services:${scope}`) + this.#slices.size(`backends:${scope}`);
    if (size <= AT_ONCE) {
      for (const _ of this.#fill(scope, zone));
    } else {
      held.making = this.#fillInTurns(scope, zone).finally(() => {
        held.making = undefined;
      });
    }
    return held;
  }

  async #fillInTurns(scope: string, zone: ClusterZone): Promise<void> {
    const turns = startTurns();
    for (const _ of this.#fill(scope, zone)) if (turns.due()) await turns.next();
  }

  /** A step for each object. Each is looked up when it is its turn, so a change in between is in it either way. */
  *#fill(scope: string, zone: ClusterZone): Generator<void> {
    for (const id of [...this.#slices.itemKeys(`services:${scope}`)]) {
      zone.changeService(id);
      yield;
    }
    for (const key of [...this.#slices.itemKeys(`backends:${scope}`)]) {
      zone.changeBackend(key);
      yield;
    }
  }

  /** The state changed. */
  take({ changes }: Pick<StateUpdate, 'changes'>): void {
    for (const change of changes) this.#change(change);
  }

  #change({ key, item }: SliceChange): void {
    const [kind, scope] = parts(key);
    if (kind === 'router' || (kind === 'services' && item === null)) this.#scopesOf.clear();
    const zone = kind === 'services' || kind === 'backends' ? this.#zones.get(scope)?.zone : undefined;
    if (zone === undefined) return;
    if (item === null) {
      const header = kind === 'services' ? this.#slices.header(`services:${scope}`) : undefined;
      if (header !== undefined) zone.setHeader(header);
      else if (kind === 'services') this.#zones.delete(scope);
    } else if (kind === 'services') {
      zone.changeService(item);
    } else {
      zone.changeBackend(item);
    }
  }
}

function parts(key: SliceKey): readonly [kind: string, id: string] {
  const colon = key.indexOf(':');
  return [key.slice(0, colon), key.slice(colon + 1)];
}
