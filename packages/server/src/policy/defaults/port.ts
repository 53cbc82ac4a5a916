import type { RuleDefault } from '../rules.ts';
import {
  ADMIN,
  ADMIN_OR_MEMBER,
  ADMIN_OR_NETWORK_MEMBER,
  ADMIN_OR_NETWORK_OWNER,
  ADMIN_OR_OWNER,
  ADMIN_OR_READER,
  ADMIN_OR_SERVICE,
  KUBERNETES,
  NETWORK_MEMBER,
  NETWORK_READER,
  OF_CLUSTER,
  SERVICE,
} from './words.ts';

const ON_CLUSTERS_NETWORK = `${KUBERNETES} and cluster:%(network:cable:cluster)s`;
/**
 * A cluster’s controller, for a pod, on a network that is the cluster’s: on any other, and for what others plug their machines into, it is a member of its project as
 * others are.
 */
const FOR_POD = `(${ON_CLUSTERS_NETWORK} and rule:pod_device)`;

/** The same, and in networks of its project: it may choose the MAC of a port that it makes for a pod, and for the next pod of the port as well. */
const NEXT_POD = `${FOR_POD} or (${KUBERNETES} and rule:pod_device and ${NETWORK_MEMBER})`;

/** What on a shared network could harm the others who are there. */
const CHOICE = {
  check: `${ADMIN_OR_NETWORK_MEMBER} or ${SERVICE} or ${FOR_POD}`,
  zed: `${ADMIN_OR_NETWORK_OWNER} or rule:context_is_advsvc or ${FOR_POD}`,
} as const;

/** What lets a port send as another: on the cluster’s own network, where pods of all namespaces are, a controller says it for none of them. */
const PAIRS = { check: `${ADMIN_OR_NETWORK_MEMBER} or ${SERVICE}`, zed: ADMIN_OR_NETWORK_OWNER } as const;

/** The same of all addresses. */
const SPOOFING = { check: PAIRS.check, zed: `${ADMIN_OR_NETWORK_OWNER} or rule:context_is_advsvc` } as const;

/** Where a port is, which is Nova's to say. */
const BINDING = { check: `${ADMIN_OR_SERVICE} or ${KUBERNETES}`, zed: `${ADMIN} or ${KUBERNETES}` } as const;

/** What a service alone says: with the profile of a binding a port gets at devices of its host. */
const SERVICES = { check: SERVICE, zed: ADMIN } as const;

/** A cluster’s controller lets the ports of its virtual machines move. */
const MOVING = {
  check: `${SERVICE} or (${KUBERNETES} and cluster:%(cable:cluster)s)`,
  zed: `${ADMIN} or (${KUBERNETES} and cluster:%(cable:cluster)s)`,
} as const;

const MEMBERS = {
  check: `${ADMIN_OR_MEMBER} or ${SERVICE}`,
  zed: `${ADMIN_OR_OWNER} or rule:context_is_advsvc`,
} as const;

