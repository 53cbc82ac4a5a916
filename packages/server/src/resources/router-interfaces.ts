/** `add_router_interface` and `remove_router_interface`: a router's interface is a port that the router owns. */
import type { Attributes } from '@cable/api';
import {
  type AnyObject,
  CableError,
  cidrContains,
  cidrsOverlap,
  type Port,
  parseIp,
  type Router,
  type Subnet,
} from '@cable/model';
import { transact } from '../engine/commit.ts';
import type { Asked, EngineDeps, Planning } from '../engine/context.ts';
import { GATEWAY } from '../engine/hidden.ts';
import type { Contribution } from '../engine/module.ts';
import { refuseOfCluster } from '../engine/of-clusters.ts';
import { rowsOf } from '../engine/permission.ts';
import { notFound } from '../engine/read.ts';
import { permittedRow, planCreate, planDelete, planUpdate } from '../engine/write.ts';
import { objectKey } from '../keys.ts';
import { ROUTER_INTERFACE } from './device-owners.ts';
import { refuseFloatingThrough } from './floating-ip.ts';
import { legMac } from './leg-mac.ts';
import { refuseForwardedThrough } from './port-forwarding.ts';
import { attachedSubnets, interfacesOf } from './router.ts';
import { refusePeeringThrough } from './router-peering.ts';
import { refusePolicyThrough } from './router-policy.ts';
import { refuseOtherScopes } from './router-scopes.ts';
import { refuseServicesAt } from './service-scope.ts';
import { hasForeignRouter } from './subnet-modes.ts';
import { isPooled, prefixOf } from './subnet-range.ts';

/** Neutron's answer to both actions. */
export type InterfaceAnswer = {
  readonly id: string;
  readonly tenant_id: string;
  readonly project_id: string;
  readonly port_id: string;
  readonly network_id: string;
  readonly subnet_id: string;
  readonly subnet_ids: readonly string[];
};

/** The actions of routers on their interfaces. */
export const routerInterfacesModule: Contribution<AnyObject> = {
  actions: { add_router_interface: addRouterInterface, remove_router_interface: removeRouterInterface },
};

/** Attaches a subnet with its gateway address, or a port that is free. IPv6 subnets of one network have one port together. */
function addRouterInterface(
  deps: EngineDeps,
  routerId: string,
  body: Attributes,
  asked: Asked,
): Promise<InterfaceAnswer> {
  const { subnetId, portId } = targetOf(body);
  if (subnetId !== undefined && portId !== undefined) throw badRouter('Cannot specify both subnet-id and port-id');
  return onRouter(deps, routerId, asked, 'add_router_interface', (planning, router) =>
    subnetId === undefined ? addPort(planning, router, String(portId)) : attachSubnet(planning, router, subnetId),
  );
}

/** Detaches a port, which is deleted, or a subnet: its port is deleted with the last of its subnets. */
function removeRouterInterface(
  deps: EngineDeps,
  routerId: string,
  body: Attributes,
  asked: Asked,
): Promise<InterfaceAnswer> {
  const { subnetId, portId } = targetOf(body);
  return onRouter(deps, routerId, asked, 'remove_router_interface', (planning, router) => {
    const port = findInterface(planning, router, subnetId, portId);
    const kept = portId === undefined ? port.fixed_ips.filter((fixed) => fixed.subnet_id !== subnetId) : [];
    return answer(router, port, detachPort(planning, router, port, kept));
  });
}

/** Takes from a router's port all addresses but those that are kept, and the port with the last. Answers what it loses. */
export function detachPort(
  planning: Planning,
  router: Router,
  port: Port,
  kept: Port['fixed_ips'] = [],
): Port['fixed_ips'] {
  const resource = planning.deps.resources.named('port');
  const gone = port.fixed_ips.filter((fixed) => !kept.includes(fixed));
  refuseRouteThrough(planning, router, gone);
  refusePolicyThrough(planning, router, gone);
  refusePeeringThrough(planning, router, gone);
  refuseFloatingThrough(planning, router.id, gone);
  refuseForwardedThrough(planning, router.id, gone);
  if (kept.length === 0) planDelete(planning, resource, port);
  else planUpdate(planning, resource, port, { fixed_ips: kept });
  return gone;
}

/** Every change of a router's interfaces revises the router, so that two cannot pass each other's checks. */
function onRouter(
  deps: EngineDeps,
  routerId: string,
  asked: Asked,
  action: string,
  act: (planning: Planning, router: Router) => InterfaceAnswer,
): Promise<InterfaceAnswer> {
  const build = (planning: Planning): InterfaceAnswer => {
    const resource = deps.resources.named('router');
    permittedRow(planning, resource, routerId, (before) => ({ verb: 'action', before, action }));
    const router = planning.plan.get('router', routerId);
    if (router === undefined) throw notFound(resource, routerId);
    planning.plan.revise('router', routerId);
    return act(planning, router);
  };
  return deps.lock.run([objectKey('router', routerId)], asked, () => transact(deps, asked, build, { isService: true }));
}

