/**
 * `rename` of a host: the machine is the same, so are its underlay address and its ports.
 *
 *   begin   the new host is made, the old one marked: from here on it can get no other name, and neither is deleted or let in (`hosts/renaming.ts`)
 *   move    some ports of the old host become the new one's, again and again; so does what names the host
 *   end     the old host, which has no port any more, goes; the new one has its underlay address
 *
 * Each step is one transaction, which compares both hosts, and begins by looking where the rename is: so it goes on whoever died in it, and two servers may be at
 * the same one.
 */
import type { Attributes } from '@cable/api';
import { type AnyObject, CableError, type Host } from '@cable/model';
import { transact } from '../engine/commit.ts';
import type { Asked, EngineDeps, Planning } from '../engine/context.ts';
import { RENAMED_FROM, RENAMED_TO } from '../engine/hidden.ts';
import type { Contribution } from '../engine/module.ts';
import { notFound, showOne } from '../engine/read.ts';
import { readerOf } from '../engine/reader.ts';
import { permittedRow, planUpdate } from '../engine/write.ts';
import { parseHostName } from '../hosts/parse.ts';
import {
  beingRenamed,
  leftOver,
  refuseRenaming,
  renamedFrom,
  renamedTo,
  renamingOf,
  withoutRenaming,
} from '../hosts/renaming.ts';
import { aliveKey, objectKey, vifPrefix } from '../keys.ts';
import { dropBooking, isAlive } from './host.ts';
import { revokeGone } from './revoke-host.ts';

/** Ports of one transaction. */
const PORTS = 256;
/** The same of subnets, and of policies, that name it. */
const NAMING = 64;

/** The action of hosts. */
export const renameHostModule: Contribution<AnyObject> = { actions: { rename: renameHost } };

/**
 * Answers the host under its new name. One that failed in the middle is simply repeated. The old name keeps the underlay address to the end: an agent of the new one is
 * let in when all ports are there, and other hosts send to the same address all along.
 */
async function renameHost(deps: EngineDeps, id: string, body: Attributes, asked: Asked): Promise<unknown> {
  const resource = deps.resources.named('host');
  const given = body['name'];
  if (typeof given !== 'string') throw new CableError('InvalidInput', 'Invalid input for name: give the new name.');
  const name = parseHostName(given);
  if (name === id) throw new CableError('InvalidInput', `Invalid input for name: host ${id} has this name.`);
  await deps.lock.run([objectKey('host', id), objectKey('host', name)], asked, async () => {
    let hasBegun = false;
    const step = (planning: Planning): 'done' | 'more' => {
      // Another server may have been faster.
      if (hasBegun && planning.plan.rely('host', id) === undefined) return 'done';
      permittedRow(planning, resource, id, (before) => ({ verb: 'action', before, action: 'rename' }));
      return planStep(planning, id, name);
    };
    while ((await transact(deps, asked, step, { isService: true })) === 'more') hasBegun = true;
  });
  return showOne(deps, resource, name, readerOf(deps, asked.credentials));
}

/** What is to be done next. */
function planStep(planning: Planning, id: string, name: string): 'done' | 'more' {
  const { plan } = planning;
  const old = plan.rely('host', id);
  if (old === undefined) throw notFound(planning.deps.resources.named('host'), id);
  const mayMerge = refuseOther(planning, old, name);
  refuseAlive(planning, id);
  if (!mayMerge && planBegin(planning, old, name)) return 'more';
  if (planPorts(planning, id, name) || planNaming(planning, old, name)) return 'more';
  planEnd(planning, old, name);
  return 'done';
}

/** Throws when the host is being renamed to another name. True: an old rename left it over, and its address is the named host's already. */
function refuseOther({ plan }: Planning, old: Host, name: string): boolean {
  const renaming = renamingOf(plan, old);
  if (renaming.kind === 'under-way' && (renaming.old !== old.id || !renaming.names.includes(name))) {
    throw beingRenamed(renaming.old, renaming.names[0]);
  }
  if (renaming.kind !== 'left-over' || renaming.holder === undefined) return false;
  const holder = plan.rely('host', renaming.holder);
  if (holder?.id !== name) throw leftOver(old.id, renaming);
  refuseRenaming(plan, holder);
  return true;
}

