/**
 * Chains of service functions (RFC 7665), as pseudowires (docs/design/proton-backends.md): each classifier has a way at each of its ports, by each function of its chain's path and
 * back. What of the objects below a chain changes writes the ways of its classifiers anew.
 */
import type { AnyObject, PortOwner } from '@cable/model';
import type { DeclaredObject } from '@cable/proton';
import type { Planning } from '../../engine/context.ts';
import type { Look } from '../../engine/view.ts';
import { placesOf } from '../../resources/minimum-bandwidth.ts';
import { PORT_OWNER } from '../owners.ts';
import { parseAcl } from './acl.ts';
import type { BackendModel, BackendPart } from './backends.ts';
import { refusePorts } from './chain-ports.ts';
import { type ChainShape, chainShape, type Forwarded } from './chain-shape.ts';
import { chainsOf, functionsOf, hopsOf, isBeingRemoved, portsOf, rewire, rewireChain, typesOf } from './chain-ways.ts';
import { conflict, invalid } from './refusals.ts';
import { PSEUDOWIRE, refusingBindings, touchPort, unableHost, writeWires } from './wires.ts';

/** Most functions of one path. */
const HOPS_MAX = 16;

/** Functions that give back other packets than they took are not known by these. */
const REWRITERS: ReadonlySet<string> = new Set(['nat', 'napt', 'nat44', 'nat64', 'snat', 'dnat']);

type Rows = readonly AnyObject[];

/** What a model lacks for chains. */
export function chainProblems(declared: readonly DeclaredObject[]): readonly string[] {
  const shape = chainShape('', declared);
  return 'chain' in shape ? [] : shape;
}

/** What objects of one of the model's types do. */
export function chainPart({ proton, declared }: BackendModel, own: DeclaredObject): BackendPart {
  const shape = chainShape(proton, declared);
  if (!('chain' in shape)) return {};
  switch (own.type) {
    case shape.port.type:
      return { change: refusingBindings(shape.port, (planning, owner) => refusalOfFunctions(planning, shape, owner)) };
    case shape.interface.type:
      return ofInterfaces(shape);
    case shape.fn.type:
      return ofFunctions(shape);
    case shape.locator.type:
      return ofLocators(shape);
    case shape.chain.type:
      return ofChains(shape);
    case shape.path.type:
      return ofPaths(shape);
    case shape.hop.type:
      return ofHops(shape);
    case shape.classifier.type:
      return ofClassifiers(shape);
    case shape.forwarder?.type:
      return ofForwarders(shape);
    default:
      return ofForwarded(shape, own.type);
  }
}

function ofClassifiers(shape: ChainShape): BackendPart {
  const write = (planning: Planning, row: AnyObject): void => {
    const chain = planning.plan.get(shape.chain.type, String(row[shape.classifier.toChain])) as AnyObject | undefined;
    const acl = typeof row['acl'] === 'string' ? parseAcl(row['acl']) : undefined;
    if (acl !== undefined && 'problem' in acl) throw invalid('acl', acl.problem);
    if (acl === undefined) throw invalid('acl', 'say what is led, such as port=<id of a port> proto=tcp dport=80');
    if (chain === undefined) throw invalid(shape.classifier.toChain, 'say by which chain');
    refusePorts(planning, row, acl.ports);
    planning.plan.revise(shape.chain.type, chain.id);
    rewire(planning, shape, row, chain);
  };
  return {
    created: write,
    changed: (planning, before, after) => {
      const names = ['acl', 'name', shape.classifier.toChain];
      if (names.some((name) => before[name] !== after[name])) write(planning, after);
    },
    removed: (planning, row) => writeWires(planning, { proton: shape.proton, object: row }, []),
  };
}

function ofChains(shape: ChainShape): BackendPart {
  return {
    changed: (planning, before, after) => {
      for (const path of planning.plan.by(shape.path.type, shape.path.toChain, after.id) as Rows)
        refuseOrder(planning.plan, shape, after, path.id, 'sf_types');
      if (before['symmetric'] !== after['symmetric'] || before['sf_types'] !== after['sf_types'])
        rewireChain(planning, shape, after.id);
    },
  };
}