/** Gives a router a leg in the subnet, which has the gateway’s address. Whoever plans that revises the router. */
export function attachSubnet(planning: Planning, router: Router, subnetId: string): InterfaceAnswer {
  const subnet = seenSubnet(planning, subnetId);
  if (subnet.gateway_ip === null) throw badRouter('Subnet for router interface must have a gateway IP');
  if (!mayTakeGateway(planning, subnet)) {
    throw badRouter(
      `Cannot add interface to router because subnet ${subnetId} is not owned by project making the request`,
    );
  }
  checkSubnets(planning, router, [subnet]);
  const resource = planning.deps.resources.named('port');
  const added = { subnet_id: subnet.id, ip_address: subnet.gateway_ip };
  const leg = subnet.ip_version === 6 ? findIpv6Leg(planning, router, subnet.network_id) : undefined;
  const mac = leg === undefined ? legMac(planning, router.id, subnet) : undefined;
  const port =
    leg === undefined
      ? planCreate(planning, resource, {
          id: planning.deps.newId(),
          project_id: router.project_id,
          network_id: subnet.network_id,
          ...(mac === undefined ? {} : { mac_address: mac }),
          fixed_ips: [added],
          device_id: router.id,
          device_owner: ROUTER_INTERFACE,
          port_security_enabled: false,
          security_groups: [],
          [GATEWAY]: true,
        })
      : planUpdate(planning, resource, leg, { fixed_ips: [...leg.fixed_ips, added] });
  return answer(router, port as unknown as Port, [added]);
}

/** The router's leg in the network that has an IPv6 address; guests know one router of the link by its one link-local address. */
function findIpv6Leg({ plan }: Planning, router: Router, networkId: string): Port | undefined {
  return interfacesOf(plan, router.id).find((port) => port.network_id === networkId && hasIpv6(port));
}

function hasIpv6(port: Port): boolean {
  return port.fixed_ips.some((fixed) => parseIp(fixed.ip_address)?.version === 6);
}

function addPort(planning: Planning, router: Router, portId: string): InterfaceAnswer {
  const { deps, plan } = planning;
  const resource = deps.resources.named('port');
  refuseOfCluster(
    planning,
    resource,
    permittedRow(planning, resource, portId, (before) => ({ verb: 'update', before, changes: {} })),
  );
  const port = plan.get('port', portId);
  if (port === undefined) throw notFound(resource, portId);
  if (port.device_id !== '') {
    throw new CableError(
      'PortInUse',
      `Unable to complete operation on port ${port.id} for network ${port.network_id}. ` +
        `Port already has an attached device ${port.device_id}.`,
    );
  }
  if (port.fixed_ips.length === 0) throw badRouter(`Router port must have at least one fixed IP`);
  refuseReached(planning, port);
  const subnets = port.fixed_ips.map((fixed) => seenSubnet(planning, fixed.subnet_id));
  const leg = hasIpv6(port) ? findIpv6Leg(planning, router, port.network_id) : undefined;
  if (leg !== undefined) {
    throw badRouter(
      'Cannot have multiple router ports with the same network id if both contain IPv6 subnets. ' +
        `Existing port ${leg.id} has IPv6 subnet(s) and network id ${port.network_id}`,
    );
  }
  checkSubnets(planning, router, subnets);
  if (subnets.filter((one) => one.ip_version === 4).length > 1) {
    throw badRouter('Cannot have multiple IPv4 subnets on router port');
  }
  refuseChosen(planning, port, subnets);
  planUpdate(planning, resource, port, {
    device_id: router.id,
    device_owner: ROUTER_INTERFACE,
    port_security_enabled: false,
    security_groups: [],
    allowed_address_pairs: [],
    'binding:host_id': '',
  });
  return answer(router, port, port.fixed_ips);
}

/** What leads to a port from outside leads to a machine; each that comes revises the port. */
function refuseReached({ plan, deps }: Planning, { id }: Port): void {
  for (const [type, index] of [
    ['floatingip', 'port_id'],
    ['port_forwarding', 'internal_port_id'],
  ] as const) {
    if (deps.resources.find(type) === undefined || plan.by(type, index, id).length === 0) continue;
    const what = type === 'floatingip' ? 'a floating IP' : 'a port forwarding';
    throw badRouter(`Port ${id} cannot become an interface: ${what} leads to it`);
  }
}

/** The subnet, which the caller sees and which stays as it is: its gateway is not changed beside a leg that takes it. */
function seenSubnet({ deps, asked, plan }: Planning, id: string): Subnet {
  const subnet = plan.rely('subnet', id);
  const view = deps.permission.policy.for(asked.credentials);
  const isSeen =
    subnet !== undefined && view.allows('get_subnet', { type: 'subnet', object: subnet, row: rowsOf(plan) });
  if (!isSeen) throw notFound(deps.resources.named('subnet'), id);
  return subnet;
}

function isOwn({ deps, asked }: Planning, subnet: Subnet): boolean {
  const view = deps.permission.policy.for(asked.credentials);
  return view.isAdmin || subnet.project_id === asked.credentials.projectId;
}

