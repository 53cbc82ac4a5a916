/** From the objects of chains to the wires of their classifiers: which path is in force, by which ports it leads, and what enters. */
import type { AnyObject } from '@cable/model';
import type { Planning } from '../../engine/context.ts';
import { PROTON } from '../../engine/fences.ts';
import type { Look } from '../../engine/view.ts';
import { PORT_OWNER } from '../owners.ts';
import { madeUpId } from '../port-view.ts';
import { type AclPort, parseAcl, reversed } from './acl.ts';
import { refuseMeeting } from './chain-ports.ts';
import type { ChainShape, Step } from './chain-shape.ts';
import { conflict } from './refusals.ts';
import { touchPort, type Wire, writeWires } from './wires.ts';

/** Most characters of a wire's name. */
const NAME_MAX = 255;

type Rows = readonly AnyObject[];

/** Words of a text with commas between them; none: it says nothing. */
export function typesOf({ sf_types: text }: AnyObject): readonly string[] {
  if (typeof text !== 'string') return [];
  return text
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '');
}

/** Hops of a path, the first one first. */
export function hopsOf(look: Pick<Look, 'by'>, { hop }: ChainShape, pathId: string): Rows {
  const all = look.by(hop.type, hop.toPath, pathId) as Rows;
  return [...all].sort((a, b) => Number(a['hop_number']) - Number(b['hop_number']));
}

/** Functions of a path, in its order. */
export function functionsOf(look: Pick<Look, 'get' | 'by'>, shape: ChainShape, pathId: string): Rows {
  return hopsOf(look, shape, pathId).flatMap(
    (one) => (look.get(shape.fn.type, String(one[shape.hop.toFn])) as AnyObject) ?? [],
  );
}

/** The path that packets take: of those that have a function of each type of the chain that of the lowest number; undefined: none has. */
function pathInForce(look: Pick<Look, 'get' | 'by'>, shape: ChainShape, chain: AnyObject): AnyObject | undefined {
  const paths = look.by(shape.path.type, shape.path.toChain, chain.id) as Rows;
  const sorted = [...paths].sort((a, b) => Number(a['path_id']) - Number(b['path_id']) || (a.id < b.id ? -1 : 1));
  const wanted = typesOf(chain);
  return sorted.find(({ id }) => {
    const functions = functionsOf(look, shape, id);
    return functions.length > 0 && (wanted.length === 0 || functions.length === wanted.length);
  });
}

/** Ports of a function: the one that its interfaces’ names put first takes packets, the other one gives them back. Empty: it has no locator. */
export function portsOf(look: Pick<Look, 'get' | 'by'>, shape: ChainShape, fnId: string): readonly string[] {
  const { locator, interface: part } = shape;
  const parts = (look.by(locator.type, locator.toFn, fnId) as Rows).flatMap(
    (one) => (look.get(part.type, String(one[locator.toInterface])) as AnyObject) ?? [],
  );
  const nameOf = ({ id, name }: AnyObject): string => `${String(name ?? '')}\n${id}`;
  return [...parts].sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1)).map((one) => String(one[part.toPort]));
}

/** A function with two ports that no locator says a transport of is one that frames pass as they are, such as a bridge. */
function isTransparent(look: Pick<Look, 'by'>, { locator }: ChainShape, fnId: string): boolean {
  const all = look.by(locator.type, locator.toFn, fnId) as Rows;
  return all.length === 2 && all.every(({ transport = null }) => transport === null);
}

/** Chains of which a path has the function. */
export function chainsOf(look: Pick<Look, 'get' | 'by'>, { hop, path }: ChainShape, fnId: string): ReadonlySet<string> {
  const paths = (look.by(hop.type, hop.toFn, fnId) as Rows).flatMap(
    (one) => (look.get(path.type, String(one[hop.toPath])) as AnyObject) ?? [],
  );
  return new Set(paths.map((one) => String(one[path.toChain])));
}