function ofPaths(shape: ChainShape): BackendPart {
  const { toChain } = shape.path;
  const check = (planning: Planning, path: AnyObject): void => {
    if ((path['starting_index'] ?? null) !== null)
      throw invalid('starting_index', 'hosts lead packets without the header of RFC 8300, which has it: leave it out');
    const chain = planning.plan.get(shape.chain.type, String(path[toChain])) as AnyObject | undefined;
    if (chain !== undefined) refuseOrder(planning.plan, shape, chain, path.id, toChain);
  };
  return {
    created: (planning, path) => {
      check(planning, path);
      rewireChain(planning, shape, path[toChain]);
    },
    changed: (planning, before, after) => {
      check(planning, after);
      for (const chain of new Set([before[toChain], after[toChain]])) rewireChain(planning, shape, chain);
    },
    removed: (planning, path) => rewireChain(planning, shape, path[toChain]),
  };
}

function ofHops(shape: ChainShape): BackendPart {
  const { toPath, toFn } = shape.hop;
  const chainOf = ({ plan }: Planning, hop: AnyObject): unknown =>
    (plan.get(shape.path.type, String(hop[toPath])) as AnyObject | undefined)?.[shape.path.toChain];
  const write = (planning: Planning, hop: AnyObject): void => {
    refuseHop(planning, shape, hop);
    rewireChain(planning, shape, chainOf(planning, hop));
  };
  return {
    created: write,
    changed: (planning, before, after) => {
      write(planning, after);
      if (before[toPath] !== after[toPath]) rewireChain(planning, shape, chainOf(planning, before));
      if (before[toFn] !== after[toFn]) planning.plan.revise(shape.fn.type, String(before[toFn]));
    },
    removed: (planning, hop) => rewireChain(planning, shape, chainOf(planning, hop)),
  };
}

/** Throws for a hop that its path cannot have. Revises what it is of, so that two who add one see each other. */
function refuseHop(planning: Planning, shape: ChainShape, hop: AnyObject): void {
  const { plan } = planning;
  const { toPath, toFn } = shape.hop;
  const [pathId, fnId] = [String(hop[toPath]), String(hop[toFn] ?? '')];
  const path = plan.get(shape.path.type, pathId) as AnyObject | undefined;
  const fn = plan.get(shape.fn.type, fnId) as AnyObject | undefined;
  if (fn === undefined) throw invalid(toFn, 'say by which function packets pass');
  plan.revise(shape.path.type, pathId);
  plan.revise(shape.fn.type, fnId);
  const others = hopsOf(plan, shape, pathId).filter(({ id }) => id !== hop.id);
  if (others.length >= HOPS_MAX)
    throw conflict(`Path ${pathId} has ${HOPS_MAX} hops, which is the most`, 'Delete one.');
  if (others.some((one) => one['hop_number'] === hop['hop_number']))
    throw conflict(`Path ${pathId} has a hop ${String(hop['hop_number'])} already`, 'Give it another hop_number.');
  if (others.some((one) => one[toFn] === fnId))
    throw conflict(`Path ${pathId} passes the function ${fnId} already`, 'A path passes a function once.');
  if (portsOf(plan, shape, fnId).length === 0)
    throw conflict(`Function ${fnId} has no locator: nothing can reach it`, 'Bind an interface to it first.');
  const chain = plan.get(shape.chain.type, String(path?.[shape.path.toChain])) as AnyObject | undefined;
  if (chain !== undefined) refuseOrder(plan, shape, chain, pathId, toFn);
  refuseElsewhere(planning, shape, fnId);
}

/** Throws unless the functions of the path have types of the chain, in its order. */
function refuseOrder(
  look: Pick<Look, 'get' | 'by'>,
  shape: ChainShape,
  chain: AnyObject,
  pathId: string,
  attribute: string,
): void {
  const wanted = typesOf(chain);
  if (wanted.length === 0) return;
  const types = functionsOf(look, shape, pathId).map((one) => String(one['type']));
  let at = 0;
  for (const type of types) {
    at = wanted.indexOf(type, at) + 1;
    if (at > 0) continue;
    throw invalid(
      attribute,
      `path ${pathId} has functions of ${types.join(', ')}, and its chain those of ${wanted.join(', ')} in that order`,
    );
  }
}

