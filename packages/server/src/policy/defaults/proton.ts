import type { RuleDefault } from '../rules.ts';
import { ADMIN } from './words.ts';

const CONTROLLERS = 'rule:admin_only or rule:network_controller';

/** Who installs networking APIs: administrators. Who may what with their objects the models say. */
export const PROTON_RULES: readonly RuleDefault[] = [
  { name: 'create_proton', check: ADMIN, description: 'No request does.' },
  { name: 'get_proton', check: ADMIN, description: 'See which protons are installed.' },
  { name: 'update_proton', check: ADMIN, description: 'Change a proton.' },
  { name: 'delete_proton', check: ADMIN, description: 'Remove a proton.' },
  { name: 'install_proton', check: ADMIN, description: 'Install a proton, or another version of it.' },
  { name: 'migrate_proton', check: ADMIN, description: 'Write a proton’s objects as another version has them.' },
  { name: 'set_version_proton', check: ADMIN, description: 'Say which versions of a proton are served.' },
  { name: 'set_quota_proton', check: ADMIN, description: 'Say how many objects of a proton a project may have.' },
  { name: 'remove_version_proton', check: ADMIN, description: 'Remove a version of a proton.' },
  {
    name: 'network_controller',
    check: 'role:network_controller',
    description: 'Controllers that plug ports of protons.',
  },
  {
    name: 'get_port_owner',
    check: 'rule:admin_only or rule:service_api or rule:network_controller or rule:owner',
    description: 'See which proton a port is of, and how it is bound.',
  },
  ...['host_id', 'controller', 'vif_type', 'vif_details', 'reason'].map((attribute) => ({
    name: `get_port_owner:${attribute}`,
    check: 'rule:admin_only or rule:service_api or rule:network_controller',
    description: 'See how a port of a proton is bound.',
  })),
  ...['claim', 'bound', 'refuse'].map((name) => ({
    name: `${name}_port_owner`,
    check: CONTROLLERS,
    description: 'Say how a port of a proton is plugged.',
  })),
  { name: 'get_vpn_target', check: ADMIN, description: 'See what VPNs use route targets for.' },
  { name: 'get_vpn_peering', check: ADMIN, description: 'See whom hosts exchange routes of VPNs with.' },
  {
    name: 'get_proton_network',
    check: ADMIN,
    description: 'See networks of the vrouter that ports of protons are in.',
  },
  {
    name: 'get_proton_controller',
    check: CONTROLLERS,
    description: 'See what plugs ports of protons.',
  },
  {
    name: 'heartbeat_proton_controller',
    check: CONTROLLERS,
    description: 'Say that a controller is alive.',
  },
  { name: 'model_proton', check: ADMIN, description: 'See a proton’s files.' },
];
