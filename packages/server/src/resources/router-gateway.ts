/** `external_gateway_info`: a router's gateway is a port of the external network that the router owns, as its interfaces are. */
import {
  type AnyObject,
  CableError,
  cidrsOverlap,
  type Network,
  type Port,
  type Router,
  type Subnet,
} from '@cable/model';
import { asService, type Planning } from '../engine/context.ts';
import { type Broken, type Contribution, contribute } from '../engine/module.ts';
import { NO_PROJECT } from '../engine/slots.ts';
import type { Look } from '../engine/view.ts';
import { planCreate, planDelete, planUpdate } from '../engine/write.ts';
import { ROUTER_GATEWAY } from './device-owners.ts';
import { externalNetwork, gatewayMarks } from './external-network.ts';
import { floatingIpsOf } from './floating-ip.ts';
import { asGatewayRouter, gatewayHostFor, standbysFor } from './gateway-hosts.ts';
import { allocateVni, vniClaim } from './network-segment.ts';
import { gatewayPortOf, interfacesOf, subnetsOf } from './router.ts';
import { refuseWithEgresses } from './router-egress.ts';
import { refuseServicesAt } from './service-scope.ts';
import { prefixOf } from './subnet-range.ts';

/** Where a new gateway is to be. The keeper finds a host for one that has none. */
function placesOf({ deps }: Planning, network: Network, given: Owner): Pick<Port, 'binding:host_id' | 'standby_hosts'> {
  const router = asGatewayRouter(given.id, given);
  const gateway = { 'binding:host_id': gatewayHostFor(deps.tables, network, router) ?? '', standby_hosts: [] };
  const standbys = standbysFor(deps.tables, network, router, gateway, () => false);
  return { 'binding:host_id': gateway['binding:host_id'], standby_hosts: [...standbys] };
}

/** What the extensions of gateways say of one. */
type Gateway = NonNullable<Router['external_gateway_info']> & { readonly qos_policy_id?: string | null };

/** A gateway as a client gives it. */
type Wanted = Partial<Gateway>;

/** Routers: their gateway, its port, and the VNI by which other hosts reach the host that has it. */
export const routerGatewayModule: Contribution<AnyObject> = contribute<Router>({
  derive: (planning, given) => {
    const wanted = wantedOf(given.external_gateway_info);
    return wanted === null ? NO_GATEWAY : openGateway(planning, given, wanted);
  },
  change: (planning, before, after) => {
    if (after.external_gateway_info === before.external_gateway_info) return {};
    return changeGateway(planning, before, wantedOf(after.external_gateway_info));
  },
  remove: (planning, router) => {
    const port = gatewayPortOf(planning.plan, router.id);
    if (port !== undefined) planDelete(asService(planning), planning.deps.resources.named('port'), port);
  },
  claims: ({ transit_vni: vni }) => (vni === null || vni === undefined ? [] : [vniClaim(vni)]),
  marks: gatewayMarks,
  broken: brokenGateway,
});

const NO_GATEWAY = { external_gateway_info: null, transit_vni: null, gateway_port_id: null };

type GatewayPart = Pick<Router, 'external_gateway_info' | 'transit_vni' | 'gateway_port_id'>;
type Owner = Pick<Router, 'id' | 'project_id'> & Partial<Pick<Router, 'availability_zone_hints' | 'ha'>>;

/** What was given, without its forms of "none". */
function wantedOf(given: Wanted | null | undefined): Wanted | null {
  return given === null || given === undefined || Object.keys(given).length === 0 ? null : given;
}

/** No addresses are none that are asked for, as in Neutron: a gateway has some. */
function hasAddresses({ external_fixed_ips: asked = [] }: Wanted): boolean {
  return asked.length > 0;
}

function openGateway(planning: Planning, router: Owner, wanted: Wanted): GatewayPart {
  const { deps } = planning;
  const network = networkOf(planning, wanted);
  const port = planCreate(asService(planning), deps.resources.named('port'), {
    id: deps.newId(),
    project_id: NO_PROJECT,
    network_id: network.id,
    ...(hasAddresses(wanted) ? { fixed_ips: wanted.external_fixed_ips } : {}),
    device_id: router.id,
    device_owner: ROUTER_GATEWAY,
    port_security_enabled: false,
    security_groups: [],
    ...placesOf(planning, network, router),
  }) as unknown as Port;
  checkAddresses(planning, router.id, port);
  return {
    external_gateway_info: infoOf(planning, port, wanted),
    transit_vni: allocateVni(planning),
    gateway_port_id: port.id,
  };
}