function ofFunctions(shape: ChainShape): BackendPart {
  const check = (fn: AnyObject): void => {
    if (fn['nsh_aware'] === true)
      throw invalid('nsh_aware', 'hosts lead packets without the header of RFC 8300: it must be false');
    if (!REWRITERS.has(String(fn['type']).toLowerCase())) return;
    throw invalid('type', `${String(fn['type'])} gives back packets with other addresses, which no chain knows again`);
  };
  return {
    created: (_planning, fn) => check(fn),
    changed: (planning, before, after) => {
      check(after);
      if (before['type'] === after['type']) return;
      for (const chainId of chainsOf(planning.plan, shape, after.id)) {
        const chain = planning.plan.get(shape.chain.type, chainId) as AnyObject | undefined;
        const paths =
          chain === undefined ? [] : (planning.plan.by(shape.path.type, shape.path.toChain, chainId) as Rows);
        for (const { id } of paths) refuseOrder(planning.plan, shape, chain as AnyObject, id, 'type');
        planning.plan.revise(shape.chain.type, chainId);
      }
    },
  };
}

function ofLocators(shape: ChainShape): BackendPart {
  const { toFn } = shape.locator;
  const write = (planning: Planning, row: AnyObject): void => {
    refuseLocator(planning, shape, row);
    rewireFunction(planning, shape, String(row[toFn]));
  };
  return {
    created: write,
    changed: (planning, before, after) => {
      write(planning, after);
      if (before[toFn] !== after[toFn]) leaveFunction(planning, shape, String(before[toFn]));
    },
    removed: (planning, row) => leaveFunction(planning, shape, String(row[toFn])),
  };
}

/** Throws where the function would lose its last locator while a path passes it. */
function leaveFunction(planning: Planning, shape: ChainShape, fnId: string): void {
  if (isBeingRemoved(planning, shape.proton)) return;
  const isPassed = planning.plan.by(shape.hop.type, shape.hop.toFn, fnId).length > 0;
  if (isPassed && portsOf(planning.plan, shape, fnId).length === 0)
    throw conflict(`Function ${fnId} would have no locator, and a path passes it`, 'Delete the hop first.');
  rewireFunction(planning, shape, fnId);
}

/** Of a function whose ports are others: all ways that pass it. */
function rewireFunction(planning: Planning, shape: ChainShape, fnId: string): void {
  planning.plan.revise(shape.fn.type, fnId);
  for (const chain of chainsOf(planning.plan, shape, fnId)) rewireChain(planning, shape, chain);
}

function refuseLocator(planning: Planning, shape: ChainShape, row: AnyObject): void {
  const { plan } = planning;
  const { toFn, toInterface } = shape.locator;
  const part = plan.get(shape.interface.type, String(row[toInterface])) as AnyObject | undefined;
  if (part === undefined) return;
  refuseTagged(part, toInterface);
  const portId = String(part[shape.interface.toPort]);
  const owner = plan.get(PORT_OWNER, portId) as unknown as PortOwner | undefined;
  touchPort(planning, portId);
  if (!['mac', null].includes((row['transport'] ?? null) as string | null))
    throw invalid('transport', 'packets reach functions as frames: mac is what there is, and none');
  const mac = row['mac_address'] ?? null;
  if (mac !== null && String(mac).toLowerCase() !== owner?.mac_address)
    throw invalid('mac_address', `packets reach the function by the MAC of its port, ${String(owner?.mac_address)}`);
  const ports = portsOf(plan, shape, String(row[toFn]));
  if (ports.length > 2)
    throw conflict(
      `Function ${String(row[toFn])} has two locators`,
      'Those are the most: one to take, one to give back.',
    );
  if (locatorsAt(plan, shape, portId).length > 1)
    throw conflict(`Port ${portId} leads to a function already`, 'Give each locator a port of its own.');
  if (plan.by(PSEUDOWIRE, 'at_port_id', portId).length > 0)
    throw conflict(`Packets of port ${portId} are led by a classifier`, 'Delete that first, or give another port.');
  for (const host of placesOf(owner)) {
    const unable = unableHost(plan, host);
    if (unable !== undefined)
      throw conflict(`Port ${portId} can lead to no function: ${unable}`, 'Bring its agent up to date.');
  }
  refuseElsewhere(planning, shape, String(row[toFn]));
}

function locatorsAt(look: Pick<Look, 'by'>, { locator, interface: part }: ChainShape, portId: string): Rows {
  const parts = look.by(part.type, part.toPort, portId) as Rows;
  return parts.flatMap(({ id }) => look.by(locator.type, locator.toInterface, id) as Rows);
}

