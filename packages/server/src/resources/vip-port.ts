/** The port that has a load balancer's virtual address: made for it, or given and kept when it goes. */
import {
  type AnyObject,
  CableError,
  cidrContains,
  type LoadBalancer,
  type Port,
  parseIp,
  type Subnet,
} from '@cable/model';
import type { Planning } from '../engine/context.ts';
import { VIP_GIVEN, VIP_OF } from '../engine/hidden.ts';
import { type Broken, type Contribution, contribute, type Given } from '../engine/module.ts';
import { permit } from '../engine/permission.ts';
import { notFound } from '../engine/read.ts';
import type { Look } from '../engine/view.ts';
import { permittedRow, planCreate, planDelete, planUpdate } from '../engine/write.ts';
import { LOAD_BALANCER_VIP } from './device-owners.ts';
import { hasVip } from './has-vip.ts';
import { invalid } from './lb-parts.ts';
import { refuseForwardedTo } from './port-forwarding.ts';
import { prefixOf } from './subnet-range.ts';
import { memberClaim } from './trunk.ts';

type Vip = Pick<LoadBalancer, 'vip_port_id' | 'vip_network_id' | 'vip_subnet_id' | 'vip_address'>;

/** Keeps the virtual address with its port. */
export const vipPortModule: Contribution<AnyObject> = contribute<Port>({
  change: (planning, before, after) => {
    if (!planning.isService) refuseVipChange(planning, before, after);
    return {};
  },
  broken: brokenVipPort,
});

/** The virtual address of a new load balancer, with its port. Throws what is wrong with what was given of it. */
export function takeVip(planning: Planning, given: Given<LoadBalancer>): Vip {
  if (given.vip_port_id !== undefined) {
    return { ...adoptPort(planning, given, given.vip_port_id), [VIP_GIVEN]: true } as Vip;
  }
  const subnet = chooseSubnet(planning, given);
  const port = makePort(planning, given, subnet);
  return vipOf(port, { ...given, vip_subnet_id: subnet.id });
}

/** Deletes the port of a load balancer that is gone, or gives it back. */
export function releaseVip(planning: Planning, balancer: LoadBalancer): void {
  const port = planning.plan.get('port', balancer.vip_port_id);
  if (port === undefined) return;
  const resource = planning.deps.resources.named('port');
  const service = { ...planning, isService: true };
  if ((balancer as AnyObject)[VIP_GIVEN] !== true) planDelete(service, resource, port);
  else planUpdate(service, resource, port, { device_id: '', device_owner: '', [VIP_OF]: null });
}

/** The address of a port that was given, which has no device yet. */
function adoptPort(planning: Planning, given: Given<LoadBalancer>, portId: string): Vip {
  const resource = planning.deps.resources.named('port');
  permittedRow(planning, resource, portId, (before) => ({ verb: 'update', before, changes: {} }));
  const port = planning.plan.get('port', portId);
  if (port === undefined) throw notFound(resource, portId);
  if (given.vip_network_id !== undefined && given.vip_network_id !== port.network_id) {
    throw invalid(`port ${portId} is not on network ${given.vip_network_id}`);
  }
  if (port.device_id !== '' || (port['binding:host_id'] ?? '') !== '') {
    throw new CableError(
      'VIPInUse',
      `Port ${portId} cannot have a virtual address: it has the device ${port.device_id || port['binding:host_id']}.`,
    );
  }
  // Nor may it become a part of one: that rests on the port as it is.
  const trunk = planning.plan.holder(memberClaim(portId));
  if (trunk !== undefined) {
    throw new CableError('VIPInUse', `Port ${portId} cannot have a virtual address: it is a part of trunk ${trunk}.`);
  }
  refuseForwardedTo(planning, portId);
  const vip = vipOf(port, given);
  planUpdate({ ...planning, isService: true }, resource, port, ownership(given.id));
  return vip;
}

function ownership(balancerId: string): Readonly<Record<string, string>> {
  return { device_id: `lb-${balancerId}`, device_owner: LOAD_BALANCER_VIP, [VIP_OF]: balancerId };
}

/** True when the port is as the load balancer made it: its own, and on no host. */
export function isVipOf(port: Port, balancerId: string): boolean {
  const wanted = ownership(balancerId);
  const is = Object.entries(wanted).every(([name, value]) => (port as AnyObject)[name] === value);
  return is && (port['binding:host_id'] ?? '') === '';
}

