/** L3VPNs (docs/design/l3vpn.md): services are VPNs, bindings put ports into them. Models of both forms of `net-l3vpn`. */
import { createHash } from 'node:crypto';
import {
  type AnyObject,
  cidrContains,
  cidrsOverlap,
  formatCidr,
  formatIp,
  type IpAddress,
  type IpPrefix,
  ipBits,
  isRouteTarget,
  lastIp,
  maskIp,
  type PortOwner,
  type ProtonNetwork,
  parseCidr,
  parseIp,
  TUNNEL_HEADER_BYTES,
  vpnOverheadBytes,
} from '@cable/model';
import type { DeclaredObject } from '@cable/proton';
import { complete } from '../../engine/complete.ts';
import type { Planning } from '../../engine/context.ts';
import type { Given } from '../../engine/module.ts';
import { objectKey } from '../../keys.ts';
import { fixedIp, madeUpId } from '../port-view.ts';
import type { BackendModel, BackendPart } from './backends.ts';
import {
  createNetwork,
  freeNumbers,
  moveTo,
  PROTON_NETWORK,
  projectNetwork,
  requireLast,
  writeAgain,
} from './networks.ts';
import { subnetIdIn } from './overlay.ts';
import { inTheWay, invalid, requireAdmin } from './refusals.ts';
import { attributeOf, objectWith, refsTo } from './shape.ts';

/** VPNs that a project may have where nobody says otherwise: there are 4,094 in all. */
export const VPNS_A_PROJECT = 100;

/** The prefix of an IPv6 subnet: no form of the model says another one. */
const SIX_PREFIX = 64;

/** What of a model is read, and by which names. */
type Shape = {
  readonly proton: string;
  readonly port: DeclaredObject;
  readonly interface: DeclaredObject;
  /** Of the interface: its port. */
  readonly portKey: string;
  readonly service: DeclaredObject;
  readonly binding: DeclaredObject;
  readonly toInterface: string;
  readonly toService: string;
  /** Format 1.0: texts with commas, one address. */
  readonly names: {
    readonly four: string;
    readonly six: string;
    readonly addresses: string;
    readonly gateways: string;
  };
  readonly target: DeclaredObject | undefined;
  readonly peering: DeclaredObject | undefined;
  readonly tunnel: DeclaredObject | undefined;
};

/** What a model lacks for VPNs. */
export function l3vpnProblems(declared: readonly DeclaredObject[]): readonly string[] {
  const shape = shapeOf('', declared);
  return typeof shape === 'string' ? [shape] : [];
}

/** The type of VPNs. */
export function vpnTypeOf(declared: readonly DeclaredObject[]): string | undefined {
  const shape = shapeOf('', declared);
  return typeof shape === 'string' ? undefined : shape.service.type;
}

/** A text says what is missing. */
function shapeOf(proton: string, declared: readonly DeclaredObject[]): Shape | string {
  const port = objectWith(declared, 'port');
  const own = objectWith(declared, 'interface', 'segmentation_type');
  const portKey = own?.object.parent?.key;
  if (port === undefined || own === undefined || portKey === undefined)
    return 'it has no port with interfaces that have a segmentation_type';
  const service = objectWith(declared, 'service', 'route_distinguishers');
  if (service === undefined) return 'no service has route_distinguishers';
  const [four, six] = [
    ['ipv4_family', 'ipv4_route_targets'],
    ['ipv6_family', 'ipv6_route_targets'],
  ].map((names) => names.find((name) => attributeOf(service, name) !== undefined));
  if (four === undefined || six === undefined)
    return `${service.object.name} has no route targets: ipv4_route_targets and ipv6_route_targets, or ipv4_family and ipv6_family`;
  const binding = objectWith(declared, 'binding', 'subnet_prefix');
  const [addresses, gateways] = [
    ['ipaddress', 'addresses'],
    ['gateway', 'gateways'],
  ].map((names) => names.find((name) => binding !== undefined && attributeOf(binding, name) !== undefined));
  const [toInterface] = binding === undefined ? [] : refsTo(binding, own);
  const [toService] = binding === undefined ? [] : refsTo(binding, service);
  if (binding === undefined || addresses === undefined || gateways === undefined)
    return 'no binding has addresses, subnet_prefix and gateways';
  if (toInterface === undefined || toService === undefined)
    return `${binding.object.name} does not refer to an interface and a service`;
  return {
    ...{ proton, port, interface: own, portKey, service, binding, toInterface, toService },
    names: { four, six, addresses, gateways },
    target: objectWith(declared, 'other', 'vrf_rt_value', 'vrf_rt_type'),
    peering: objectWith(declared, 'other', 'local_ip_address', 'peer_ip_address', 'as_number'),
    tunnel: objectWith(declared, 'other', 'local_tunnel_endpoint', 'remote_tunnel_endpoint'),
  };
}

