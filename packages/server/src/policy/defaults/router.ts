import type { RuleDefault } from '../rules.ts';
import { ADMIN, ADMIN_OR_MEMBER, ADMIN_OR_OWNER, ADMIN_OR_READER, ANYBODY, OF_CLUSTER } from './words.ts';

const MEMBERS = { check: ADMIN_OR_MEMBER, zed: ADMIN_OR_OWNER } as const;

/** Who may do what with routers. */
export const ROUTER_RULES: readonly RuleDefault[] = [
  { name: 'create_router', check: ADMIN_OR_MEMBER, zed: ANYBODY, description: 'Create a router.' },
  {
    name: 'get_router',
    check: `${ADMIN_OR_READER} or ${OF_CLUSTER}`,
    zed: `${ADMIN_OR_OWNER} or ${OF_CLUSTER}`,
    description: 'See a router.',
  },
  { name: 'update_router', ...MEMBERS, description: 'Change a router.' },
  {
    name: 'create_router:external_gateway_info',
    ...MEMBERS,
    description: 'Give a new router a gateway.',
  },
  {
    name: 'create_router:external_gateway_info:enable_snat',
    check: ADMIN,
    description: 'Choose whether what leaves by the gateway of a new router has the router’s address.',
  },
  {
    name: 'create_router:external_gateway_info:external_fixed_ips',
    check: ADMIN,
    description: 'Choose the addresses of a new router’s gateway.',
  },
  {
    name: 'update_router:external_gateway_info',
    ...MEMBERS,
    description: 'Give a router a gateway, or take it away.',
  },
  {
    name: 'update_router:external_gateway_info:enable_snat',
    check: ADMIN,
    description: 'Choose whether what leaves by a router’s gateway has the router’s address.',
  },
  {
    name: 'update_router:external_gateway_info:external_fixed_ips',
    check: ADMIN,
    description: 'Choose the addresses of a router’s gateway.',
  },
  { name: 'create_router:ha', check: ADMIN, description: 'Choose whether the gateway of a new router has standbys.' },
  { name: 'get_router:ha', check: ADMIN, description: 'See whether a router’s gateway has standbys.' },
  { name: 'update_router:ha', check: ADMIN, description: 'Choose whether a router’s gateway has standbys.' },
  {
    name: 'create_router:distributed',
    check: ADMIN,
    description: 'Choose by which hosts floating IPs of a new router are reached.',
  },
  {
    name: 'get_router:distributed',
    check: ADMIN,
    description: 'See by which hosts floating IPs of a router are reached.',
  },
  {
    name: 'update_router:distributed',
    check: ADMIN,
    description: 'Choose by which hosts floating IPs of a router are reached.',
  },
  { name: 'add_extraroutes', ...MEMBERS, description: 'Add extra routes to a router.' },
  { name: 'remove_extraroutes', ...MEMBERS, description: 'Remove extra routes from a router.' },
  { name: 'delete_router', ...MEMBERS, description: 'Delete a router.' },
  {
    name: 'create_router_egress',
    ...MEMBERS,
    zed: ANYBODY,
    description: 'Give some ports behind a router an address to leave by.',
  },
  {
    name: 'get_router_egress',
    check: `${ADMIN_OR_READER} or ${OF_CLUSTER}`,
    zed: `${ADMIN_OR_OWNER} or ${OF_CLUSTER}`,
    description: 'See by which addresses some ports behind a router leave.',
  },
  { name: 'update_router_egress', ...MEMBERS, description: 'Change which ports leave by an address of a router.' },
  { name: 'delete_router_egress', ...MEMBERS, description: 'Let ports leave by the addresses of all again.' },
  { name: 'add_router_interface', ...MEMBERS, description: 'Attach a subnet or a port to a router.' },
  { name: 'remove_router_interface', ...MEMBERS, description: 'Detach a subnet or a port from a router.' },
];