/** What is shared with a project by name it may lead out of; what is shared with every one it may not. */
function mayTakeGateway(planning: Planning, subnet: Subnet): boolean {
  const { projectId } = planning.asked.credentials;
  if (isOwn(planning, subnet)) return true;
  const sharedWith = planning.plan.rely('network', subnet.network_id)?.shared_with ?? [];
  return projectId !== null && sharedWith.includes(projectId);
}

/** In a subnet of others a leg has one of the addresses that anybody gets there. */
function refuseChosen(planning: Planning, port: Port, subnets: readonly Subnet[]): void {
  for (const { subnet_id: id, ip_address: address } of port.fixed_ips) {
    const subnet = subnets.find((one) => one.id === id);
    if (subnet === undefined || isOwn(planning, subnet) || isPooled(subnet, address)) continue;
    throw badRouter(
      `Cannot add interface to router because specified port ${port.id} has an IP address out of the allocation pool of subnet ${id}, which is not owned by the project making the request`,
    );
  }
}

/** A router has one interface a subnet, no two subnets that overlap, and none whose guests are told of another router. */
function checkSubnets(planning: Planning, router: Router, subnets: readonly Subnet[]): void {
  const { plan } = planning;
  const attached = plan.parts('router', router.id, (look) => attachedSubnets(look, router.id));
  for (const subnet of subnets) {
    if (hasForeignRouter(subnet)) {
      throw badRouter(
        `IPv6 subnet ${subnet.id} configured to receive RAs from an external router cannot be added to Neutron Router`,
      );
    }
    for (const other of attached) {
      if (other.id === subnet.id) throw badRouter(`Router already has a port on subnet ${subnet.id}`);
      if (cidrsOverlap(prefixOf(other.cidr), prefixOf(subnet.cidr))) {
        throw badRouter(
          `Cidr ${subnet.cidr} of subnet ${subnet.id} overlaps with cidr ${other.cidr} of subnet ${other.id}`,
        );
      }
    }
  }
  refuseOtherScopes(plan, router, subnets);
  refuseServicesAt(planning, router.id, subnets);
}

function findInterface(
  planning: Planning,
  router: Router,
  subnetId: string | undefined,
  portId: string | undefined,
): Port {
  const has = (port: Port): boolean => port.fixed_ips.some((fixed) => fixed.subnet_id === subnetId);
  const all = interfacesOf(planning.plan, router.id);
  const named = all.find((port) => port.id === portId);
  if (named !== undefined && subnetId !== undefined && !has(named)) {
    throw new CableError(
      'SubnetMismatchForPort',
      `Subnet on port ${portId} does not match the requested subnet ${subnetId}.`,
    );
  }
  const found = portId === undefined ? all.find(has) : named;
  if (found !== undefined) return found;
  if (portId !== undefined) {
    throw new CableError('RouterInterfaceNotFound', `Router ${router.id} does not have an interface with id ${portId}`);
  }
  if (subnetId !== undefined) seenSubnet(planning, subnetId);
  throw new CableError(
    'RouterInterfaceNotFoundForSubnet',
    `Router ${router.id} has no interface on subnet ${subnetId}`,
  );
}

function refuseRouteThrough(planning: Planning, router: Router, gone: Port['fixed_ips']): void {
  for (const { subnet_id } of gone) {
    const cidr = planning.plan.get('subnet', subnet_id)?.cidr;
    const isThrough = (nexthop: string): boolean => {
      const hop = parseIp(nexthop);
      return cidr !== undefined && hop !== undefined && cidrContains(prefixOf(cidr), hop);
    };
    if (!router.routes.some((route) => isThrough(route.nexthop))) continue;
    throw new CableError(
      'RouterInterfaceInUseByRoute',
      `Router interface for subnet ${subnet_id} on router ${router.id} cannot be deleted, ` +
        'as it is required by one or more routes.',
    );
  }
}

function targetOf(body: Attributes): { readonly subnetId: string | undefined; readonly portId: string | undefined } {
  const [subnetId, portId] = [body['subnet_id'], body['port_id']];
  if (subnetId === undefined && portId === undefined) {
    throw badRouter('Either subnet_id or port_id must be specified');
  }
  return {
    subnetId: typeof subnetId === 'string' ? subnetId : undefined,
    portId: typeof portId === 'string' ? portId : undefined,
  };
}

/** `changed`: what was attached or detached. */
function answer(router: Router, port: Port, changed: Port['fixed_ips']): InterfaceAnswer {
  const subnetIds = [...new Set(changed.map((fixed) => fixed.subnet_id))];
  return {
    id: router.id,
    tenant_id: router.project_id,
    project_id: router.project_id,
    port_id: port.id,
    network_id: port.network_id,
    subnet_id: subnetIds.at(-1) ?? '',
    subnet_ids: subnetIds,
  };
}

function badRouter(reason: string): CableError {
  return new CableError('BadRequest', `Bad router request: ${reason}.`);
}