/** What each type does. */
export function l3vpnPart({ proton, declared }: BackendModel, { type }: DeclaredObject): BackendPart {
  const shape = shapeOf(proton, declared);
  if (typeof shape === 'string') return {};
  if (type === shape.service.type) return ofServices(shape);
  if (type === shape.binding.type) return ofBindings(shape);
  if (type === shape.interface.type) return ofInterfaces(shape);
  if (type === shape.target?.type) return ofTargets(shape);
  if (type === shape.peering?.type) return ofPeerings(shape);
  if (type === shape.tunnel?.type) return administrators('say where tunnels end');
  return {};
}

/** A text with commas, one text, or a list. */
function textsOf(value: unknown): readonly string[] {
  const all = Array.isArray(value) ? value : String(value ?? '').split(',');
  return all.flatMap((one) => (typeof one === 'string' && one.trim() !== '' ? [one.trim()] : []));
}

function networkOf({ proton }: Shape, serviceId: unknown): string {
  return madeUpId(`vpn ${proton} ${String(serviceId)}`);
}

// Services.

type Named = { readonly targets: readonly string[]; readonly distinguisher: string | undefined };

function ofServices(shape: Shape): BackendPart {
  return {
    created: (planning, vpn) => {
      const { deps } = planning;
      const { targets, distinguisher } = namedBy(shape, vpn);
      if (targets.length > 0 || distinguisher !== undefined)
        requireAdmin(planning, 'name route targets and distinguishers');
      const id = networkOf(shape, vpn.id);
      const own = ownTarget(planning);
      const { underlayMtuBytes, overlayIpVersion: version = 4 } = deps.settings;
      createNetwork(planning, {
        ...{ id, proton: shape.proton, project_id: String(vpn['project_id']), name: nameOf(vpn), kind: 'vpn' },
        // A chain may lead any packet away, through a tunnel that takes more than labels do.
        mtu: underlayMtuBytes - Math.max(vpnOverheadBytes(version), TUNNEL_HEADER_BYTES[version]),
        router_id: madeUpId(`router ${id}`),
        ...freeNumbers(planning),
        ...{ route_distinguisher: distinguisher ?? own, targets: targets.length === 0 ? [own] : targets },
      });
    },
    changed: (planning, before, after) => {
      const { plan } = planning;
      const [was, is] = [namedBy(shape, before), namedBy(shape, after)];
      const isOther = JSON.stringify(was) !== JSON.stringify(is);
      if (isOther) requireAdmin(planning, 'change route targets and distinguishers');
      const network = plan.rely(PROTON_NETWORK, networkOf(shape, after.id));
      if (network === undefined) return;
      const named = {
        targets: is.targets.length > 0 ? is.targets : [ownTarget(planning)],
        route_distinguisher: is.distinguisher ?? network.route_distinguisher,
      };
      const next = { ...network, name: nameOf(after), ...(isOther ? named : {}) };
      if (JSON.stringify(next) !== JSON.stringify(network)) plan.replace(PROTON_NETWORK, next as unknown as AnyObject);
    },
    removed: ({ plan }, vpn) => {
      const id = networkOf(shape, vpn.id);
      if (plan.get(PROTON_NETWORK, id) !== undefined) plan.delete(PROTON_NETWORK, id);
    },
  };
}

function nameOf({ id, name }: AnyObject): string {
  return typeof name === 'string' && name !== '' ? name : id;
}

/** What an administrator has named. The vrouter has one set of targets for both versions of IP. */
function namedBy({ names }: Shape, vpn: AnyObject): Named {
  const [four, six] = [names.four, names.six].map((name) => targetsIn(name, vpn[name])) as [
    readonly string[],
    readonly string[],
  ];
  const both = [...new Set([...four, ...six])].sort();
  const isOne = [four, six].every((one) => one.length === 0 || new Set(one).size === both.length);
  if (!isOne)
    throw invalid(names.six, `it is to be empty, or the same as ${names.four}: a VPN here has one set of targets`);
  const distinguishers = targetsIn('route_distinguishers', vpn['route_distinguishers']);
  if (distinguishers.length > 1) throw invalid('route_distinguishers', 'a VPN of the vrouter has one');
  return { targets: both, distinguisher: distinguishers[0] };
}

