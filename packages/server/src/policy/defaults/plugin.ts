import type { RuleDefault } from '../rules.ts';
import { ADMIN, ANYBODY } from './words.ts';

const OWN: readonly (readonly [string, string])[] = [
  ['create_plugin', 'Register a plug-in.'],
  ['get_plugin', 'See plug-ins.'],
  ['update_plugin', 'Change a plug-in.'],
  ['delete_plugin', 'Remove a plug-in.'],
  ['probe_plugin', 'See what the probe of a plug-in found.'],
  ['test_plugin', 'Probe a plug-in.'],
  ['capabilities_plugin', 'See what a plug-in can do.'],
  ['create_dispatch_rule', 'Create a rule of dispatch.'],
  ['get_dispatch_rule', 'See rules of dispatch.'],
  ['update_dispatch_rule', 'Change a rule of dispatch.'],
  ['delete_dispatch_rule', 'Delete a rule of dispatch.'],
  ['explain_dispatch_rule', 'See where a new object would be placed.'],
  ['create_dispatch_default', 'Create defaults of dispatch.'],
  ['get_dispatch_default', 'See defaults of dispatch.'],
  ['update_dispatch_default', 'Change defaults of dispatch.'],
  ['delete_dispatch_default', 'Delete defaults of dispatch.'],
  ['get_capability', 'See what back ends can do.'],
];

/** Who may do what with back ends: administrators. Flavors are for all. */
export const PLUGIN_RULES: readonly RuleDefault[] = [
  ...OWN.map(([name, description]) => ({ name, check: ADMIN, description })),
  { name: 'get_network_flavor', check: 'role:reader', zed: ANYBODY, description: 'See the flavors of networks.' },
];
