/**
 * Ports of a network follow its subnets of SLAAC: each has the address that such a subnet gives, from its creation to its end. In a network of few ports that is one
 * transaction; of many it takes several, and the subnet says meanwhile how far it is (`FOLLOWED`):
 *
 *   create ── `gives` ──> ports get addresses, some in each transaction ──> no port lacks one: the subnet says nothing any more
 *   delete ── `takes` ──> ports lose them ──> no port has one: the subnet goes; or something refers to it by now: `gives` again
 *
 * Who asked does the steps until its time is over; what it leaves, `SlaacKeeper` does.
 */
import { type AnyObject, CableError, type Port, portResource, type Subnet } from '@cable/model';
import { checkRevision, transact } from '../engine/commit.ts';
import { type Asked, asService, type EngineDeps, type Planning } from '../engine/context.ts';
import { FOLLOWED } from '../engine/hidden.ts';
import { keyOfClaim } from '../engine/keys-of.ts';
import { type Contribution, contribute } from '../engine/module.ts';
import { lookAt } from '../engine/plan.ts';
import type { Look } from '../engine/view.ts';
import { permittedRow, planDelete, planUpdate } from '../engine/write.ts';
import { claimsUnderPrefix, objectKey } from '../keys.ts';
import { automaticAddress, hasAutomatic } from './port-addresses.ts';
import { macName } from './port-claims.ts';
import { isAutomatic } from './subnet-modes.ts';

/** Ports of one transaction, and bytes of them as they are stored: what is written of each is some twice as much. */
const PORTS = 500;
const BYTES = 400_000;

/** With no more time than this the rest is left to the keeper. */
const LATE_MS = 1000;

const MOST = portResource.attributes.fixed_ips.maxLength;

export const automaticAddressesModule: Contribution<AnyObject> = contribute<Subnet>({
  derive: ({ plan }, given) => {
    const { ipv6_ra_mode: ra = null, ipv6_address_mode: address = null, network_id: network = '' } = given;
    const isFollowed = isAutomatic({ ipv6_ra_mode: ra, ipv6_address_mode: address }) && isMany(plan, network);
    return isFollowed ? ({ [FOLLOWED]: 'gives' } as Partial<Subnet>) : {};
  },
  check: (_view, subnet, before) => {
    if (before !== undefined && followed(before) === 'takes') throw beingDeleted(subnet.id);
  },
  created: (planning, subnet) => {
    if (!isAutomatic(subnet)) return;
    if (followed(subnet) === 'gives') refuseFull(planning.plan, subnet);
    else giveAddresses(planning, subnet);
  },
  settle: async (deps, subnet, asked) => {
    if (followed(subnet) !== undefined) await followUntilLate(deps, subnet.id, asked);
  },
  clear: clearSubnet,
  remove: (planning, subnet) => {
    if (isAutomatic(subnet)) takeAddresses(planning, subnet);
  },
});

/** How ports follow the subnet just now. */
export function followed(subnet: Subnet | AnyObject): 'gives' | 'takes' | undefined {
  const how = (subnet as AnyObject)[FOLLOWED];
  return how === 'gives' || how === 'takes' ? how : undefined;
}

/** One transaction of what is to be done for a subnet. False: nothing is left. */
export async function followStep(deps: EngineDeps, id: string, asked: Asked): Promise<boolean> {
  return deps.lock.run([objectKey('subnet', id)], asked, () =>
    transact(deps, asked, (planning) => planStep(planning, id), { isService: true }),
  );
}

async function followUntilLate(deps: EngineDeps, id: string, asked: Asked): Promise<void> {
  while (asked.deadlineMs - deps.monotonicMs() > LATE_MS) {
    if (!(await followStep(deps, id, asked))) return;
  }
}

/**
 * Whoever's tables have the subnet has all ports that came before it, for whoever makes one compares the network, which the subnet revises; and a port that was
 * changed by what was known before is not one that was given its address. So when none lacks one, none will.
 */
function planStep(planning: Planning, id: string): boolean {
  const { plan, deps } = planning;
  const subnet = plan.rely('subnet', id);
  const how = subnet === undefined ? undefined : followed(subnet);
  if (subnet === undefined || how === undefined) return false;
  const ports = portsToChange(plan, subnet, how);
  for (const port of ports)
    changeAddresses(
      planning,
      port,
      port.fixed_ips.filter((one) => one.subnet_id !== id),
    );
  if (ports.length > 0) return true;
  const { [FOLLOWED]: _, ...without } = subnet as AnyObject;
  if (how === 'gives') {
    plan.replace('subnet', without as AnyObject);
    return false;
  }
  if (usersOf(planning, subnet).length === 0) {
    planDelete(asService(planning), deps.resources.named('subnet'), without as AnyObject);
    return false;
  }
  plan.replace('subnet', { ...without, [FOLLOWED]: 'gives' } as AnyObject);
  plan.revise('network', subnet.network_id);
  return true;
}

/**
 * Marks a subnet that many ports follow, and takes its addresses from them. True: it is deleted. False: it goes as others do; it is refused then if something
 * refers to it.
 */
