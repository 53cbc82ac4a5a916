/** What an agent does for addresses of Services on its links: see `announced-addresses.ts`. */
import { type Logger, startLoop } from '@cable/kit';
import { MAX_ANNOUNCED_A_REPORT } from '@cable/model';
import type { Devices } from '../devices/open-devices.ts';
import type { UplinkKeeper } from '../devices/uplink-keeper.ts';
import { succeeded } from '../ffi/errno.ts';
import { type FailOver, TICK_MS } from '../gateways/fail-over.ts';
import { arpAnnouncement, arpQuestion, neighborAnnouncement, neighborQuestion } from '../net/announcement.ts';
import { FrameSocket } from '../net/frame-socket.ts';
import type { ChosenOptions } from '../options.ts';
import { isMapped, NO_ADDRESS, parseAddress, parseMac } from '../plan/address.ts';
import type { Announced } from '../plan/entrances.ts';
import type { KernelDataPlane } from '../reconcile/kernel-data-plane.ts';
import type { HostState } from '../stream/host-state.ts';
import type { StateUpdate } from '../stream/slice-reader.ts';
import { AnnouncedAddresses, type AnnouncedView } from './announced-addresses.ts';
import { ClusterNodes } from './cluster-nodes.ts';
import { kernelAnnouncedRows } from './kernel-rows.ts';
import { type AnnouncingLinks, announcingLinks, type OwnLink } from './links.ts';
import { merged } from './merged.ts';
import { kernelGroups, SolicitedGroups } from './solicited-groups.ts';

export type Announcing = {
  /** The state changed. */
  takeState(update: Pick<StateUpdate, 'changes'>): void;
  /** Addresses that hosts announce, by address and Service; `isWhole`: these are all. */
  take(wanted: ReadonlyMap<string, Announced>, isWhole: boolean): void;
  /** Names of devices on which it needs the uplink's program; undefined: not known yet. */
  readonly devices: readonly string[] | undefined;
  /** Tags of the prefixes whose addresses it announces; undefined: not known yet. */
  readonly tags: readonly number[] | undefined;
  /** For the server; undefined: it announces nothing, whatever there is. */
  readonly here: readonly string[] | undefined;
  /** For status. */
  readonly view: { readonly devices: readonly string[]; readonly addresses: readonly AnnouncedView[] };
  /** Begins; `done` resolves after the signal aborted. What is announced stays so. */
  start(deps: StartDeps): { readonly done: Promise<void> };
};

type StartDeps = {
  readonly failOver: Pick<FailOver, 'watch' | 'hostAt'>;
  readonly uplinks: Pick<UplinkKeeper, 'check' | 'view'>;
  /** Called when `here` is another. */
  readonly onChange: () => void;
  readonly signal: AbortSignal;
};

/** A device that cannot send now, or is gone. */
const NOT_NOW = ['ENODEV', 'ENXIO', 'ENETDOWN', 'ENOBUFS', 'EAGAIN'] as const;
/** A link may come a little after the agent. */
const PATIENCE_MS = 10_000;
const NOTHING: AnnouncingLinks = { links: [], tags: [], left: [] };

