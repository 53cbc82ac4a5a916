import { type CompilerTables, compareText, type NodeKey, type NodeKind, splitKey } from '@cable/compiler';
import { sleep } from '@cable/kit';
import type { LocalPort, NetworkHeader, SliceKey, SliceKeyV1 } from '@cable/model';
import type { SliceContents } from '../slices/slice-bytes.ts';
import type { SliceStore } from '../slices/slice-store.ts';

/** A whole slice as it is sent. `content`: the part of the line that depends on the slice alone. */
export type LineV1 = { readonly line: Buffer; readonly content: string };

/** A slice is composed no sooner than this after it was composed before. */
const PACE_MS = 50;

/** Kinds that protocol 1 does not know: nothing of them is in its slices. */
const LATER_KINDS = [
  'names',
  'qos',
  'standby',
  'balancers',
  'pool',
  'gateways',
  'spares',
  'floating',
  'forwards',
  'floats',
  'leases',
  'blocks',
  'peerings',
  'services',
  'backends',
  'vpn',
  'pseudowires',
  'logs',
  'network_policies',
  'cluster_policies',
  'pods',
  'cluster_pods',
  'private_subnets',
  'private_legs',
  'host_policies',
] as const;

type Composed = {
  /** Undefined: the slice does not exist. */
  readonly line: Promise<LineV1 | undefined>;
  readonly startedAt: number;
  isStale: boolean;
};

/**
 * Whole slices of protocol 1, composed of items: a network has its endpoints and routers in it, and a port is up only in a network that is up. A
 * slice is composed when it is asked for after it changed, once for all who ask.
 */
export class SlicesV1 {
  readonly #store: SliceStore;
  readonly #tables: Pick<CompilerTables, 'router_interface'>;
  readonly #signal: AbortSignal;
  readonly #composed = new Map<SliceKeyV1, Composed>();

  constructor(store: SliceStore, tables: Pick<CompilerTables, 'router_interface'>, signal: AbortSignal) {
    this.#store = store;
    this.#tables = tables;
    this.#signal = signal;
  }

