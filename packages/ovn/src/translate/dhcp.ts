/** DHCP, which OVN answers on each host by rows of options (ovn-nb(5), DHCP_Options). What a tenant gave comes in as numbers, addresses, or quoted text. */
import { createHash } from 'node:crypto';
import { formatIp, ipFromBytes, parseExtraDhcpOption } from '@cable/model';
import type { Network, Port, Subnet } from './neutron.ts';
import { type WantedRow, wantedRow } from './wanted-row.ts';

const LEASE_SECONDS = 43_200;
/** Who answers where a subnet has no gateway: an address that no guest has. */
const SERVER_ALONE = '169.254.169.254';

/** The subnet's own options; none: OVN answers nothing there. */
export function subnetRows(key: string, subnet: Subnet, network: Network): readonly WantedRow[] {
  const ids = { 'cable:revision': String(subnet.revision) };
  if (!servesDhcp(subnet)) return [];
  return [wantedRow('DHCP_Options', key, { columns: { cidr: subnet.cidr, options: optionsOf(subnet, network) }, ids })];
}

/** Whether ports of the subnet are told their addresses by DHCP. */
export function servesDhcp({ hasDhcp, version, addressMode }: Subnet): boolean {
  return hasDhcp && (version === 4 || addressMode === 'dhcpv6-stateful' || addressMode === 'dhcpv6-stateless');
}

/** Options of a port that says some of its own, in place of the subnet's; undefined: it says none. `disabled`: nothing is to be answered. */
export function portOptions(
  port: Port,
  subnet: Subnet,
  network: Network,
): Readonly<Record<string, string>> | 'disabled' | undefined {
  const own = port.dhcpOptions.filter(({ version }) => version === subnet.version);
  if (own.some(({ name, value }) => name === 'dhcp_disabled' && /^true$/i.test(value))) return 'disabled';
  const named = own.flatMap(({ name, value }) => {
    const option = ovnOption(subnet.version, name, value);
    return typeof option === 'string' ? [] : [option];
  });
  if (named.length === 0) return undefined;
  return withBootFile({ ...optionsOf(subnet, network), ...Object.fromEntries(named) });
}

/** OVN sends `bootfile_name` to iPXE and the other to all others where it has both, and `bootfile_name` to everybody where it has that alone. */
function withBootFile(options: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const { bootfile_name_alt: others, ...rest } = options;
  if (others === undefined) return rest;
  return rest['bootfile_name'] === undefined ? { ...rest, bootfile_name: others } : options;
}

function optionsOf(subnet: Subnet, network: Network): Readonly<Record<string, string>> {
  const mac = serverMac(subnet.id);
  const dns = subnet.nameServers.filter((one) => one.includes(':') === (subnet.version === 6));
  const named = dns.length === 0 ? {} : { dns_server: listOf(dns) };
  if (subnet.version === 6)
    return {
      server_id: mac,
      ...named,
      ...(subnet.addressMode === 'dhcpv6-stateless' ? { dhcpv6_stateless: 'true' } : {}),
    };
  const { gateway } = subnet;
  return {
    server_id: gateway ?? SERVER_ALONE,
    server_mac: mac,
    lease_time: String(LEASE_SECONDS),
    ...(network.mtu === 0 ? {} : { mtu: String(network.mtu) }),
    ...(gateway === null ? {} : { router: gateway }),
    ...named,
    ...(subnet.hostRoutes.length === 0 ? {} : { classless_static_route: routesOf(subnet) }),
  };
}

/** Who understands classless routes ignores the router option (RFC 3442), so it is among them. */
function routesOf({ hostRoutes, gateway }: Subnet): string {
  const all = [...hostRoutes, ...(gateway === null ? [] : [{ destination: '0.0.0.0/0', nexthop: gateway }])];
  return `{${all.map(({ destination, nexthop }) => `${destination},${nexthop}`).join(', ')}}`;
}

function listOf(values: readonly string[]): string {
  return values.length === 1 ? (values[0] ?? '') : `{${values.join(', ')}}`;
}

