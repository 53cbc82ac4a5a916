import type { Resource } from '../declaration.ts';
import {
  capabilityResource,
  dispatchDefaultResource,
  dispatchRuleResource,
  networkFlavorResource,
  pluginResource,
} from '../resources/plugin.ts';

/** Who realises the object. Children have that of their network. */
const BACKEND = {
  type: 'string',
  nullable: true,
  default: null,
  seeBy: 'admin',
  indexed: true,
  reference: { type: 'plugin', onDelete: 'restrict' },
  example: null,
  description: 'The plug-in that realises it, chosen when it is created; null: the vrouter.',
} as const;

/** Back ends besides the vrouter, and which of them gets what. */
export const cablePluginExtension = {
  alias: 'cable-plugin',
  name: 'Back ends',
  description: 'Back ends besides the vrouter that realise networks, and flavors by which they are chosen.',
  updated: '2026-11-30T00:00:00-00:00',
  requires: ['router', 'network-segment-range', 'provider'],
  resources: [
    pluginResource,
    dispatchRuleResource,
    dispatchDefaultResource,
    networkFlavorResource,
    capabilityResource,
  ] as readonly Resource[],
  attributes: {
    network: {
      'cable:backend': BACKEND as typeof BACKEND,
      'flavor:network': {
        type: 'string',
        nullable: true,
        write: 'create',
        default: null,
        minLength: 1,
        maxLength: 63,
        indexed: true,
        example: 'overlay',
        description:
          'The kind of network, of /cable/v1/network-flavors; null: none was asked for, and none is the default.',
      },
    },
    subnet: { 'cable:backend': BACKEND as typeof BACKEND },
    port: { 'cable:backend': BACKEND as typeof BACKEND },
    router: {
      'cable:backend': BACKEND as typeof BACKEND,
      'flavor:router': {
        type: 'string',
        nullable: true,
        write: 'create',
        default: null,
        minLength: 1,
        maxLength: 63,
        indexed: true,
        example: 'overlay',
        description:
          'The kind of router, of /cable/v1/network-flavors; null: none was asked for, and none is the default.',
      },
    },
    network_segment_range: {
      'cable:backend': {
        type: 'string',
        nullable: true,
        write: 'create',
        default: null,
        maxLength: 63,
        indexed: true,
        reference: { type: 'plugin', onDelete: 'restrict' },
        example: null,
        description: 'The plug-in whose networks alone have numbers of the range; null: networks of the vrouter.',
      },
    },
  },
} as const;
