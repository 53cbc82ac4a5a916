/** Rows of protons on the vrouter as rows of the compiler's tables: each is a pure function of one row that is stored. */
import {
  indexKeys,
  isRouterInterface,
  type NetworkRow,
  type PortRow,
  type RouterRow,
  type Rows,
  type RowType,
  type SubnetRow,
  type TableChange,
  type TableName,
  type VpnRow,
} from '@cable/compiler';
import type { TableReader } from '@cable/kit';
import { type AnyObject, type Port, type PortOwner, type ProtonNetwork, parseCidr, VPN_WIRE } from '@cable/model';
import type { TableChange as StoredChange, Tables } from '../../tables.ts';
import { madeUpId } from '../port-view.ts';

/** A port as hosts are to carry it, whoever made it. */
export type CarriedPort = PortRow & Pick<Port, 'status' | 'cable:backend'>;

type Image = { readonly type: RowType; readonly row: Rows[RowType] };

type Read = Pick<Tables, 'of'>;

/** Rows under a key of an index, and maybe others; by index. `id`: under the row's own id. */
type Finders = Readonly<Record<string, (tables: Read, key: string) => readonly Image[]>>;

const FINDERS: Readonly<Partial<Record<TableName, Finders>>> = {
  network: { id: ofNetwork },
  subnet: { id: ofSubnet, network_id: ofNetwork },
  router: { id: ofRouter },
  port: {
    id: (tables, id) => [...ofOwner(tables, id), ...ofSubnet(tables, id)],
    network_id: (tables, id) => [...ofOwners(tables, 'proton_network_id', id), ...ofNetwork(tables, id)],
    device_id: (tables, id) => [...ofOwners(tables, 'device_id', id), ...ofRouter(tables, id)],
    'binding:host_id': (tables, host) => ofOwners(tables, 'host_id', host),
    standby_hosts: (tables, host) => ofOwners(tables, 'standby_hosts', host),
  },
  vpn: { id: ofNetwork, targets: (tables, target) => ofNetworks(tables, 'targets', target) },
  router_interface: { id: ofSubnet, network_id: ofNetwork, device_id: ofRouter },
};

/** A table of the compiler with the rows that those of protons stand for. `size` and `by` cost nothing where no proton is on the vrouter. */
export function withProtons<R extends { readonly id: string }>(
  tables: Read,
  name: TableName,
  stored: TableReader<R, string>,
): TableReader<R, string> {
  const type: RowType = name === 'router_interface' ? 'port' : (name as RowType);
  const isIn = (row: Rows[RowType]): boolean => name !== 'router_interface' || isRouterInterface(row as PortRow);
  const rowsOf = (images: Iterable<Image>): readonly R[] =>
    [...images].flatMap((one) => (one.type === type && isIn(one.row) ? [one.row as unknown as R] : []));
  const found = (index: string, key: string): readonly R[] =>
    isUnused(tables) ? [] : rowsOf(FINDERS[name]?.[index]?.(tables, key) ?? []);
  return {
    name: stored.name,
    get size() {
      return stored.size + (isUnused(tables) ? 0 : rowsOf(allImages(tables)).length);
    },
    *values() {
      yield* stored.values();
      yield* rowsOf(allImages(tables));
    },
    get: (id) => stored.get(id) ?? found('id', id).find((row) => row.id === id),
    by: (index, key) => {
      const own = stored.by(index, key);
      const others = found(index, key).filter((row) => indexKeys(name, index, row as never).includes(key));
      return others.length === 0 ? own : [...own, ...others];
    },
  };
}

/** The table of VPNs: it has no other rows. */
export function vpnsOf(tables: Read): TableReader<VpnRow, string> {
  return withProtons(tables, 'vpn', NO_ROWS);
}

const NO_ROWS: TableReader<VpnRow, string> = {
  name: 'vpn',
  size: 0,
  get: () => undefined,
  values: () => [].values(),
  by: () => [],
};

/** What a change of a stored row is for the compiler. */
export function changesByProtons({ type, before, after }: StoredChange): readonly TableChange[] {
  if (type !== 'port_owner' && type !== 'proton_network') return [];
  const pairs = new Map<string, { type: RowType; before?: Image['row']; after?: Image['row'] }>();
  const sides = [
    ['before', before],
    ['after', after],
  ] as const;
  for (const [side, row] of sides) {
    for (const image of row === undefined ? [] : imagesOf(type, row)) {
      const key = `${image.type} ${image.row.id}`;
      const pair = pairs.get(key) ?? { type: image.type };
      pairs.set(key, { ...pair, [side]: image.row });
    }
  }
  return [...pairs.values()].map((pair) => ({ before: undefined, after: undefined, ...pair }) as TableChange);
}