/** An interface that leads to a function stays the whole of its port. */
function ofInterfaces(shape: ChainShape): BackendPart {
  const { locator } = shape;
  return {
    changed: (planning, _before, after) => {
      for (const row of planning.plan.by(locator.type, locator.toInterface, after.id) as Rows) {
        refuseTagged(after, 'segmentation_type');
        refuseLocator(planning, shape, row);
        rewireFunction(planning, shape, String(row[locator.toFn]));
      }
    },
  };
}

function refuseTagged({ id, segmentation_type: type = 'none' }: AnyObject, attribute: string): void {
  if (type === 'none' || type === null) return;
  throw invalid(attribute, `interface ${id} has a tag, and functions have whole ports: segmentation_type must be none`);
}

/** Why a port cannot come to its host: a function of it is to be elsewhere, or the host knows of no wires. */
function refusalOfFunctions({ plan }: Planning, shape: ChainShape, owner: PortOwner): string | undefined {
  const fns = locatorsAt(plan, shape, owner.id).map((one) => String(one[shape.locator.toFn]));
  const isLed = plan.by(PSEUDOWIRE, 'at_port_id', owner.id).length > 0;
  const unable = fns.length > 0 || isLed ? unableHost(plan, owner.host_id) : undefined;
  if (unable !== undefined) return unable;
  const node = fns.flatMap((fn) => nodesOf(plan, shape, fn)).find((one) => one !== owner.host_id);
  return node === undefined ? undefined : `its function is passed at the forwarder of host ${node}`;
}

/** Hosts of the forwarders at which paths, or bindings, have the function. */
function nodesOf(look: Pick<Look, 'get' | 'by'>, shape: ChainShape, fnId: string): readonly string[] {
  const { forwarder, forwarded } = shape;
  if (forwarder === undefined) return [];
  return forwarded.flatMap(({ type, toForwarder, toFn }) =>
    (toFn === undefined ? [] : (look.by(type, toFn, fnId) as Rows)).flatMap((row) => {
      const node = (look.get(forwarder.type, String(row[toForwarder])) as AnyObject | undefined)?.['service_node'];
      return typeof node === 'string' && node !== '' ? [node] : [];
    }),
  );
}

/** Throws where a port of the function is on another host than that of a forwarder that passes packets to it. */
function refuseElsewhere(planning: Planning, shape: ChainShape, fnId: string): void {
  const { plan } = planning;
  for (const node of nodesOf(plan, shape, fnId)) {
    for (const portId of portsOf(plan, shape, fnId)) {
      touchPort(planning, portId);
      const host = placesOf(plan.get(PORT_OWNER, portId)).find((one) => one !== node);
      if (host === undefined) continue;
      throw conflict(
        `Port ${portId} of function ${fnId} is on host ${host}, and its forwarder is host ${node}`,
        'Give the forwarder of that host, or none.',
      );
    }
  }
}

/** Forwarders are the hosts themselves. */
function ofForwarders(shape: ChainShape): BackendPart {
  const check = ({ plan }: Planning, { service_node: node = null }: AnyObject): void => {
    if (node !== null && plan.get('host', String(node)) === undefined)
      throw invalid('service_node', `forwarders are hosts, and there is no host ${String(node)}`);
  };
  return {
    created: check,
    changed: (planning, before, after) => {
      if (before['service_node'] === after['service_node']) return;
      check(planning, after);
      for (const { type, toForwarder, toFn } of shape.forwarded) {
        if (toFn === undefined) continue;
        for (const row of planning.plan.by(type, toForwarder, after.id) as Rows)
          refuseElsewhere(planning, shape, String(row[toFn]));
      }
    },
  };
}

/** What refers to a forwarder besides hops: which functions it has is looked at, and where it is reached is not to be said. */
function ofForwarded(shape: ChainShape, own: string): BackendPart {
  const one: Forwarded | undefined = shape.forwarded.find(({ type }) => type === own);
  if (one === undefined) return {};
  const { toForwarder, toFn } = one;
  const write = (planning: Planning, row: AnyObject): void => {
    if (toFn === undefined)
      throw invalid(
        toForwarder,
        'forwarders are hosts, which find each other and the classifiers of their ports by themselves',
      );
    refuseElsewhere(planning, shape, String(row[toFn]));
  };
  return { created: write, changed: (planning, _before, after) => write(planning, after) };
}
