import type { Asked, Subject } from '../compare-cases.ts';
import { RED } from './ports.ts';
import { ADDRESSES, BOOLEANS, listsOf, NOBODY, PREFIXES, TEXTS, UUIDS } from './values.ts';

/** An external network with addresses that servers choose from 172.24.4.128 on. */
export const OUTSIDE: readonly Asked[] = [
  { do: 'POST /networks', body: { network: { name: 'outside', 'router:external': true } }, keep: 'outside' },
  {
    do: 'POST /subnets',
    body: {
      subnet: {
        ...{ network_id: '$outside', ip_version: 4, cidr: '172.24.4.0/24', enable_dhcp: false },
        allocation_pools: [{ start: '172.24.4.128', end: '172.24.4.254' }],
      },
    },
    keep: 'beyond',
  },
];

const on = (more: object): unknown => ({ network_id: '$outside', ...more });

export const ROUTERS: Subject = {
  name: 'routers',
  path: '/routers',
  key: 'router',
  before: [...RED, ...OUTSIDE],
  base: { name: 'r' },
  attributes: {
    name: TEXTS,
    description: TEXTS,
    admin_state_up: BOOLEANS,
    external_gateway_info: [
      on({}),
      ...[on({ enable_snat: false }), on({ enable_snat: 'x' }), on({ x: 1 }), { network_id: '$red' }],
      ...[{ network_id: NOBODY }, { network_id: 'x' }, { network_id: null }, { enable_snat: true }],
      on({ external_fixed_ips: [{ ip_address: '172.24.4.20' }] }),
      on({ external_fixed_ips: [{ subnet_id: '$beyond', ip_address: '172.24.4.20' }] }),
      on({ external_fixed_ips: [{ subnet_id: '$one' }] }),
      on({ external_fixed_ips: [{ ip_address: '10.9.0.1' }] }),
      on({ external_fixed_ips: [] }),
      on({ external_fixed_ips: 'x' }),
      ...[on({ qos_policy_id: NOBODY }), on({ qos_policy_id: null })],
    ],
    routes: [
      [],
      ...PREFIXES.map((destination) => [{ destination, nexthop: '10.1.0.7' }]),
      ...ADDRESSES.map((nexthop) => [{ destination: '10.5.0.0/16', nexthop }]),
    ],
    distributed: BOOLEANS,
    ha: BOOLEANS,
    flavor_id: UUIDS,
    availability_zone_hints: listsOf(['nova', 'there']),
    status: ['ACTIVE'],
    tags: [['a']],
  },
  more: [
    { do: 'POST /routers', body: { router: { name: 'r' } }, keep: 'r' },
    ...[
      undefined,
      {},
      ...[{ subnet_id: '$one' }, { subnet_id: '$one' }, { subnet_id: NOBODY }, { subnet_id: 'x' }, { subnet_id: null }],
      ...[{ port_id: NOBODY }, { port_id: 'x' }, { subnet_id: '$one', port_id: NOBODY }, { x: 1 }, []],
    ].flatMap((body): readonly Asked[] => [
      { do: 'PUT /routers/$r/add_router_interface', body },
      { do: 'PUT /routers/$r/remove_router_interface', body },
    ]),
    { do: 'PUT /routers/$r/add_router_interface', body: { subnet_id: '$one' } },
    { do: 'DELETE /routers/$r' },
    { do: 'DELETE /subnets/$one' },
    { do: 'DELETE /networks/$red' },
    ...PREFIXES.map((destination): Asked => {
      return { do: 'PUT /routers/$r', body: { router: { routes: [{ destination, nexthop: '10.1.0.7' }] } } };
    }),
    ...ADDRESSES.map((nexthop): Asked => {
      return { do: 'PUT /routers/$r', body: { router: { routes: [{ destination: '10.5.0.0/16', nexthop }] } } };
    }),
    ...[
      [],
      {},
      { router: {} },
      { router: { routes: [] } },
      { router: { routes: [{ destination: '10.6.0.0/16', nexthop: '10.1.0.8' }] } },
    ].flatMap((body): readonly Asked[] => [
      { do: 'PUT /routers/$r/add_extraroutes', body },
      { do: 'PUT /routers/$r/remove_extraroutes', body },
    ]),
    { do: 'PUT /routers/$r', body: { router: { routes: [] } } },
    { do: 'GET /ports?device_id=$r' },
    { as: 'member', do: 'PUT /routers/$r/remove_router_interface', body: { subnet_id: '$one' } },
    { do: `PUT /routers/${NOBODY}/add_router_interface`, body: { subnet_id: '$one' } },
  ],
};

export const FLOATING_IPS: Subject = {
  name: 'floatingips',
  path: '/floatingips',
  key: 'floatingip',
  before: [
    ...RED,
    ...OUTSIDE,
    {
      do: 'POST /routers',
      body: { router: { name: 'r', external_gateway_info: { network_id: '$outside' } } },
      keep: 'r',
    },
    { do: 'PUT /routers/$r/add_router_interface', body: { subnet_id: '$one' } },
    {
      do: 'POST /ports',
      body: { port: { network_id: '$red', fixed_ips: [{ ip_address: '10.1.0.40' }] } },
      keep: 'port',
    },
  ],
  base: { floating_network_id: '$outside' },
  attributes: {
    floating_network_id: ['$outside', '$red', ...UUIDS],
    floating_ip_address: ['172.24.4.30', '172.24.4.1', '172.24.4.0', ...ADDRESSES],
    subnet_id: ['$beyond', '$one', ...UUIDS],
    port_id: ['$port', ...UUIDS],
    fixed_ip_address: ['10.1.0.40', ...ADDRESSES],
    qos_policy_id: [null, ...UUIDS],
    description: TEXTS,
    dns_name: ['web', 'WEB', 'a_b', 'web.'],
    dns_domain: ['a.example.', 'a.example'],
    status: ['ACTIVE'],
    tags: [['a']],
  },
};

export const PORT_FORWARDINGS: Subject = {
  name: 'port_forwardings',
  path: '/floatingips/$floating/port_forwardings',
  key: 'port_forwarding',
  before: [
    ...FLOATING_IPS.before,
    { do: 'POST /floatingips', body: { floatingip: { floating_network_id: '$outside' } }, keep: 'floating' },
  ],
  base: {
    ...{ internal_port_id: '$port', internal_ip_address: '10.1.0.40', internal_port: 80 },
    ...{ external_port: 8080, protocol: 'tcp' },
  },
  attributes: {
    internal_port_id: ['$port', ...UUIDS],
    internal_ip_address: ['10.1.0.40', ...ADDRESSES],
    internal_port: [81, '81', 65535, 65536],
    external_port: [8081, '8081', 65535, 65536],
    internal_port_range: ['80:80', '80:90', 80, '80', '90:80', '80:', ':80', '80-90', '0:1', '1:65536'],
    external_port_range: ['8080:8080', '8080:8090', 8080, '8080', '90:80', '80:', 'x:y'],
    protocol: ['tcp', 'udp', 'TCP', 'icmp', '6', 6, 'sctp', 'nonsense'],
    description: TEXTS,
  },
  more: [
    { do: 'GET /floatingips/$floating' },
    { do: `GET /floatingips/${NOBODY}/port_forwardings` },
    { do: `POST /floatingips/${NOBODY}/port_forwardings`, body: { port_forwarding: {} } },
  ],
};