/** Who may do what with ports. */
export const PORT_RULES: readonly RuleDefault[] = [
  {
    name: 'network_device',
    check: 'field:port:device_owner=~^network:',
    description: 'The port is of a part of the network, such as a router.',
  },
  {
    name: 'pod_device',
    check: 'field:port:device_owner=~^kubernetes:(pod|leg)$',
    description: 'The port is of a pod of Kubernetes.',
  },
  {
    name: 'create_port',
    check: `${CHOICE.check} or rule:shared`,
    zed: `not rule:external and not (${ON_CLUSTERS_NETWORK}) or ${FOR_POD} or rule:admin_or_network_owner or rule:shared`,
    description: 'Create a port on a network: of one’s own project, or that is shared.',
  },
  {
    name: 'create_port:device_owner',
    check: `not rule:network_device or ${CHOICE.check}`,
    zed: `not rule:network_device or ${CHOICE.zed}`,
    description: 'Create a port of a part of the network.',
  },
  { name: 'create_port:mac_address', ...CHOICE, description: 'Choose the MAC address of a new port.' },
  {
    name: 'create_port:fixed_ips',
    check: `${CHOICE.check} or rule:shared`,
    zed: `${CHOICE.zed} or rule:shared`,
    description: 'Say where a new port has its IP addresses.',
  },
  { name: 'create_port:fixed_ips:ip_address', ...CHOICE, description: 'Choose the IP addresses of a new port.' },
  {
    name: 'create_port:port_security_enabled',
    ...SPOOFING,
    description: 'Choose whether a new port has port security.',
  },
  {
    name: 'create_port:allowed_address_pairs',
    ...PAIRS,
    description: 'Let a new port send from further addresses.',
  },
  { name: 'create_port:binding:host_id', ...BINDING, description: 'Choose the host of a new port.' },
  { name: 'create_port:binding:profile', ...SERVICES, description: 'Choose the binding profile of a new port.' },
  {
    name: 'create_port:binding:vnic_type',
    ...BINDING,
    description: 'Create a port for a machine: the agent makes a device and routes in the host itself.',
  },
  {
    name: 'get_port',
    check: `${ADMIN_OR_READER} or ${OF_CLUSTER} or ${NETWORK_READER} or ${SERVICE}`,
    zed: `rule:admin_owner_or_network_owner or rule:context_is_advsvc or ${OF_CLUSTER}`,
    description: 'See a port.',
  },
  { name: 'get_port:binding:host_id', ...BINDING, description: 'See the host of a port.' },
  { name: 'get_port:binding:profile', ...BINDING, description: 'See the binding profile of a port.' },
  { name: 'get_port:binding:vif_type', ...BINDING, description: 'See how a port is plugged.' },
  { name: 'get_port:binding:vif_details', ...BINDING, description: 'See details of how a port is plugged.' },
  {
    name: 'inspect_port',
    check: ADMIN_OR_READER,
    zed: ADMIN_OR_OWNER,
    description: 'See what becomes of a port’s packets: drops, flows, traces.',
  },
  {
    name: 'capture_port',
    check: ADMIN_OR_MEMBER,
    zed: ADMIN_OR_OWNER,
    description: 'See the packets of a port, with what is in them.',
  },
  { name: 'update_port', ...MEMBERS, description: 'Change a port.' },
  {
    name: 'update_port:device_owner',
    check: `not rule:network_device or ${CHOICE.check}`,
    zed: `not rule:network_device or ${CHOICE.zed}`,
    description: 'Make a port one of a part of the network.',
    asked: 'changed',
  },
  {
    name: 'update_port:mac_address',
    check: `${ADMIN_OR_SERVICE} or role:manager and rule:network_owner or ${NEXT_POD}`,
    zed: `${ADMIN} or rule:context_is_advsvc or ${NEXT_POD}`,
    description: 'Change the MAC address of a port.',
  },
  {
    name: 'update_port:fixed_ips',
    ...CHOICE,
    description: 'Change the IP addresses of a port.',
    asked: 'changed',
  },
  {
    name: 'update_port:port_security_enabled',
    ...SPOOFING,
    description: 'Change whether a port has port security.',
    asked: 'changed',
  },
  {
    name: 'update_port:allowed_address_pairs',
    ...PAIRS,
    description: 'Change what further addresses a port may send from.',
    asked: 'changed',
  },
  { name: 'update_port:binding:host_id', ...BINDING, description: 'Change the host of a port.' },
  { name: 'update_port:binding:profile', ...SERVICES, description: 'Change the binding profile of a port.' },
  {
    name: 'update_port:binding:vnic_type',
    ...BINDING,
    description: 'Make a port one for a machine, or no longer.',
    asked: 'changed',
  },
  {
    name: 'delete_port',
    check: `${ADMIN_OR_MEMBER} or ${NETWORK_MEMBER} or ${SERVICE}`,
    zed: 'rule:admin_owner_or_network_owner or rule:context_is_advsvc',
    description: 'Delete a port.',
  },
  { name: 'create_port_binding', ...MOVING, description: 'Prepare another host for a port.' },
  { name: 'get_port_bindings', ...BINDING, description: 'List the bindings of a port.' },
  { name: 'get_port_binding', ...BINDING, description: 'See a binding of a port.' },
  { name: 'update_port_binding', ...SERVICES, description: 'Change a binding of a port.' },
  { name: 'activate_port_binding', ...MOVING, description: 'Let another host carry a port.' },
  { name: 'delete_port_binding', ...MOVING, description: 'End a binding of a port.' },
];
