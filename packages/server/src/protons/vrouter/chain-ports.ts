/** At which ports packets may be led, and by which: what a classifier's and a function's port must be. */
import { type AnyObject, cidrsOverlap, parseCidr } from '@cable/model';
import type { Planning } from '../../engine/context.ts';
import type { Look } from '../../engine/view.ts';
import { PORT_OWNER } from '../owners.ts';
import type { AclPort } from './acl.ts';
import type { Step } from './chain-shape.ts';
import { conflict, invalid } from './refusals.ts';
import { PSEUDOWIRE, unableHost } from './wires.ts';

/** Most classifiers of one port. */
const CLASSIFIERS_MAX = 64;

type Led = { readonly project: string; readonly host: string; readonly reason?: string };

/** Throws for a port at which the classifier may lead nothing. That there is none is told as that it is another project's. */
export function refusePorts(planning: Planning, classifier: AnyObject, ports: readonly AclPort[]): void {
  for (const { portId } of ports) {
    const port = ledAt(planning.plan, portId);
    const isSeen = port?.project === classifier['project_id'] || isAdmin(planning);
    if (port === undefined || !isSeen) throw invalid('acl', `there is no port ${portId} in the project`);
    if (port.reason !== undefined) throw invalid('acl', `port ${portId} ${port.reason}`);
    const unable = port.host === '' ? undefined : unableHost(planning.plan, port.host);
    if (unable !== undefined) throw conflict(`Nothing can be led at port ${portId}: ${unable}`, 'Bring it up to date.');
    refuseMany(planning.plan, portId, classifier.id);
  }
}

function isAdmin({ deps, asked, isService }: Planning): boolean {
  return isService || deps.permission.policy.for(asked.credentials).isAdmin;
}

/** Undefined: there is no such port. `reason`: why nothing can be led there. */
function ledAt(look: Pick<Look, 'get' | 'by'>, portId: string): Led | undefined {
  const port = look.get('port', portId);
  if (port !== undefined) {
    const at = { project: port.project_id, host: port['binding:host_id'] ?? '' };
    if (port.device_owner.startsWith('network:'))
      return { ...at, reason: `is one of ${port.device_owner}, which no host carries` };
    return (port['cable:backend'] ?? null) === null ? at : { ...at, reason: 'is of another back end than the vrouter' };
  }
  const owner = look.get(PORT_OWNER, portId);
  if (owner === undefined) return undefined;
  const at = { project: owner.project_id, host: owner.status === null ? '' : owner.host_id };
  if (owner.proton_network_id === null)
    return { ...at, reason: `is of ${owner.proton}, which has no back end on the vrouter` };
  const isEnd = look.by(PSEUDOWIRE, 'port_ids', portId).some((wire) => wire.at_port_id === null);
  return isEnd ? { ...at, reason: 'is an end of a line, which carries all that it sends' } : at;
}

function refuseMany(look: Pick<Look, 'by'>, portId: string, classifierId: string): void {
  const others = new Set(look.by(PSEUDOWIRE, 'at_port_id', portId).map((one) => one.object_id));
  others.delete(classifierId);
  if (others.size < CLASSIFIERS_MAX) return;
  throw conflict(`Port ${portId} has ${CLASSIFIERS_MAX} classifiers, which is the most`, 'Delete one of them.');
}

/** Throws where a function could not tell packets of this port from those of another one, or is at the port itself. */
export function refuseMeeting(look: Pick<Look, 'get' | 'by'>, portId: string, steps: readonly Step[]): void {
  for (const step of steps) {
    const ports = [...new Set([step.in, step.out])];
    if (ports.includes(portId))
      throw conflict(
        `Port ${portId} is a port of function ${step.fn.id}, by which its own packets would be led`,
        'Lead them at another port.',
      );
    const wires = ports.flatMap((id) => look.by(PSEUDOWIRE, 'port_ids', id));
    const others = new Set(wires.flatMap((wire) => wire.at_port_id ?? []));
    const other = [...others].find((one) => one !== portId && maySoundAlike(look, one, portId));
    if (other === undefined) continue;
    throw conflict(
      `Function ${step.fn.id} takes packets of port ${other}, whose network may have the addresses of that of port ${portId}: they could not be told apart`,
      'Give each of the networks a function of its own.',
    );
  }
}

/** Two networks of which an address may be in both. */
function maySoundAlike(look: Pick<Look, 'get' | 'by'>, one: string, other: string): boolean {
  const [a, b] = [one, other].map(
    (id) => look.get('port', id)?.network_id ?? look.get(PORT_OWNER, id)?.proton_network_id,
  );
  if (a === b || a === undefined || b === undefined) return false;
  const [mine, theirs] = [a, b].map((id) =>
    look.by('subnet', 'network_id', id ?? '').flatMap(({ cidr }) => parseCidr(cidr) ?? []),
  );
  if (mine === undefined || theirs === undefined || mine.length === 0 || theirs.length === 0) return true;
  return mine.some((prefix) => theirs.some((each) => cidrsOverlap(prefix, each)));
}