function targetsIn(attribute: string, value: unknown): readonly string[] {
  const all = textsOf(value);
  const odd = all.find((one) => !isRouteTarget(one));
  if (odd !== undefined) throw invalid(attribute, `${odd.slice(0, 32)} is not AS:NUMBER or ADDRESS:NUMBER`);
  return all;
}

/** One that nobody has chosen: of a private AS, with a number by chance, so that no other cloud behind the same routers has it either. */
function ownTarget({ deps, plan }: Planning): string {
  for (;;) {
    const target = `64512:${2 ** 31 + Math.floor(deps.random() * 2 ** 31)}`;
    const isTaken =
      plan.by(PROTON_NETWORK, 'targets', target).length > 0 ||
      plan.by(PROTON_NETWORK, 'route_distinguisher', target).length > 0;
    if (!isTaken) return target;
  }
}

// Bindings and interfaces: the port is where they put it.

function ofBindings(shape: Shape): BackendPart {
  const settle = (planning: Planning, binding: AnyObject): void => {
    const own = planning.plan.get(shape.interface.type, String(binding[shape.toInterface])) as AnyObject | undefined;
    if (own !== undefined) settlePort(planning, shape, own[shape.portKey]);
  };
  return {
    created: settle,
    changed: (planning, before, after) => {
      settle(planning, after);
      if (before[shape.toInterface] !== after[shape.toInterface]) settle(planning, before);
    },
    removed: settle,
    lockKeys: (given) => [objectKey(PROTON_NETWORK, networkOf(shape, given[shape.toService]))],
  };
}

function ofInterfaces(shape: Shape): BackendPart {
  return {
    changed: (planning, before, after) => {
      settlePort(planning, shape, after[shape.portKey]);
      if (before[shape.portKey] !== after[shape.portKey]) settlePort(planning, shape, before[shape.portKey]);
    },
    removed: (planning, own) => settlePort(planning, shape, own[shape.portKey]),
  };
}

/** The port is in the VPN that an interface of it is bound to, else in its project's network. */
function settlePort(planning: Planning, shape: Shape, portId: unknown): void {
  const { plan } = planning;
  const row = typeof portId === 'string' ? plan.get('port_owner', portId) : undefined;
  if (row === undefined) return;
  const bound = boundBy(planning, shape, row.id);
  if (bound === undefined) {
    moveTo(planning, row.id, {
      ...{ proton_network_id: projectNetwork(planning, shape.proton, row.project_id), open: false, fixed_ips: [] },
    });
  } else moveTo(planning, row.id, inVpn(planning, shape, row, bound));
  if (row.proton_network_id !== null) leaveSubnets(planning, row.proton_network_id);
}

/** The one binding of the port. Throws `HTTPBadRequest` for what the vrouter cannot do. */
function boundBy({ plan }: Planning, shape: Shape, portId: string): AnyObject | undefined {
  const { interface: own, binding, toInterface } = shape;
  const interfaces = plan.by(own.type, shape.portKey, portId) as unknown as readonly AnyObject[];
  const found = interfaces.flatMap((one) =>
    (plan.by(binding.type, toInterface, one.id) as unknown as readonly AnyObject[]).map((bound) => ({ one, bound })),
  );
  const tagged = found.find(({ one }) => (one['segmentation_type'] ?? 'none') !== 'none');
  if (tagged !== undefined)
    throw invalid(toInterface, `interface ${tagged.one.id} has a segmentation_type: the vrouter binds whole ports`);
  if (found.length > 1) throw invalid(toInterface, `port ${portId} is bound to a VPN already, by another interface`);
  return found[0]?.bound;
}

type Wanted = { readonly ip: IpAddress; readonly cidr: IpPrefix; readonly gateway: IpAddress | undefined };

function inVpn(planning: Planning, shape: Shape, row: PortOwner, binding: AnyObject) {
  const { plan } = planning;
  const networkId = networkOf(shape, binding[shape.toService]);
  const network = plan.rely(PROTON_NETWORK, networkId);
  if (network === undefined) throw invalid(shape.toService, 'the VPN is gone');
  const wanted = wantedBy(shape, binding, network);
  const subnets = wanted.reduce(
    (known, one) => withSubnet(shape, networkId, known, one),
    network.subnets as ProtonNetwork['subnets'],
  );
  // Whoever only joins rests on the row, and does not write it: joins do not wait for each other.
  if (subnets !== network.subnets) plan.replace(PROTON_NETWORK, { ...network, subnets } as unknown as AnyObject);
  const fixed_ips = wanted.flatMap(({ ip, cidr }) => {
    const gateway = subnets.find((one) => one.cidr === formatCidr(cidr))?.gateway_ip ?? null;
    const owner = { proton: shape.proton, projectId: row.project_id };
    return fixedIp(owner, formatIp(ip), cidr.prefixLength, gateway) ?? [];
  });
  return { proton_network_id: networkId, open: true, fixed_ips };
}