async function clearSubnet(deps: EngineDeps, id: string, asked: Asked, ifRevision: number | null): Promise<boolean> {
  const known = deps.tables.of('subnet').get(id);
  if (known === undefined || !isAutomatic(known)) return false;
  if (followed(known) === undefined && !isMany(lookAt(deps), known.network_id)) return false;
  const resource = deps.resources.named('subnet');
  const mark = (planning: Planning): boolean => {
    const { plan } = planning;
    const row = permittedRow(planning, resource, id, (before) => ({ verb: 'delete', before }));
    checkRevision(row, ifRevision);
    const subnet = row as unknown as Subnet;
    if (usersOf(planning, subnet).length > 0) return false;
    if (followed(row) === 'takes') return true;
    plan.replace('subnet', { ...row, [FOLLOWED]: 'takes' });
    // Who makes a port by what was known before is refused.
    plan.revise('network', subnet.network_id);
    return true;
  };
  const keys = [objectKey('subnet', id), objectKey('network', known.network_id)];
  if (!(await deps.lock.run(keys, asked, () => transact(deps, asked, mark)))) return false;
  await followUntilLate(deps, id, asked);
  const row = deps.tables.of('subnet').get(id);
  if (row !== undefined && followed(row) === 'takes') {
    const message = `Subnet ${id} is being deleted, which takes longer than the request has time: it goes on by itself.`;
    throw new CableError('OutcomeUnknown', message, {
      detail: 'Look whether the subnet is there still, or repeat the request.',
    });
  }
  return row === undefined;
}

/** What keeps the subnet: all that refers to it, but ports that only follow it. */
function usersOf({ deps, plan }: Planning, { id }: Subnet): readonly AnyObject[] {
  return deps.resources.holdersOf('subnet').flatMap(({ holder, index, onDelete }) => {
    if (onDelete !== 'restrict') return [];
    const rows = plan.by(holder.type, index, id) as readonly AnyObject[];
    return holder.type === 'port' ? rows.filter((port) => !hasAutomatic(port as unknown as Port)) : rows;
  });
}

/** Some of the ports that do not follow yet. One that cannot have the address goes without: `check` tells. */
function portsToChange(look: Look, subnet: Subnet, how: 'gives' | 'takes'): readonly Port[] {
  const chosen: Port[] = [];
  let bytes = 0;
  for (const port of look.by('port', 'network_id', subnet.network_id)) {
    if (!hasAutomatic(port)) continue;
    const has = port.fixed_ips.some((one) => one.subnet_id === subnet.id);
    if (has !== (how === 'takes') || (how === 'gives' && !isFit(look, subnet, port))) continue;
    chosen.push(port);
    bytes += JSON.stringify(port).length;
    if (chosen.length >= PORTS || bytes >= BYTES) break;
  }
  return chosen;
}

function isFit(look: Look, subnet: Subnet, port: Port): boolean {
  const { ip_address: address } = automaticAddress(subnet, port.mac_address);
  return port.fixed_ips.length < MOST && look.addressHolder(subnet.id, address) === undefined;
}

/** Whether a network has more ports than one transaction changes. */
function isMany(look: Look, networkId: string): boolean {
  const ports = look.by('port', 'network_id', networkId);
  let bytes = 0;
  for (const [at, port] of ports.entries()) {
    bytes += JSON.stringify(port).length;
    if (at >= PORTS || bytes >= BYTES) return true;
  }
  return false;
}

function refuseFull(look: Look, subnet: Subnet): void {
  const full = look
    .by('port', 'network_id', subnet.network_id)
    .find((port) => hasAutomatic(port) && port.fixed_ips.length >= MOST);
  if (full === undefined) return;
  throw new CableError(
    'InvalidInput',
    `Invalid input for operation: port ${full.id} would have more than ${MOST} addresses.`,
  );
}

/** A port that comes meanwhile compares the network, which the subnet revises; one that came before and is not known yet has a MAC of the network. */
function giveAddresses(planning: Planning, { network_id: id }: Subnet): void {
  const { plan } = planning;
  const ports = plan.by('port', 'network_id', id);
  const { kind } = macName(id, '');
  const claims = ports.map((port) => keyOfClaim(macName(id, port.mac_address)));
  plan.requireEmpty(claimsUnderPrefix('network', id, kind), claims);
  for (const port of ports) if (hasAutomatic(port)) changeAddresses(planning, port, [...port.fixed_ips]);
}

/** A router's leg stays, and so keeps the subnet. */
function takeAddresses(planning: Planning, subnet: Subnet): void {
  const { plan } = planning;
  // Ports have the addresses of the subnets that there are.
  plan.delete('subnet', subnet.id);
  for (const port of plan.by('port', 'network_id', subnet.network_id)) {
    const others = port.fixed_ips.filter((one) => one.subnet_id !== subnet.id);
    if (others.length < port.fixed_ips.length && hasAutomatic(port)) changeAddresses(planning, port, others);
  }
}

function changeAddresses(planning: Planning, port: Port, fixedIps: Port['fixed_ips']): void {
  const resource = planning.deps.resources.named('port');
  planUpdate({ ...planning, isService: true }, resource, port, { fixed_ips: fixedIps });
}

function beingDeleted(id: string): CableError {
  return new CableError('SubnetBeingDeleted', `Subnet ${id} is being deleted: its ports lose their addresses of it.`);
}
