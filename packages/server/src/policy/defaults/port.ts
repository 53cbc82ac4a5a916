import type { RuleDefault } from '../rules.ts';

/** On a shared network these could harm the others who are there. */
const NETWORK_OWNERS = 'rule:admin_or_network_owner';

/** Who may do what with ports. */
export const PORT_RULES: readonly RuleDefault[] = [
  {
    name: 'network_device',
    check: 'field:port:device_owner=~^network:',
    description: 'The port is of a part of the network, such as a router.',
  },
  {
    name: 'create_port',
    check: 'not rule:external or rule:admin_or_network_owner or rule:shared',
    description: 'Create a port: on an external network only its owner does, unless it is shared as well.',
  },
  {
    name: 'create_port:device_owner',
    check: 'not rule:network_device or rule:admin_only',
    description: 'Create a port of a part of the network.',
  },
  { name: 'create_port:mac_address', check: NETWORK_OWNERS, description: 'Choose the MAC address of a new port.' },
  {
    name: 'create_port:fixed_ips:ip_address',
    check: NETWORK_OWNERS,
    description: 'Choose the IP addresses of a new port.',
  },
  {
    name: 'create_port:port_security_enabled',
    check: NETWORK_OWNERS,
    description: 'Choose whether a new port has port security.',
  },
  {
    name: 'create_port:allowed_address_pairs',
    check: NETWORK_OWNERS,
    description: 'Let a new port send from further addresses.',
  },
  { name: 'create_port:binding:host_id', check: 'rule:admin_only', description: 'Choose the host of a new port.' },
  {
    name: 'create_port:binding:profile',
    check: 'rule:admin_only',
    description: 'Choose the binding profile of a new port.',
  },
  {
    name: 'create_port:binding:vnic_type',
    check: 'rule:admin_only',
    description: 'Create a port for a machine: the agent makes a device and routes in the host itself.',
  },
  { name: 'get_port', check: 'rule:admin_owner_or_network_owner', description: 'See a port.' },
  { name: 'get_port:binding:host_id', check: 'rule:admin_only', description: 'See the host of a port.' },
  { name: 'get_port:binding:profile', check: 'rule:admin_only', description: 'See the binding profile of a port.' },
  { name: 'get_port:binding:vif_type', check: 'rule:admin_only', description: 'See how a port is plugged.' },
  {
    name: 'get_port:binding:vif_details',
    check: 'rule:admin_only',
    description: 'See details of how a port is plugged.',
  },
  {
    name: 'inspect_port',
    check: 'rule:admin_or_owner',
    description: 'See what becomes of a port’s packets: drops, flows, traces.',
  },
  {
    name: 'capture_port',
    check: 'rule:admin_or_owner',
    description: 'See the packets of a port, with what is in them.',
  },
  { name: 'update_port', check: 'rule:admin_or_owner', description: 'Change a port.' },
  {
    name: 'update_port:device_owner',
    check: 'not rule:network_device or rule:admin_only',
    description: 'Make a port one of a part of the network.',
    asked: 'changed',
  },
  { name: 'update_port:mac_address', check: 'rule:admin_only', description: 'Change the MAC address of a port.' },
  {
    name: 'update_port:fixed_ips',
    check: NETWORK_OWNERS,
    description: 'Change the IP addresses of a port.',
    asked: 'changed',
  },
  {
    name: 'update_port:port_security_enabled',
    check: NETWORK_OWNERS,
    description: 'Change whether a port has port security.',
    asked: 'changed',
  },
  {
    name: 'update_port:allowed_address_pairs',
    check: NETWORK_OWNERS,
    description: 'Change what further addresses a port may send from.',
    asked: 'changed',
  },
  { name: 'update_port:binding:host_id', check: 'rule:admin_only', description: 'Change the host of a port.' },
  {
    name: 'update_port:binding:profile',
    check: 'rule:admin_only',
    description: 'Change the binding profile of a port.',
  },
  {
    name: 'update_port:binding:vnic_type',
    check: 'rule:admin_only',
    description: 'Make a port one for a machine, or no longer.',
    asked: 'changed',
  },
  { name: 'delete_port', check: 'rule:admin_owner_or_network_owner', description: 'Delete a port.' },
  { name: 'create_port_binding', check: 'rule:admin_only', description: 'Prepare another host for a port.' },
  { name: 'get_port_bindings', check: 'rule:admin_only', description: 'List the bindings of a port.' },
  { name: 'get_port_binding', check: 'rule:admin_only', description: 'See a binding of a port.' },
  { name: 'update_port_binding', check: 'rule:admin_only', description: 'Change a binding of a port.' },
  { name: 'activate_port_binding', check: 'rule:admin_only', description: 'Let another host carry a port.' },
  { name: 'delete_port_binding', check: 'rule:admin_only', description: 'End a binding of a port.' },
];