/** Each address with its prefix and the gateway that the binding names there. */
function wantedBy({ names }: Shape, binding: AnyObject, network: ProtonNetwork): readonly Wanted[] {
  const gateways = textsOf(binding[names.gateways]).flatMap((one) => parseIp(one) ?? []);
  const addresses = textsOf(binding[names.addresses]).flatMap((one) => parseIp(one) ?? []);
  if (addresses.length === 0) throw invalid(names.addresses, 'a port of a VPN has an address');
  const wanted = addresses.map((ip) => {
    const cidr = subnetOf(ip, binding, network);
    const inside = gateways.filter((one) => cidrContains(cidr, one));
    if (inside.length > 1) throw invalid(names.gateways, `${formatCidr(cidr)} has one gateway`);
    return { ip, cidr, gateway: inside[0] };
  });
  const stray = gateways.find((one) => !wanted.some(({ cidr }) => cidrContains(cidr, one)));
  if (stray !== undefined) throw invalid(names.gateways, `${formatIp(stray)} is in no subnet of the addresses`);
  const unfit = wanted.find(({ ip, cidr }) => !isHostIn(cidr, ip));
  if (unfit !== undefined)
    throw invalid(names.addresses, `${formatIp(unfit.ip)} cannot be a machine's in ${formatCidr(unfit.cidr)}`);
  return wanted;
}

/** IPv4: as the binding says, else as the VPN has it. */
function subnetOf(ip: IpAddress, { subnet_prefix: given }: AnyObject, { subnets }: ProtonNetwork): IpPrefix {
  const prefix = (length: number): IpPrefix => ({ base: maskIp(ip, length), prefixLength: length });
  if (ip.version === 6) return prefix(SIX_PREFIX);
  if (typeof given === 'number') return prefix(given);
  const known = subnets.flatMap(({ cidr }) => parseCidr(cidr) ?? []).find((one) => cidrContains(one, ip));
  if (known !== undefined) return known;
  throw invalid('subnet_prefix', `it is missing, and no subnet of the VPN has ${formatIp(ip)}`);
}

/** Neither the first nor the last of an IPv4 subnet that has room for two. */
function isHostIn(cidr: IpPrefix, ip: IpAddress): boolean {
  if (ip.version === 6 || ipBits(ip) - cidr.prefixLength < 2) return true;
  return ip.value !== cidr.base.value && ip.value !== lastIp(cidr).value;
}

function withSubnet(
  { names }: Shape,
  networkId: string,
  subnets: ProtonNetwork['subnets'],
  { cidr, gateway }: Wanted,
): ProtonNetwork['subnets'] {
  const text = formatCidr(cidr);
  const known = subnets.find((one) => one.cidr === text);
  const given = gateway === undefined ? undefined : formatIp(gateway);
  if (known !== undefined) {
    if (given === undefined || given === known.gateway_ip) return subnets;
    throw inTheWay(names.gateways, `the gateway of ${text} in the VPN is ${known.gateway_ip}`, 'Name that, or none.');
  }
  const other = subnets.find((one) => cidrsOverlap(parseCidr(one.cidr) ?? cidr, cidr));
  if (other !== undefined)
    throw inTheWay(
      'subnet_prefix',
      `${text} overlaps ${other.cidr} of the VPN`,
      'Bind it with the prefix that the others have.',
    );
  if (given === undefined || gateway === undefined)
    throw invalid(names.gateways, `the VPN has no gateway in ${text} yet: name the router's address there`);
  if (!isHostIn(cidr, gateway)) throw invalid(names.gateways, `${given} cannot be a router's in ${text}`);
  const id = subnetIdIn(networkId, text);
  return [...subnets, { id, cidr: text, gateway_ip: given, mac_address: macOf(id) }];
}

/** Of the router's leg: locally administered, of one station. */
function macOf(subnetId: string): string {
  const hex = createHash('sha256').update(`cable leg ${subnetId}`).digest('hex');
  return ['02', ...[0, 2, 4, 6, 8].map((at) => hex.slice(at, at + 2))].join(':');
}