/** A port of Neutron's, or of a proton on the vrouter; undefined: there is none. */
export function carriedPort(tables: Read, id: string): CarriedPort | undefined {
  const owner = tables.of('port').get(id) ?? tables.of('port_owner').get(id);
  return owner === undefined || !('phase' in owner) ? owner : ownersPort(owner);
}

/** Undefined: the proton has no back end on the vrouter. */
export function ownersPort(owner: PortOwner): CarriedPort | undefined {
  return imagesOf('port_owner', owner as unknown as AnyObject)[0]?.row as CarriedPort | undefined;
}

/** Ports of protons that the host is to carry. */
export function ownersOn(tables: Read, host: string): readonly CarriedPort[] {
  return ofOwners(tables, 'host_id', host).map(({ row }) => row as CarriedPort);
}

/** Each port of a proton is in one of them. */
function isUnused(tables: Read): boolean {
  return tables.of('proton_network').size === 0;
}

function* allImages(tables: Read): Iterable<Image> {
  if (isUnused(tables)) return;
  for (const row of tables.of('port_owner').values()) yield* imagesOf('port_owner', row as unknown as AnyObject);
  for (const row of tables.of('proton_network').values())
    yield* imagesOf('proton_network', row as unknown as AnyObject);
}

function ofOwner(tables: Read, id: string): readonly Image[] {
  const row = tables.of('port_owner').get(id);
  return row === undefined ? [] : imagesOf('port_owner', row as unknown as AnyObject);
}

function ofOwners(tables: Read, index: string, key: string): readonly Image[] {
  const rows = tables.of('port_owner').by(index as never, key) as unknown as readonly AnyObject[];
  return rows.flatMap((row) => imagesOf('port_owner', row));
}

function ofNetwork(tables: Read, id: string): readonly Image[] {
  const row = tables.of('proton_network').get(id);
  return row === undefined ? [] : imagesOf('proton_network', row as unknown as AnyObject);
}

function ofSubnet(tables: Read, id: string): readonly Image[] {
  return ofNetworks(tables, 'subnets.id', id);
}

function ofRouter(tables: Read, id: string): readonly Image[] {
  return ofNetworks(tables, 'router_id', id);
}

function ofNetworks(tables: Read, index: string, key: string): readonly Image[] {
  const rows = tables.of('proton_network').by(index as never, key) as unknown as readonly AnyObject[];
  return rows.flatMap((row) => imagesOf('proton_network', row));
}

const made = new WeakMap<object, readonly Image[]>();

/** Each stored row is made into the same rows whoever asks. */
function imagesOf(source: 'port_owner' | 'proton_network', row: AnyObject): readonly Image[] {
  const known = made.get(row);
  if (known !== undefined) return known;
  const images =
    source === 'port_owner' ? portImages(row as unknown as PortOwner) : networkImages(row as unknown as ProtonNetwork);
  made.set(row, images);
  return images;
}

const BARE_PORT = {
  ...{ allowed_address_pairs: [], port_security_enabled: true, security_groups: [], qos_policy_id: null },
  ...{ binding_failed: false, inactive_bindings: [], standby_hosts: [], tapped: false, extra_dhcp_opts: [] },
  ...{ dns_name: '', dns_domain: '', status: 'ACTIVE', 'cable:backend': null, 'cable:hostname': null },
  ...{ 'cable:user_data': null, 'cable:public_keys': [], 'cable:vendor_data': null, 'cable:flow_export': null },
  ...{ 'cable:cluster': null, 'cable:default_route': null, 'cable:zone': '', 'cable:announces': true },
  ...{ 'cable:namespace': null, 'cable:labels': [], 'cable:named_ports': [] },
} satisfies Partial<CarriedPort>;

