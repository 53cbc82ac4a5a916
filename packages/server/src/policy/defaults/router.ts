import type { RuleDefault } from '../rules.ts';

/** Who may do what with routers. */
export const ROUTER_RULES: readonly RuleDefault[] = [
  { name: 'create_router', check: 'rule:regular_user', description: 'Create a router.' },
  { name: 'get_router', check: 'rule:admin_or_owner', description: 'See a router.' },
  { name: 'update_router', check: 'rule:admin_or_owner', description: 'Change a router.' },
  {
    name: 'create_router:external_gateway_info:enable_snat',
    check: 'rule:admin_only',
    description: 'Choose whether what leaves by the gateway of a new router has the router’s address.',
  },
  {
    name: 'create_router:external_gateway_info:external_fixed_ips',
    check: 'rule:admin_only',
    description: 'Choose the addresses of a new router’s gateway.',
  },
  {
    name: 'update_router:external_gateway_info:enable_snat',
    check: 'rule:admin_only',
    description: 'Choose whether what leaves by a router’s gateway has the router’s address.',
  },
  {
    name: 'update_router:external_gateway_info:external_fixed_ips',
    check: 'rule:admin_only',
    description: 'Choose the addresses of a router’s gateway.',
  },
  { name: 'add_extraroutes', check: 'rule:admin_or_owner', description: 'Add extra routes to a router.' },
  { name: 'remove_extraroutes', check: 'rule:admin_or_owner', description: 'Remove extra routes from a router.' },
  { name: 'delete_router', check: 'rule:admin_or_owner', description: 'Delete a router.' },
  { name: 'add_router_interface', check: 'rule:admin_or_owner', description: 'Attach a subnet or a port to a router.' },
  {
    name: 'remove_router_interface',
    check: 'rule:admin_or_owner',
    description: 'Detach a subnet or a port from a router.',
  },
];