/** After a port has left a VPN, or has other addresses there: subnets in which nobody is go. */
function leaveSubnets(planning: Planning, networkId: string): void {
  const { plan, deps } = planning;
  const network = plan.get(PROTON_NETWORK, networkId);
  if (network?.kind !== 'vpn') return;
  const ports = plan.by('port_owner', 'proton_network_id', networkId).filter(({ open }) => open);
  const used = new Set(ports.flatMap(({ fixed_ips }) => fixed_ips.map(({ cidr }) => cidr)));
  const subnets = network.subnets.filter(({ cidr }) => used.has(cidr));
  if (subnets.length === network.subnets.length) {
    writeAgain(planning, network);
    return;
  }
  // The plan may have taken several ports out of it.
  const left = deps.tables.any('port_owner').by('proton_network_id', networkId);
  const keys = [plan.relyBefore(PROTON_NETWORK, networkId), ...left].flatMap((row, at) =>
    row === undefined ? [] : [...deps.keys.claimsOf(at === 0 ? PROTON_NETWORK : 'port_owner', row).keys()],
  );
  // Who joins rests on the network alone, which is as it was until this is written.
  for (const { id, cidr } of network.subnets) if (!used.has(cidr)) requireLast(planning, networkId, id, keys);
  plan.replace(PROTON_NETWORK, { ...network, subnets } as unknown as AnyObject);
}

// What administrators say of all VPNs.

/** Objects that administrators alone write, whatever the model says. */
function administrators(what: string): BackendPart {
  return {
    created: (planning) => requireAdmin(planning, what),
    changed: (planning) => requireAdmin(planning, what),
    remove: (planning) => requireAdmin(planning, what),
  };
}

const DIRECTIONS: Readonly<Record<string, string>> = { import_extcommunity: 'import', export_extcommunity: 'export' };

function ofTargets({ proton }: Shape): BackendPart {
  const guarded = administrators('say what route targets are used for');
  const write = (planning: Planning, one: AnyObject): void => {
    for (const name of ['import_route_policy', 'export_route_policy']) {
      if ((one[name] ?? '') !== '') throw invalid(name, 'the vrouter has no such policies: leave it out');
    }
    const [target = ''] = targetsIn('vrf_rt_value', one['vrf_rt_value']);
    const direction = DIRECTIONS[String(one['vrf_rt_type'])] ?? 'both';
    put(planning, 'vpn_target', { id: madeUpId(`target ${proton} ${one.id}`), proton, target, direction });
  };
  return mirrored(guarded, write, 'vpn_target', (one) => madeUpId(`target ${proton} ${one.id}`));
}

function ofPeerings({ proton }: Shape): BackendPart {
  const guarded = administrators('say whom hosts exchange routes with');
  const write = (planning: Planning, one: AnyObject): void => {
    const { bgpAs, overlayIpVersion: version = 4 } = planning.deps.settings;
    if (bgpAs === undefined) {
      throw inTheWay(
        'local_ip_address',
        'no server knows as which autonomous system hosts are to speak',
        'Start all servers with --bgp-as.',
      );
    }
    const [local, peer] = ['local_ip_address', 'peer_ip_address'].map((name) => {
      const ip = parseIp(String(one[name] ?? ''));
      if (ip?.version !== version) throw invalid(name, `hosts have IPv${version} addresses for tunnels`);
      return ip;
    }) as [IpAddress, IpAddress];
    put(planning, 'vpn_peering', {
      ...{ id: madeUpId(`peering ${proton} ${one.id}`), proton, local_as: bgpAs, peer_as: Number(one['as_number']) },
      ...{ local_address: local.value === 0n ? null : formatIp(local), peer_address: formatIp(peer) },
    });
  };
  return mirrored(guarded, write, 'vpn_peering', (one) => madeUpId(`peering ${proton} ${one.id}`));
}

/** A row of Cable's own for each object. */
function mirrored(
  guarded: BackendPart,
  write: (planning: Planning, one: AnyObject) => void,
  type: 'vpn_target' | 'vpn_peering',
  idOf: (one: AnyObject) => string,
): BackendPart {
  return {
    ...guarded,
    created: (planning, one) => {
      guarded.created?.(planning, one);
      write(planning, one);
    },
    changed: (planning, before, after) => {
      guarded.changed?.(planning, before, after);
      write(planning, after);
    },
    removed: ({ plan }, one) => {
      if (plan.get(type, idOf(one)) !== undefined) plan.delete(type, idOf(one));
    },
  };
}

function put({ plan, deps }: Planning, type: 'vpn_target' | 'vpn_peering', given: object): void {
  const row = complete(deps.resources.named(type), given as Given<AnyObject>);
  if (plan.get(type, row.id) === undefined) plan.create(type, row);
  else plan.replace(type, row);
}