  /** The slice as it is; undefined: it does not exist. */
  get(key: SliceKeyV1): Promise<LineV1 | undefined> {
    const before = this.#composed.get(key);
    if (before?.isStale === false) return before.line;
    const waitMs = before === undefined ? 0 : Math.max(0, before.startedAt + PACE_MS - performance.now());
    const line = this.#compose(key, before, waitMs);
    const composed: Composed = { line, startedAt: performance.now() + waitMs, isStale: false };
    this.#composed.set(key, composed);
    const forget = (): void => {
      if (this.#composed.get(key) === composed) this.#composed.delete(key);
    };
    line.then((made) => made === undefined && forget(), forget);
    return line;
  }

  /** A slice has changed: gives the whole slices that it is in, which are stale from now on. `host` slices that a network is in are not named. */
  note(key: NodeKey): readonly SliceKeyV1[] {
    const keys = wholeSlicesOf(key, this.#store);
    for (const one of keys) this.#markStale(one);
    if (key.startsWith('network:')) {
      for (const host of this.#store.subscribers(nearKey(key))) this.#markStale(`host:${host}`);
    }
    return keys;
  }

  /** Revision of the last change of what the slice is composed of. */
  changedAt(key: SliceKeyV1): number {
    const { kind, id } = splitKey(key);
    const parts: NodeKey[] = [key];
    if (kind === 'network') parts.push(`endpoints:${id}`, nearKey(key));
    if (kind === 'host') for (const one of this.#store.keysOf(id)) if (one.startsWith('network:')) parts.push(one);
    return Math.max(...parts.map((one) => this.#store.changedAt(one)));
  }

  /** Nobody asks any more. */
  clear(): void {
    this.#composed.clear();
  }

  #markStale(key: SliceKeyV1): void {
    const composed = this.#composed.get(key);
    if (composed !== undefined) composed.isStale = true;
  }

  async #compose(key: SliceKeyV1, before: Composed | undefined, waitMs: number): Promise<LineV1 | undefined> {
    if (waitMs > 0) await sleep(waitMs, this.#signal);
    const content = await this.#content(key);
    if (content === undefined) return undefined;
    const last = await before?.line;
    if (last?.content === content) return last;
    const head = `{"type":"put","key":${JSON.stringify(key)},"revision":${this.changedAt(key)}`;
    return { line: Buffer.from(`${head},"slice":${content}}\n`), content };
  }

  async #content(key: SliceKeyV1): Promise<string | undefined> {
    const { kind, id } = splitKey(key);
    const contents = await this.#store.contents(key);
    if (contents === undefined) return undefined;
    switch (kind) {
      case 'host':
        return whole(kind, contents.header, { ports: await this.#ports(contents) });
      case 'network':
        return this.#network(id, contents.header);
      case 'router':
        return whole(kind, contents.header, { interfaces: sortedItems(contents) });
      case 'policy':
        return whole(kind, contents.header, { rules: sortedItems(contents) });
      case 'group':
        return whole(kind, contents.header, { members: sortedItems(contents) });
      default:
        return undefined;
    }
  }

  async #ports(contents: SliceContents): Promise<string[]> {
    const up = new Map<string, boolean>();
    const ports: string[] = [];
    for (const json of sortedItems(contents)) {
      const port = JSON.parse(json) as LocalPort;
      const { networkId } = port;
      const isUp = up.get(networkId) ?? (await this.#isUp(`network:${networkId}`));
      up.set(networkId, isUp);
      ports.push(port.adminStateUp && !isUp ? JSON.stringify({ ...port, adminStateUp: false }) : json);
    }
    return ports;
  }

  async #isUp(network: SliceKey): Promise<boolean> {
    const contents = await this.#store.contents(network);
    return contents !== undefined && (JSON.parse(contents.header) as NetworkHeader).adminStateUp;
  }

  async #network(id: string, header: string): Promise<string> {
    const endpoints = await this.#store.contents(`endpoints:${id}`);
    const { adminStateUp: _, ...network } = JSON.parse(header) as NetworkHeader;
    const routers = this.#tables.router_interface.by('network_id', id).map((port) => port.device_id);
    const sorted = [...new Set(routers)].filter((router) => router !== '').sort(compareText);
    const lists = {
      endpoints: endpoints === undefined ? [] : sortedItems(endpoints),
      routers: sorted.map((router) => JSON.stringify(router)),
    };
    return whole('network', JSON.stringify(network), lists);
  }
}

function isLater(kind: NodeKind): kind is (typeof LATER_KINDS)[number] {
  return (LATER_KINDS as readonly NodeKind[]).includes(kind);
}

/** Whole slices that a slice is in, but for `host` slices that a network is in. A router changes what its networks say of it. */
function wholeSlicesOf(key: NodeKey, store: SliceStore): readonly SliceKeyV1[] {
  const { kind, id } = splitKey(key);
  if (isLater(kind)) return [];
  if (kind === 'endpoints' || kind === 'near') return [`network:${id}`];
  if (kind !== 'router') return [`${kind}:${id}`];
  const networks = [...store.refsOf(key)].filter((ref): ref is `network:${string}` => ref.startsWith('network:'));
  return [`router:${id}`, ...networks];
}

function nearKey(network: NodeKey): NodeKey {
  return `near:${splitKey(network).id}`;
}

function whole(kind: string, header: string, lists: Readonly<Record<string, readonly string[]>>): string {
  const listed = Object.entries(lists).map(([name, items]) => `,"${name}":[${items.join(',')}]`);
  return `{"kind":"${kind}",${header.slice(1, -1)}${listed.join('')}}`;
}

function sortedItems({ items }: SliceContents): string[] {
  return [...items].sort(([a], [b]) => compareText(a, b)).map(([, json]) => json);
}