function changeGateway(planning: Planning, before: Router, wanted: Wanted | null): Partial<GatewayPart> {
  const { deps, plan } = planning;
  const resource = deps.resources.named('port');
  const port = gatewayPortOf(plan, before.id);
  if (port === undefined) return wanted === null ? NO_GATEWAY : openGateway(planning, before, wanted);
  if (wanted !== null && networkOf(planning, wanted).id === port.network_id) {
    const after = hasAddresses(wanted)
      ? planUpdate(asService(planning), resource, port, { fixed_ips: wanted.external_fixed_ips })
      : port;
    checkAddresses(planning, before.id, after as Port);
    const left = (after as Port).fixed_ips.map((fixed) => fixed.ip_address);
    refuseWithEgresses(planning, before.id, left);
    const kept: Wanted = before.external_gateway_info ?? {};
    const { qos_policy_id: policy = kept.qos_policy_id } = wanted;
    return { external_gateway_info: infoOf(planning, after as Port, { ...wanted, qos_policy_id: policy ?? null }) };
  }
  refuseWithFloatingIps(planning, before.id, port.network_id);
  refuseWithEgresses(planning, before.id, []);
  planDelete(asService(planning), resource, port);
  return wanted === null ? NO_GATEWAY : openGateway(planning, before, wanted);
}

/** Each floating IP that leads through the router revises it, so these are all. */
function refuseWithFloatingIps({ deps, plan }: Planning, routerId: string, networkId: string): void {
  if (floatingIpsOf(deps, plan, routerId).length === 0) return;
  throw new CableError(
    'RouterExternalGatewayInUseByFloatingIp',
    `Gateway cannot be updated for router ${routerId}, since a gateway to external network ${networkId} is required by one or more floating IPs.`,
  );
}

function networkOf(planning: Planning, wanted: Wanted): Network {
  const { network_id: id } = wanted;
  if (id === undefined) {
    throw new CableError(
      'HTTPBadRequest',
      'Invalid input for external_gateway_info. Reason: network_id is required, or give {} for no gateway.',
    );
  }
  return externalNetwork(planning, id, () => badRouter(`Network ${id} is not an external network`));
}

/** Of a policy nothing is said where gateways have none. */
function infoOf(
  { deps }: Planning,
  port: Port,
  { enable_snat: enableSnat = true, qos_policy_id: policy = null }: Wanted,
): Gateway {
  return {
    network_id: port.network_id,
    enable_snat: enableSnat,
    external_fixed_ips: addressesOf(port),
    ...(hasPolicies(deps.resources) ? { qos_policy_id: policy } : {}),
  };
}

function addressesOf(port: Port): Gateway['external_fixed_ips'] {
  return port.fixed_ips.map(({ subnet_id, ip_address }) => ({ subnet_id, ip_address }));
}

function hasPolicies(resources: Planning['deps']['resources']): boolean {
  const { properties = {} } = resources.named('router').attributes['external_gateway_info'] ?? {};
  return properties['qos_policy_id'] !== undefined;
}

/** The router writes itself with its gateway, and each of its legs revises it: so these are all its subnets. */
function checkAddresses(planning: Planning, routerId: string, port: Port): void {
  const look = planning.plan;
  const inside = subnetsOf(look, interfacesOf(look, routerId));
  for (const { subnet_id, ip_address } of port.fixed_ips) {
    const subnet = look.get('subnet', subnet_id);
    if (subnet === undefined) continue;
    if (subnet.gateway_ip === ip_address) {
      throw badRouter(`External IP ${ip_address} is the same as the gateway IP`);
    }
    refuseServicesAt(planning, routerId, [subnet]);
    const other = inside.find((one) => overlap(one, subnet));
    if (other === undefined) continue;
    throw badRouter(
      `Cidr ${subnet.cidr} of subnet ${subnet.id} overlaps with cidr ${other.cidr} of subnet ${other.id}`,
    );
  }
}

function overlap(a: Subnet, b: Subnet): boolean {
  return a.ip_version === b.ip_version && cidrsOverlap(prefixOf(a.cidr), prefixOf(b.cidr));
}

function* brokenGateway(look: Look, router: Router): Iterable<Broken> {
  const rule = 'a router’s gateway is its port in the external network';
  const ports = look.by('port', 'device_id', router.id).filter((port) => port.device_owner === ROUTER_GATEWAY);
  // Where gateways are not loaded no router has the attribute.
  const info = router.external_gateway_info ?? null;
  if (ports.length > (info === null ? 0 : 1)) yield { rule, detail: `it has ${ports.length} gateway ports` };
  if ((router.transit_vni ?? null) === null ? info !== null : info === null) {
    yield {
      rule: 'a router has a VNI as long as it has a gateway',
      detail: `its VNI is ${router.transit_vni ?? 'none'}`,
    };
  }
  if (info === null) return;
  const [port] = ports;
  const network = look.get('network', info.network_id);
  if (port === undefined) yield { rule, detail: `it has no port in network ${info.network_id}` };
  else if (
    port.id !== router.gateway_port_id ||
    port.network_id !== info.network_id ||
    JSON.stringify(addressesOf(port)) !== JSON.stringify(info.external_fixed_ips)
  ) {
    yield {
      rule,
      detail: `port ${port.id} is not the one, or not in the network or with the addresses, that the router says`,
    };
  }
  if (network?.['router:external'] === false) {
    yield { rule: 'what leads outside is external', detail: `network ${network.id} of the gateway is not` };
  }
}

function badRouter(reason: string): CableError {
  return new CableError('BadRequest', `Bad router request: ${reason}.`);
}
