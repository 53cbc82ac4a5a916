import type { RuleDefault } from '../rules.ts';
import {
  ADMIN,
  ADMIN_OR_MEMBER,
  ADMIN_OR_OWNER,
  ADMIN_OR_READER,
  ANYBODY,
  KUBERNETES,
  OF_CLUSTER,
  SERVICE,
} from './words.ts';

const FOR_ALL = 'rule:shared or rule:external or rule:context_is_advsvc';

/** Of a cluster’s controller the server looks at which VLANs an administrator has given the cluster. */
const ADMIN_OR_KUBERNETES = `${ADMIN} or ${KUBERNETES}`;

/** A controller sees how networks are carried that are its cluster’s. */
const ADMIN_OR_CLUSTER = `${ADMIN} or ${OF_CLUSTER}`;

/** Who may do what with networks. */
export const NETWORK_RULES: readonly RuleDefault[] = [
  { name: 'create_network', check: ADMIN_OR_MEMBER, zed: ANYBODY, description: 'Create a network.' },
  { name: 'create_network:shared', check: ADMIN, description: 'Share a new network with every project.' },
  { name: 'create_network:router:external', check: ADMIN, description: 'Make a network that leads outside.' },
  {
    name: 'create_network:port_security_enabled',
    check: ADMIN_OR_MEMBER,
    zed: ANYBODY,
    description: 'Choose whether ports of a new network have port security when nobody says otherwise.',
  },
  {
    name: 'create_network:provider:network_type',
    check: ADMIN_OR_KUBERNETES,
    description: 'Choose how a new network is carried.',
  },
  {
    name: 'create_network:provider:physical_network',
    check: ADMIN_OR_KUBERNETES,
    description: 'Choose the physical network that carries a new network.',
  },
  {
    name: 'create_network:provider:segmentation_id',
    check: ADMIN_OR_KUBERNETES,
    description: 'Choose the VNI or VLAN of a new network.',
  },
  {
    name: 'get_network',
    check: `${ADMIN_OR_READER} or ${OF_CLUSTER} or rule:cluster_pods or ${SERVICE} or ${FOR_ALL}`,
    zed: `${ADMIN_OR_OWNER} or ${OF_CLUSTER} or rule:cluster_pods or ${FOR_ALL}`,
    description: 'See a network.',
  },
  { name: 'get_network:provider:network_type', check: ADMIN_OR_CLUSTER, description: 'See how a network is carried.' },
  {
    name: 'get_network:provider:physical_network',
    check: ADMIN_OR_CLUSTER,
    description: 'See the physical network of a network.',
  },
  {
    name: 'get_network:provider:segmentation_id',
    check: ADMIN_OR_CLUSTER,
    description: 'See the VNI or VLAN of a network.',
  },
  { name: 'update_network', check: ADMIN_OR_MEMBER, zed: ADMIN_OR_OWNER, description: 'Change a network.' },
  {
    name: 'update_network:shared',
    check: ADMIN,
    description: 'Share a network with every project, or no longer.',
  },
  { name: 'update_network:router:external', check: ADMIN, description: 'Let a network lead outside, or no longer.' },
  {
    name: 'update_network:port_security_enabled',
    check: ADMIN_OR_MEMBER,
    zed: ADMIN_OR_OWNER,
    description: 'Change whether ports of a network have port security when nobody says otherwise.',
  },
  { name: 'delete_network', check: ADMIN_OR_MEMBER, zed: ADMIN_OR_OWNER, description: 'Delete a network.' },
  {
    name: 'get_network_ip_availability',
    // A Kubernetes cluster’s controller says it in the status of its Subnets.
    check: `${ADMIN} or ${KUBERNETES} and project_id:%(project_id)s`,
    description: 'See how many addresses of a network are taken.',
  },
  { name: 'create_network:is_default', check: ADMIN, description: 'Make a new external network the default.' },
  {
    name: 'update_network:is_default',
    check: ADMIN,
    description: 'Make an external network the default, or no longer.',
  },
];