/** The host stays without an agent while the plan commits. */
function refuseAlive({ deps, plan }: Planning, id: string): void {
  if (deps.tables.of('alive').get(id) !== undefined) throw isAlive(id);
  plan.requireAbsent(aliveKey(id));
}

/** True: there was something to be written of the two hosts. */
function planBegin({ plan }: Planning, old: Host, name: string): boolean {
  const known = plan.rely('host', name);
  if (known !== undefined && renamedFrom(known) !== old.id) {
    refuseRenaming(plan, known);
    throw nameInUse(known);
  }
  const isMarked = renamedTo(old) === name && renamedFrom(old) === undefined;
  if (isMarked && known?.underlay === old.underlay) return false;
  if (!isMarked) plan.replace('host', { ...withoutRenaming(old), [RENAMED_TO]: name });
  const made = { ...withoutRenaming(old), id: name, [RENAMED_FROM]: old.id };
  if (known === undefined) plan.create('host', { ...made, updated_at: plan.timestamp });
  else if (known.underlay !== old.underlay) plan.replace('host', made);
  return true;
}

function nameInUse({ id, underlay }: Host): CableError {
  return new CableError('HostNameInUse', `There is a host ${id} already, with underlay address ${underlay}.`, {
    detail: 'Choose another name, or delete that host.',
  });
}

/** Moves some ports. False: the host has none. */
function planPorts(planning: Planning, id: string, name: string): boolean {
  const { deps, plan } = planning;
  const isOld = ({ host }: { readonly host: string }): boolean => host === id;
  const standby = plan.by('port', 'standby_hosts', id).filter((port) => port.inactive_bindings.some(isOld));
  const ports = [...plan.by('port', 'binding:host_id', id), ...standby].slice(0, PORTS);
  for (const port of ports) {
    const host = port['binding:host_id'] === id ? name : port['binding:host_id'];
    const inactive = port.inactive_bindings.map((one) => (isOld(one) ? { ...one, host: name } : one));
    const changes = { 'binding:host_id': host, inactive_bindings: inactive };
    planUpdate(planning, deps.resources.named('port'), port as AnyObject, changes);
  }
  return ports.length > 0;
}

/** Lets some of what names the host name it by its new name: subnets that leave by it, policies for it. False: nothing names it. */
function planNaming({ plan }: Planning, { id, cluster }: Host, name: string): boolean {
  const renamed = (one: string): string => (one === id ? name : one);
  const subnets = plan
    .by('subnet', 'cable:gateway_cluster', cluster ?? '')
    .filter((one) => one['cable:gateway_nodes'].includes(id));
  // Where it is the active one it stays so.
  for (const subnet of subnets.slice(0, NAMING))
    plan.replace('subnet', {
      ...subnet,
      'cable:gateway_nodes': subnet['cable:gateway_nodes'].map(renamed),
      'cable:gateway_node': renamed(subnet['cable:gateway_node'] ?? ''),
    });
  const policies = plan.by('host_policy', 'hosts', id);
  for (const policy of policies.slice(0, NAMING))
    plan.replace('host_policy', { ...policy, hosts: policy.hosts.map(renamed) });
  return subnets.length + policies.length > 0;
}

/** The old host goes, and the new one has its underlay address. */
function planEnd(planning: Planning, old: Host, name: string): void {
  const { plan } = planning;
  revokeGone(planning, old.id);
  plan.deletePrefix(vifPrefix(old.id));
  plan.delete('host', old.id);
  dropBooking(plan, old.id);
  const host = plan.rely('host', name);
  if (host !== undefined && renamedFrom(host) === old.id) plan.replace('host', withoutRenaming(host));
}
