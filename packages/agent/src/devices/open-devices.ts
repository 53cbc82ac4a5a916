import type { Logger } from '@cable/kit';
import type { AgentDeps } from '../deps.ts';
import type { LinkDriver } from '../host/applied-links.ts';
import type { Netns } from '../net/netns.ts';
import { NetlinkSocket } from '../net/socket.ts';
import type { ChosenOptions } from '../options.ts';
import { ownPortsOf } from '../plan/own-ports.ts';
import { AddressWatches } from './address-watches.ts';
import { EntranceKeeper } from './entrance-keeper.ts';
import { type ForeignProgramWatch, watchForeignPrograms } from './foreign-programs.ts';
import { openFragmenterNamespace } from './fragmenter.ts';
import { type GuardKeeper, startGuardKeeper } from './guard-keeper.ts';
import { applyHostLinks, unwantedHostLinks } from './host-links.ts';
import { LinkRemover } from './link-remover.ts';
import type { LinkChanges } from './link-rows.ts';
import { LinkTable, type LinkTableOptions } from './link-table.ts';
import { type NodeKeeper, startNodeKeeper } from './node-keeper.ts';
import { NodeLinks } from './node-links.ts';
import { ensureOwnLinks, type OwnLinks } from './own-links.ts';
import { openServiceNamespace } from './service-namespace.ts';
import { UnderlayWatch } from './underlay.ts';
import { UnderlayMtu } from './underlay-mtu.ts';

/** The devices of this host: the agent's own, and what is seen of all. */
export type Devices = {
  readonly socket: NetlinkSocket;
  readonly underlay: UnderlayWatch;
  readonly guard: GuardKeeper;
  readonly nodeLinks: NodeLinks;
  /** What the host relies on as a node. */
  readonly node: NodeKeeper;
  /** What is let in from outside for Services. */
  readonly entrances: EntranceKeeper;
  /** Of the guest services. */
  readonly netns: Netns;
  /** Of the fragmenter. */
  readonly fragments: Netns;
  readonly own: OwnLinks;
  readonly mtu: UnderlayMtu;
  readonly links: ObservedLinks;
  /** Of the namespace of the guest services. */
  readonly serviceLinks: ObservedLinks;
  readonly foreign: ForeignProgramWatch;
  readonly remover: LinkRemover;
  /** Of addresses on `links`; what becomes of them is taken in by `keepDevices`. */
  readonly addresses: AddressWatches;
  /** Who is told of changes of `links`, and of any of `serviceLinks`; one. */
  onChange(listener: (changes: LinkChanges) => void, onServiceChange: () => void): void;
};

type ObservedLinks = { readonly table: LinkTable; readonly ready: Promise<void>; readonly done: Promise<void> };

/** The guard before anything else, then the agent's own devices as they shall be, and the observed tables of all. */
export async function openDevices(options: ChosenOptions, deps: AgentDeps): Promise<Devices> {
  const { log, signal } = deps;
  const socket = new NetlinkSocket();
  const underlay = new UnderlayWatch(options.underlay, socket);
  const nodeLinks = new NodeLinks();
  const spec = () => {
    const { names, keeping } = nodeLinks;
    return { tunnelDevices: underlay.now?.devices, nodeLinks: names, keeping };
  };
  const entrances = new EntranceKeeper({
    ...{ nodeLinks: () => nodeLinks.names, isOpen: options.opensCluster },
    ownPorts: ownPortsOf(options.probeListen),
    ...{ log: log.child('services'), signal },
  });
  const guard = startGuardKeeper({ spec, log: log.child('guard'), signal });
  const mtu = new UnderlayMtu({
    ...{ underlay, address: options.underlay, wantedBytes: options.underlayMtuBytes, log: log.child('devices') },
  });
  const netns = openServiceNamespace(options.runDir, socket);
  const fragments = openFragmenterNamespace(options.runDir, socket);
  const own = await ensureOwnLinks(socket, { mtuBytes: mtu.innerBytes, netns, fragments });
  let listener: (changes: LinkChanges) => void = () => undefined;
  let serviceListener = (): void => undefined;
  const links = observe({ onChange: (changes) => listener(changes) }, deps);
  const serviceLinks = observe({ onChange: () => serviceListener(), netns }, deps);
  const onChange = (next: typeof listener, onServiceChange: typeof serviceListener): void => {
    listener = next;
    serviceListener = onServiceChange;
  };
  const node = startNodeKeeper({
    ...{ links: nodeLinks, leavesConntrack: options.leavesConntrack },
    hasDevice: (name) => links.table.byName(name) !== undefined,
    ...{ log: log.child('node'), signal },
  });
  const foreign = watchForeignPrograms({ socket, links: links.table, log: log.child('devices'), signal });
  return {
    socket,
    underlay,
    guard,
    nodeLinks,
    node,
    entrances,
    netns,
    fragments,
    own,
    mtu,
    links,
    serviceLinks,
    foreign,
    remover: new LinkRemover(),
    addresses: new AddressWatches(links.table),
    onChange,
  };
}

function observe(options: Pick<LinkTableOptions, 'onChange' | 'netns'>, { log, signal }: AgentDeps): ObservedLinks {
  const table = new LinkTable({ ...options, log: log.child('devices'), signal });
  return { table, ...table.start() };
}

/** Says in the log that no device has the underlay address, if so. */
export function warnOfUnderlay(underlay: string, links: Pick<LinkTable, 'values'>, log: Logger): void {
  for (const { addresses } of links.values()) {
    if (addresses.some(({ cidr }) => cidr.split('/')[0] === underlay)) return;
  }
  log.warn({ underlay }, 'no device has the underlay address: other hosts cannot reach this one');
}

/** How devices of ports are made and removed. */
export function linkDriver(
  { socket, links, remover, guard, nodeLinks, node, entrances }: Devices,
  policies: { check(): void },
  log: Logger,
): LinkDriver {
  const changed = (): void => {
    guard.check();
    entrances.check();
    policies.check();
    node.check();
  };
  return {
    apply: (wanted) => {
      const result = applyHostLinks(wanted, { socket, log });
      if (nodeLinks.add(wanted.values())) changed();
      if (result.changed) links.table.catchUp();
      return result;
    },
    prune: (wanted) => {
      if (nodeLinks.keep(wanted.values())) changed();
      const going = unwantedHostLinks(wanted, links.table.values()).map(({ ifindex }) => ifindex);
      remover.remove(going).catch((err: unknown) => log.warn({ err }, 'cannot remove links of ports that are gone'));
    },
  };
}