/** Writes the wires of all classifiers of a chain. While the proton is being removed they stay until their classifier goes: no way becomes shorter. */
export function rewireChain(planning: Planning, shape: ChainShape, chainId: unknown): void {
  const { plan } = planning;
  const chain = plan.get(shape.chain.type, String(chainId)) as AnyObject | undefined;
  if (chain === undefined || isBeingRemoved(planning, shape.proton)) return;
  // Of two who change what is below one chain one is planned anew.
  plan.revise(shape.chain.type, chain.id);
  for (const row of plan.by(shape.classifier.type, shape.classifier.toChain, chain.id) as Rows) {
    plan.rely(shape.classifier.type, row.id);
    rewire(planning, shape, row, chain);
  }
}

/** Nobody else writes objects of a proton meanwhile. */
export function isBeingRemoved({ plan }: Planning, proton: string): boolean {
  return ((plan.get(PROTON, proton) as AnyObject | undefined)?.['change'] ?? null) !== null;
}

/** Writes the wires of a classifier, at the ports of its acl that are there. Throws `HTTPConflict` where its chain leads nowhere. */
export function rewire(planning: Planning, shape: ChainShape, classifier: AnyObject, chain: AnyObject): void {
  const { plan } = planning;
  const ports = aclOf(classifier).filter(
    ({ portId }) => (plan.get('port', portId) ?? plan.get(PORT_OWNER, portId)) !== undefined,
  );
  const steps = stepsOf(planning, shape, classifier, chain);
  for (const id of new Set(steps.flatMap((one) => [one.in, one.out]))) touchPort(planning, id);
  for (const { portId } of ports) {
    touchPort(planning, portId);
    refuseMeeting(plan, portId, steps);
  }
  const wires = ports.flatMap((port) => waysOf(classifier, chain, port, steps));
  writeWires(planning, { proton: shape.proton, object: classifier }, wires);
}

/** Of an acl that has been looked at. */
function aclOf({ acl }: AnyObject): readonly AclPort[] {
  const read = typeof acl === 'string' ? parseAcl(acl) : { ports: [] };
  return 'ports' in read ? read.ports : [];
}

function stepsOf({ plan }: Planning, shape: ChainShape, classifier: AnyObject, chain: AnyObject): readonly Step[] {
  const path = pathInForce(plan, shape, chain);
  if (path === undefined) {
    const what = typesOf(chain).length === 0 ? 'a hop' : `a function of each of ${typesOf(chain).join(', ')}`;
    throw conflict(
      `No path of chain ${chain.id} has ${what}, and the classifier ${classifier.id} leads there`,
      'Make path and hops before classifiers, and delete classifiers first.',
    );
  }
  return functionsOf(plan, shape, path.id).flatMap((fn) => {
    const [first, last = first] = portsOf(plan, shape, fn.id);
    return first === undefined || last === undefined
      ? []
      : [{ fn, in: first, out: last, isTransparent: isTransparent(plan, shape, fn.id) }];
  });
}

/** There, and back where the chain is symmetric. */
function waysOf(classifier: AnyObject, chain: AnyObject, port: AclPort, steps: readonly Step[]): readonly Wire[] {
  const there = wayOf(classifier, port, 'sent', steps);
  if (chain['symmetric'] !== true) return there;
  const back = [...steps].reverse().map((one) => ({ ...one, in: one.out, out: one.in }));
  return [...there, ...wayOf(classifier, { ...port, matches: port.matches.map(reversed) }, 'delivered', back)];
}

/** From the port by each function back to the port. */
function wayOf(
  classifier: AnyObject,
  { portId, matches }: AclPort,
  at: 'sent' | 'delivered',
  steps: readonly Step[],
): readonly Wire[] {
  const precedence = Math.floor(Date.parse(String(classifier['created_at'])) / 1000) || 0;
  const froms = [portId, ...steps.map((one) => one.out)];
  return froms.map((from, index): Wire => {
    const step = steps[index];
    const name = `${String(classifier['name'] ?? '') || classifier.id} ${index + 1}`;
    return {
      ...{ id: madeUpId(`wire ${classifier.id} ${portId} ${at} ${index}`), name: name.slice(0, NAME_MAX) },
      ...{ port_ids: [from, step?.in ?? portId], at_port_id: portId, at, back_port_id: step?.out ?? null },
      transparent: step?.isTransparent ?? false,
      ...(index === 0 ? { matches: [...matches], precedence } : {}),
    };
  });
}
