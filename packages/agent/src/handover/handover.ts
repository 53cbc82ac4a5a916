/**
 * Flows of ports that move between hosts, handed over from one to the other: this host tells those to which ports of it go, and takes from those whence ports come. And flows of
 * routers, told by the gateway's host to those that stand by. Which these are the server says.
 */
import type { Logger } from '@cable/kit';
import type { SliceKey } from '@cable/model';
import type { FlowTimeouts } from '../flow-timeouts.ts';
import type { GroupPlaces } from '../guest/joined-groups.ts';
import type { Planner } from '../plan/planner.ts';
import type { SliceReader, StateUpdate } from '../stream/slice-reader.ts';
import { type CarryPrograms, loadCarryPrograms } from './carry-programs.ts';
import { askFlows } from './flow-client.ts';
import { FLOWS_PORT } from './flow-lines.ts';
import type { RecordNames } from './flow-record.ts';
import { startFlowServer } from './flow-server.ts';
import { FlowSource } from './flow-source.ts';
import { FlowTaker, type TakenFlows } from './flow-taker.ts';
import { MovingPorts } from './moving-ports.ts';
import { RouterPlaces } from './router-places.ts';
import { RouterTaker, type TakenRouterFlows } from './router-taker.ts';

export type HandoverDeps = {
  readonly host: string;
  /** Underlay address of this host. */
  readonly underlay: string;
  /** Path of the vrouter's object, and where its maps are pinned. */
  readonly object: string;
  readonly pinnedMaps: string;
  readonly flowTimeouts: FlowTimeouts;
  /** What guests have joined; undefined: nobody asks them. */
  readonly groups: GroupPlaces | undefined;
  readonly slices: Pick<SliceReader, 'header' | 'item' | 'itemKeys' | 'items' | 'keys'>;
  readonly planner: Pick<Planner, 'vifs' | 'ids' | 'numberOf'>;
  /** Host of a router's gateway as this one sees it; undefined: that which the server says. */
  readonly gatewayOf: (routerId: string) => string | undefined;
  /** Whether the flows of this port are here (`hasFlows`) is otherwise than it was. */
  readonly onFlows: (portId: string) => void;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

/** For status. */
export type HandoverStatus = {
  /** Why no other host can get flows from here; null: it can. */
  readonly error: string | null;
  /** Connections by which other hosts follow flows of ports of this one. */
  readonly told: number;
  readonly taken: TakenFlows;
  /** The same of routers. */
  readonly routers: TakenRouterFlows & { readonly told: number };
};

export type Handover = {
  /** The state changed; the planner may not know it yet. */
  take(update: Pick<StateUpdate, 'changes'>): void;
  /** The same for gateways, when it is known where they are seen; `moved`: those that are elsewhere now. */
  takeGateways(update: Pick<StateUpdate, 'changes'>, moved: Iterable<string>): void;
  /** These ports are programmed otherwise. */
  portsChanged(ports: Iterable<string>): void;
  /** Whether the port comes from another host, and its flows are here. */
  hasFlows(portId: string): boolean;
  readonly status: HandoverStatus;
  close(): void;
};

export function startHandover(deps: HandoverDeps): Handover {
  const { underlay, slices, planner, log, signal } = deps;
  let carry: CarryPrograms | undefined;
  // Loaded when the first port moves: on most hosts none does for days.
  const programs = (): CarryPrograms => {
    carry ??= loadCarryPrograms(deps);
    return carry;
  };
  const moving = new MovingPorts(deps.host, slices);
  const source = new FlowSource({ carry: programs, names: () => namesOf(deps), log, signal });
  const places = new RouterPlaces({
    host: deps.host,
    slices,
    hostOf: deps.gatewayOf,
    network: (id) => planner.ids('network').get(id),
    after: (ms, call) => void setTimeout(() => signal.aborted || call(), ms).unref(),
  });
  const server = startFlowServer({
    address: underlay,
    port: FLOWS_PORT,
    moving,
    routers: places,
    source,
    vif: (portId) => planner.ids('vif').get(portId),
    groups: deps.groups,
    log,
    signal,
  });
  const ask = (host: string, path: string, until: AbortSignal) =>
    askFlows({ host, port: FLOWS_PORT, own: underlay }, path, until);
  const taker = new FlowTaker({
    carry: programs,
    moving,
    vif: (portId) => planner.vifs.get(portId)?.vif,
    numbers: {
      network: (id) => planner.ids('network').get(id),
      member: (id) => planner.numberOf('member', id),
    },
    groups: deps.groups,
    ask,
    onChange: deps.onFlows,
    log,
    signal,
  });
  moving.onChange((portId) => {
    server.check(portId);
    taker.check(portId);
    source.hurry();
  });
  const routerTaker = new RouterTaker({ carry: programs, places, ask, log, signal });
  places.onMoves((moves) => {
    if (moves.left.length > 0) source.hurry();
    routerTaker.take(moves);
    for (const id of moves.changed) server.checkRouter(id);
  });
  return {
    take: (update) => moving.take(update),
    takeGateways: (update, moved) => places.take(update, moved),
    portsChanged: (ports) => {
      for (const portId of ports) if (moving.get(portId) !== undefined) taker.check(portId);
    },
    hasFlows: (portId) => taker.hasFlows(portId),
    get status() {
      const routers = { told: source.routerFollowers, ...routerTaker.status };
      return { error: server.error, told: source.followers, taken: taker.status, routers };
    },
    close: () => carry?.close(),
  };
}

const POOL = 'pool:';

/** Ids behind numbers, as they are now. Members are turned round when one is first asked for. */
function namesOf({ slices, planner }: Pick<HandoverDeps, 'slices' | 'planner'>): RecordNames {
  const networks = new Map(Array.from(planner.ids('network'), ([id, net]) => [net, id]));
  let members: Map<number, string> | undefined;
  return {
    network: (net) => networks.get(net) ?? null,
    member: (member) => {
      members ??= membersOf(slices, planner);
      return members.get(member) ?? null;
    },
  };
}

function membersOf(slices: HandoverDeps['slices'], planner: Pick<Planner, 'numberOf'>): Map<number, string> {
  const members = new Map<number, string>();
  for (const key of slices.keys()) {
    if (!isPool(key)) continue;
    for (const id of slices.itemKeys(key)) {
      const number = planner.numberOf('member', id);
      if (number !== undefined) members.set(number, id);
    }
  }
  return members;
}

function isPool(key: SliceKey): boolean {
  return key.startsWith(POOL);
}