function* brokenVipPort(look: Look, port: Port): Iterable<Broken> {
  const id = (port as AnyObject)[VIP_OF];
  if (!hasVip(port) || look.get('loadbalancer', String(id))?.vip_port_id === port.id) return;
  yield {
    rule: 'the port of a virtual address is its load balancer’s',
    detail: `there is no such load balancer ${id}`,
  };
}

function vipOf(port: Port, given: Partial<Vip>): Vip {
  const fixed = port.fixed_ips.find(
    (one) =>
      (given.vip_subnet_id === undefined || one.subnet_id === given.vip_subnet_id) &&
      (given.vip_address === undefined || one.ip_address === given.vip_address),
  );
  if (fixed === undefined) {
    const wanted = given.vip_address ?? `address of subnet ${given.vip_subnet_id}`;
    throw invalid(`port ${port.id} has not the ${given.vip_address === undefined ? '' : 'vip_address '}${wanted}`);
  }
  return {
    vip_port_id: port.id,
    vip_network_id: port.network_id,
    vip_subnet_id: fixed.subnet_id,
    vip_address: fixed.ip_address,
  };
}

function chooseSubnet({ plan, deps }: Planning, given: Given<LoadBalancer>): Subnet {
  const { vip_subnet_id: subnetId, vip_network_id: networkId, vip_address: address } = given;
  if (subnetId !== undefined) {
    const subnet = plan.get('subnet', subnetId);
    if (subnet === undefined) throw notFound(deps.resources.named('subnet'), subnetId);
    if (networkId === undefined || subnet.network_id === networkId) return subnet;
    throw invalid(`subnet ${subnetId} is not on network ${networkId}`);
  }
  if (networkId === undefined) {
    throw invalid('a load balancer needs one of vip_subnet_id, vip_network_id and vip_port_id');
  }
  const ip = address === undefined ? undefined : parseIp(address);
  const all = plan.parts('network', networkId, (look) => look.by('subnet', 'network_id', networkId));
  const ordered = [...all].sort(
    (a, b) => a.ip_version - b.ip_version || (a.created_at + a.id < b.created_at + b.id ? -1 : 1),
  );
  const found = ordered.find((one) => ip === undefined || cidrContains(prefixOf(one.cidr), ip));
  if (found !== undefined) return found;
  throw invalid(`network ${networkId} has no subnet${address === undefined ? '' : ` with the vip_address ${address}`}`);
}

/** The caller needs what it takes to make such a port. */
function makePort(planning: Planning, given: Given<LoadBalancer>, subnet: Subnet): Port {
  const { deps } = planning;
  const resource = deps.resources.named('port');
  const { vip_address: address } = given;
  const id = deps.newId();
  const port = {
    id,
    name: `octavia-lb-${given.id}`,
    project_id: given.project_id,
    network_id: subnet.network_id,
    fixed_ips: [{ subnet_id: subnet.id, ...(address === undefined ? {} : { ip_address: address }) }],
    security_groups: [],
    ...ownership(given.id),
  };
  const names = [
    ...(given.vip_subnet_id === undefined ? [] : ['fixed_ips:subnet_id']),
    ...(address === undefined ? [] : ['fixed_ips:ip_address']),
  ];
  const fixed = names.length === 0 ? [] : ['fixed_ips', ...names];
  permit(planning, resource, id, { verb: 'create', object: port, given: ['network_id', ...fixed] });
  return planCreate({ ...planning, isService: true }, resource, port) as unknown as Port;
}

/** The load balancer names address and port for as long as it is there. */
function refuseVipChange({ plan }: Planning, before: Port, after: Port): void {
  const id = (before as AnyObject)[VIP_OF];
  if (typeof id !== 'string') return;
  const address = plan.get('loadbalancer', id)?.vip_address;
  const hasAddress = after.fixed_ips.some((fixed) => fixed.ip_address === address);
  const fixed = ['device_owner', 'device_id', 'mac_address', 'binding:host_id'] as const;
  if (hasAddress && fixed.every((name) => (before[name] ?? '') === (after[name] ?? ''))) return;
  throw new CableError('ServicePortInUse', `Port ${before.id} has the virtual address of load balancer ${id}.`, {
    detail: 'Its address, MAC address, device and host are those of the load balancer: delete that first.',
  });
}