/** The same for ever, as no other: guests know the server by it. */
function serverMac(subnetId: string): string {
  const hash = createHash('sha256').update(`dhcp ${subnetId}`).digest('hex');
  return `fa:16:3e:${hash.slice(0, 2)}:${hash.slice(2, 4)}:${hash.slice(4, 6)}`;
}

type Form = 'address' | 'addresses' | 'number' | 'text' | 'domains' | 'host';

/** OVN's names of options, by the code on the wire. */
const NAMES4: Readonly<Record<number, readonly [name: string, form: Form]>> = {
  1: ['netmask', 'address'],
  3: ['router', 'addresses'],
  6: ['dns_server', 'addresses'],
  7: ['log_server', 'addresses'],
  9: ['lpr_server', 'addresses'],
  12: ['hostname', 'text'],
  15: ['domain_name', 'text'],
  16: ['swap_server', 'address'],
  19: ['ip_forward_enable', 'number'],
  23: ['default_ttl', 'number'],
  26: ['mtu', 'number'],
  28: ['broadcast_address', 'address'],
  31: ['router_discovery', 'number'],
  32: ['router_solicitation', 'address'],
  36: ['ethernet_encap', 'number'],
  37: ['tcp_ttl', 'number'],
  41: ['nis_server', 'addresses'],
  42: ['ntp_server', 'addresses'],
  44: ['netbios_name_server', 'addresses'],
  46: ['netbios_node_type', 'number'],
  66: ['tftp_server', 'host'],
  67: ['bootfile_name', 'text'],
  119: ['domain_search_list', 'domains'],
  150: ['tftp_server_address', 'address'],
  252: ['wpad', 'text'],
  255: ['next_server', 'address'],
};

const NAMES6: Readonly<Record<number, readonly [name: string, form: Form]>> = {
  23: ['dns_server', 'addresses'],
  24: ['domain_search', 'domains'],
};

const BOOT_FILE = 67;

/** OVN's name and value of one of `extra_dhcp_opts`; a text: why it has none. */
export function ovnOption(version: 4 | 6, name: string, value: string): readonly [string, string] | string {
  const parsed = parseExtraDhcpOption(version, name, value);
  if (!parsed.ok) return parsed.reason;
  const { code, value: bytes, client } = parsed.option;
  const [ovnName, form] = (version === 4 ? NAMES4 : NAMES6)[code] ?? [];
  if (ovnName === undefined || form === undefined) return `opt_name: ${name}: OVN has no such option`;
  if (bytes.length === 0) return `opt_value: ${name}: OVN does not leave out an option`;
  if (client !== 'any' && code !== BOOT_FILE)
    return `opt_name: ${name}: OVN tells iPXE from others for bootfile-name alone`;
  const isOther = code === BOOT_FILE && client !== 'ipxe';
  return [isOther ? 'bootfile_name_alt' : ovnName, ovnValue(form, version, bytes, value)];
}

function ovnValue(form: Form, version: 4 | 6, bytes: Uint8Array, text: string): string {
  switch (form) {
    case 'number':
      return String(bytes.reduce((sum, byte) => sum * 256 + byte, 0));
    case 'address':
    case 'addresses':
      return listOf(addressesIn(bytes, version));
    case 'host':
      return /^\d{1,3}(\.\d{1,3}){3}$/.test(text) ? text : quoted(text);
    case 'domains':
    case 'text':
      return quoted(text);
  }
}

function addressesIn(bytes: Uint8Array, version: 4 | 6): readonly string[] {
  const size = version === 4 ? 4 : 16;
  return Array.from({ length: bytes.length / size }, (_, i) => {
    const part = bytes.slice(i * size, (i + 1) * size);
    const ip = version === 6 ? ipFromBytes(part) : undefined;
    return ip === undefined ? part.join('.') : formatIp(ip);
  });
}

/** As OVN's language has strings: those of JSON. */
function quoted(text: string): string {
  return JSON.stringify(text);
}