function portImages(owner: PortOwner): readonly Image[] {
  const { id, proton_network_id: networkId, host_id, status, fixed_ips } = owner;
  if (networkId === null) return [];
  const row: CarriedPort = {
    ...BARE_PORT,
    ...{ id, name: owner.name, project_id: owner.project_id, network_id: networkId },
    ...{ mac_address: owner.mac_address, admin_state_up: owner.admin_state_up },
    ...{ device_id: owner.device_id, device_owner: owner.device_owner },
    fixed_ips: fixed_ips.map(({ cidr, ip_address }) => ({ subnet_id: subnetIdIn(networkId, cidr), ip_address })),
    'binding:vnic_type': owner.vnic_type as PortRow['binding:vnic_type'],
    // Of a host that a controller plugs it on the vrouter knows nothing.
    'binding:host_id': status === null ? '' : host_id,
    status: status ?? 'DOWN',
    inactive_bindings: owner.inactive_bindings as PortRow['inactive_bindings'],
    standby_hosts: owner.standby_hosts,
    ...(owner.open ? { open: true } : {}),
  };
  return [{ type: 'port', row }];
}

/** Id of a subnet of a network, of whichever project the port is that is in it. */
export function subnetIdIn(networkId: string, cidr: string): string {
  return madeUpId(`subnet ${networkId} ${cidr}`);
}

function networkImages(network: ProtonNetwork): readonly Image[] {
  const { id, name, project_id, router_id: routerId } = network;
  const subnets = network.subnets.map((one) => ({ type: 'subnet', row: subnetImage(network, one) }) as const);
  const own: Image = { type: 'network', row: networkImage(network) };
  if (routerId === null) return [own, ...subnets];
  const router: RouterRow = { ...BARE_ROUTER, id: routerId, name };
  const legs = network.subnets.flatMap((subnet): readonly Image[] => {
    const { id: portId, gateway_ip: ip_address, mac_address } = subnet;
    if (ip_address === null) return [];
    const row: CarriedPort = {
      ...{ ...BARE_PORT, id: portId, name: '', project_id, network_id: id, mac_address, admin_state_up: true },
      ...{ device_id: routerId, device_owner: 'network:router_interface', 'binding:host_id': '' },
      ...{ 'binding:vnic_type': 'normal', fixed_ips: [{ subnet_id: portId, ip_address }] },
    };
    return [{ type: 'port', row }];
  });
  return [own, ...subnets, { type: 'router', row: router }, ...legs, ...vpnImages(network)];
}

function vpnImages({ id, name, project_id, proton, targets, ...rest }: ProtonNetwork): readonly Image[] {
  const { router_id, label, route_distinguisher } = rest;
  if (router_id === null || label === null || route_distinguisher === null) return [];
  return [{ type: 'vpn', row: { id, name, project_id, proton, router_id, label, route_distinguisher, targets } }];
}

const BARE_ROUTER = {
  ...{ admin_state_up: true, routes: [], external_gateway_info: null, transit_vni: null, gateway_port_id: null },
  ...{ 'cable:snat': 'shared', 'cable:node_egress': false, 'cable:cluster': null, distributed: true },
} satisfies Partial<RouterRow>;

function networkImage({ id, name, project_id, mtu, vni, segmentation_id: tag }: ProtonNetwork): NetworkRow {
  const isTunnelled = tag === null;
  return {
    ...{ id, name, project_id, admin_state_up: true, mtu, dns_domain: '', 'router:external': false, vni },
    'provider:network_type': isTunnelled ? 'vxlan' : 'vlan',
    'provider:physical_network': isTunnelled ? null : VPN_WIRE,
    'provider:segmentation_id': isTunnelled ? vni : tag,
    ...{ qos_policy_id: null, 'cable:flow_export': 0 },
  };
}

function subnetImage(
  { id: networkId }: ProtonNetwork,
  { id, cidr, gateway_ip }: ProtonNetwork['subnets'][number],
): SubnetRow {
  const isSix = parseCidr(cidr)?.base.version === 6;
  return {
    ...{ id, network_id: networkId, cidr, ip_version: isSix ? 6 : 4, gateway_ip, enable_dhcp: true },
    ...{ dns_nameservers: [], host_routes: [], subnetpool_id: null, 'cable:private': false },
    ...{ ipv6_ra_mode: isSix ? 'dhcpv6-stateful' : null, ipv6_address_mode: isSix ? 'dhcpv6-stateful' : null },
    ...{ 'cable:nat_outgoing': true, 'cable:gateway_nodes': [], 'cable:gateway_node': null },
    ...{ 'cable:gateway_cluster': null, 'cable:allow_subnets': [] },
  };
}
