/** A router with its routes, what it translates for all, and what for one address. */
import { routerName } from './names.ts';
import type { FloatingIp, Router } from './neutron.ts';
import { type WantedRow, wantedRow } from './wanted-row.ts';
import { reaches, type WorldReader } from './world.ts';

/** Its ports are rows of their own objects. */
export function routerRows(key: string, router: Router, read: WorldReader): readonly WantedRow[] {
  const own = wantedRow('Logical_Router', key, {
    columns: {
      name: routerName(router.id),
      enabled: router.isUp,
      // Who is beside the router is asked for when he is needed: not every port learns of every neighbour.
      options: { always_learn_from_arp_request: 'false', dynamic_neigh_routers: 'true' },
    },
    ids: { 'neutron:router_name': router.name, 'cable:revision': String(router.revision) },
  });
  return [own, ...routesOf(router, read).map((route) => routeRow(key, route)), ...sourceRows(key, router, read)];
}

type Route = Router['routes'][number];

function routesOf({ gateway, routes }: Router, read: WorldReader): readonly Route[] {
  const outside = (gateway?.fixedIps ?? []).flatMap(({ subnetId }) => {
    const subnet = read.get('subnet', subnetId);
    if (subnet?.gateway == null) return [];
    return [{ destination: subnet.version === 4 ? '0.0.0.0/0' : '::/0', nexthop: subnet.gateway }];
  });
  const all = [...outside, ...routes].map((route): [string, Route] => [`${route.destination} ${route.nexthop}`, route]);
  return [...new Map(all).values()];
}

function routeRow(key: string, { destination, nexthop }: Route): WantedRow {
  return wantedRow('Logical_Router_Static_Route', `${key}#route ${destination} ${nexthop}`, {
    columns: { ip_prefix: destination, nexthop },
    holders: [{ key, column: 'static_routes' }],
  });
}

/** What leaves from the router's subnets of IPv4 has the gateway's address. */
function sourceRows(key: string, { id, gateway }: Router, read: WorldReader): readonly WantedRow[] {
  const address = gateway?.fixedIps.find((one) => !one.address.includes(':'))?.address;
  if (address === undefined || gateway?.hasSnat !== true) return [];
  const inside = read
    .portsOf('device', id)
    .filter(({ deviceOwner }) => deviceOwner === 'network:router_interface')
    .flatMap(({ fixedIps }) => fixedIps.flatMap(({ subnetId }) => read.get('subnet', subnetId) ?? []))
    .filter(({ version }) => version === 4);
  return [...new Set(inside.map(({ cidr }) => cidr))].map((cidr) =>
    wantedRow('NAT', `${key}#snat ${cidr}`, {
      columns: { type: 'snat', external_ip: address, logical_ip: cidr, logical_port: [], external_mac: [] },
      holders: [{ key, column: 'nat' }],
    }),
  );
}

/** None while it leads nowhere. It is answered where its port is if that host reaches outside, and at the gateway otherwise. */
export function floatingIpRows(key: string, floating: FloatingIp, read: WorldReader): readonly WantedRow[] {
  const { routerId, portId, address, fixedAddress } = floating;
  if (routerId === null || portId === null || fixedAddress === null) return [];
  const router = read.need('router', routerId);
  if (router === undefined) return [];
  const mac = ownMac(floating.id, portId, router, read);
  return [
    wantedRow('NAT', key, {
      columns: {
        ...{ type: 'dnat_and_snat', external_ip: address, logical_ip: fixedAddress },
        ...{ logical_port: [portId], external_mac: mac === undefined ? [] : [mac] },
      },
      ids: { 'cable:revision': String(floating.revision) },
      holders: [{ key: `router/${routerId}`, column: 'nat' }],
    }),
  ];
}

/** That of the floating IP's own port; undefined: the gateway answers for it, with its own. */
function ownMac(id: string, portId: string, { gateway }: Router, read: WorldReader): string | undefined {
  const network = gateway === null ? undefined : read.get('network', gateway.networkId);
  const host = read.get('port', portId)?.host ?? '';
  const chassis = host === '' ? undefined : read.chassisOf(host);
  if (network === undefined || network.physicalNetwork === null || chassis === undefined) return undefined;
  return reaches(chassis, network) ? read.portsOf('device', id)[0]?.mac : undefined;
}