export function createAnnouncing(
  {
    host,
    cluster,
    announceOn,
    announceCidrs,
  }: Pick<ChosenOptions, 'host' | 'cluster' | 'announceOn' | 'announceCidrs'>,
  parts: {
    readonly devices: Pick<Devices, 'links' | 'underlay' | 'nodeLinks' | 'socket'>;
    readonly plane: Pick<KernelDataPlane, 'announced'>;
    readonly state: Pick<HostState, 'slices'>;
  },
  log: Logger,
): Announcing {
  const { devices, plane, state } = parts;
  const nodes = new ClusterNodes(host, state.slices);
  const isOff = cluster === undefined || announceOn?.length === 0;
  let wanted: ReadonlyMap<string, Announced> = new Map();
  let isWhole = false;
  let isTold = false;
  let now = NOTHING;
  let known = '';
  let isKnown = false;
  let addresses: AnnouncedAddresses | undefined;
  const groups = new SolicitedGroups(kernelGroups(devices.socket), { log, now: () => performance.now() });
  /** A host that is no node has none. */
  const names = (): readonly string[] =>
    isOff || devices.nodeLinks.names.length === 0 ? [] : (announceOn ?? devices.underlay.now?.devices ?? []);

  const look = ({ view }: Pick<UplinkKeeper, 'view'>): void => {
    const ready = new Set(view.devices.flatMap(({ name, error }) => (error === null ? [name] : [])));
    const links = names().flatMap((name) => (ready.has(name) ? (devices.links.table.byName(name) ?? []) : []));
    const facts = links.map(({ ifindex, name, mac, up, carrier, addresses: own }) => ({
      ...{ ifindex, name, mac, up, carrier },
      addresses: own.map(({ cidr, linkLocal }) => ({ cidr, linkLocal })),
    }));
    const underlay = devices.underlay.now?.devices ?? [];
    const next = JSON.stringify([facts, underlay]);
    if (next === known) return;
    known = next;
    now = announcingLinks(facts, announceCidrs, underlay);
    if (now.left.length > 0)
      log.warn(
        { prefixes: now.left },
        'addresses of Services in these prefixes are not announced: this host has too many',
      );
  };

  const run = (deps: StartDeps, frames: FrameSocket, last: { names: string; readonly startMs: number }): void => {
    const { uplinks, onChange, failOver } = deps;
    const own = names().join();
    if (isTold && own !== last.names) {
      last.names = own;
      uplinks.check();
    }
    look(uplinks);
    // Until it is known what is to be announced, and where, what was goes on.
    isKnown ||= isWhole && (own === '' || now.links.length > 0 || performance.now() - last.startMs > PATIENCE_MS);
    if (!isTold) return;
    addresses ??= new AnnouncedAddresses({
      ...{ host, log, rows: kernelAnnouncedRows(() => plane.announced) },
      ...{ nodes: () => nodes.now, links: () => now.links, watch: (hosts) => failOver.watch(hosts) },
      sight: (tag) => (underlay) => {
        const { state: is, announces } = failOver.hostAt(underlay);
        return { state: is, may: announces.includes(tag) };
      },
      ask: (link, address, mac) => send(frames, link.ifindex, questionOf(link as OwnLink, address, mac)),
      tell: (link, address) => send(frames, link.ifindex, announcementOf(link.mac, address)),
      now: () => performance.now(),
    });
    addresses.take(wanted, isWhole && isKnown);
    if (addresses.tick()) onChange();
    groups.take(addresses.places, isWhole && isKnown);
  };

  return {
    takeState: (update) => nodes.take(update),
    take: (all, whole) => {
      wanted = merged(all.values());
      isTold = true;
      isWhole ||= whole;
    },
    get devices() {
      return isTold || isOff ? names() : undefined;
    },
    get tags() {
      return isKnown ? now.tags : undefined;
    },
    get here() {
      return isOff || !isKnown ? undefined : (addresses?.here ?? []).slice(0, MAX_ANNOUNCED_A_REPORT);
    },
    get view() {
      return { devices: names(), addresses: addresses?.view ?? [] };
    },
    start: (deps) => {
      const frames = new FrameSocket();
      const last = { names: 'none yet', startMs: performance.now() };
      const loop = startLoop({
        ...{ name: 'addresses of Services', log, signal: deps.signal, everyMs: TICK_MS },
        run: async () => run(deps, frames, last),
        backoff: { minMs: TICK_MS, maxMs: TICK_MS },
      });
      return { done: loop.done.finally(() => frames.close()) };
    },
  };
}

function send(frames: FrameSocket, ifindex: number, frame: Uint8Array): void {
  succeeded(() => frames.send(ifindex, frame), NOT_NOW);
}

function announcementOf(mac: string, text: string): Uint8Array {
  const [own, address] = [parseMac(mac) ?? new Uint8Array(6), parseAddress(text) ?? NO_ADDRESS];
  return isMapped(address) ? arpAnnouncement(own, address.subarray(12)) : neighborAnnouncement(own, address, false);
}

/** As who has no address yet (RFC 5227), so that nobody learns anything of it; by IPv6 with an address of the link, so that the answer comes here alone. */
function questionOf({ mac, own6 }: OwnLink, text: string, to: string | undefined): Uint8Array {
  const [own, address] = [parseMac(mac) ?? new Uint8Array(6), parseAddress(text) ?? NO_ADDRESS];
  const other = to === undefined ? undefined : parseMac(to);
  if (isMapped(address)) return arpQuestion({ own: new Uint8Array(4), mac: own }, address.subarray(12), other);
  const source = own6 === undefined ? undefined : parseAddress(own6);
  const frame = neighborQuestion({ own: source ?? new Uint8Array(16), mac: own }, address);
  if (other !== undefined) frame.set(other);
  return frame;
}
