import type { Resource } from '../declaration.ts';
import {
  qosBandwidthLimitRuleResource,
  qosDscpMarkingRuleResource,
  qosPacketRateLimitRuleResource,
  qosPolicyResource,
  qosRuleTypeResource,
} from '../resources/qos.ts';

/** Policies that limit and mark what ports send and receive. */
export const qosExtension = {
  alias: 'qos',
  name: 'Quality of Service',
  description: 'Policies that limit what ports send and receive, and mark what they send.',
  updated: '2026-11-26T00:00:00-00:00',
  resources: [
    qosPolicyResource,
    qosBandwidthLimitRuleResource,
    qosDscpMarkingRuleResource,
    qosRuleTypeResource,
  ] as readonly Resource[],
  attributes: {
    network: {
      qos_policy_id: {
        type: 'uuid',
        nullable: true,
        write: 'both',
        reference: { type: 'qos_policy', onDelete: 'restrict' },
        example: '2d3e4f5a-6b7c-4d8e-9f0a-1b2c3d4e5f6a',
        derive: 'default-qos-policy',
        description:
          'QoS policy of the network’s ports that have none of their own and are no network service’s; by default the project’s default policy.',
      },
    },
    port: {
      qos_policy_id: {
        type: 'uuid',
        nullable: true,
        write: 'both',
        default: null,
        reference: { type: 'qos_policy', onDelete: 'restrict' },
        example: '2d3e4f5a-6b7c-4d8e-9f0a-1b2c3d4e5f6a',
        description: 'QoS policy; null: that of the network, or none.',
      },
    },
  },
} as const;

/** Rules that limit packets. */
export const qosPpsExtension = {
  alias: 'qos-pps',
  name: 'QoS Rule Type Packet per Second Extension',
  description: 'Rules of QoS policies that limit packets a second.',
  updated: '2026-11-26T00:00:00-00:00',
  requires: ['qos'],
  resources: [qosPacketRateLimitRuleResource] as readonly Resource[],
} as const;

/** Bandwidth limits have a direction. */
export const qosBwLimitDirectionExtension = {
  alias: 'qos-bw-limit-direction',
  name: 'Direction for QoS bandwidth limit rule',
  description: 'Bandwidth limits hold for what a port sends or for what it receives.',
  updated: '2026-11-26T00:00:00-00:00',
  requires: ['qos'],
} as const;

/** A project's default policy. */
export const qosDefaultExtension = {
  alias: 'qos-default',
  name: 'QoS default policy',
  description: 'The QoS policy that new networks of its project are given.',
  updated: '2026-11-26T00:00:00-00:00',
  requires: ['qos'],
  attributes: {
    qos_policy: {
      is_default: {
        type: 'boolean',
        write: 'both',
        default: false,
        description:
          'True: new networks of the policy’s project have it if they are given none. A project has one such policy.',
      },
    },
  },
  columns: { qos_policy: ['is_default'] },
} as const;

/** What rules of a type may say. */
export const qosRuleTypeDetailsExtension = {
  alias: 'qos-rule-type-details',
  name: 'Details of QoS rule types',
  description: 'What rules of a type may say.',
  updated: '2026-11-26T00:00:00-00:00',
  requires: ['qos'],
  attributes: {
    qos_rule_type: {
      drivers: {
        type: 'list',
        items: { type: 'dict' },
        computed: true,
        seeBy: 'admin',
        shownIn: 'show',
        filter: false,
        example: [{ name: 'cable', supported_parameters: [] }],
        description: 'What hosts make of such a rule: each of its attributes, with the values that it may have.',
      },
    },
  },
} as const;

/** Rules by their ID alone. */
export const qosRulesAliasExtension = {
  alias: 'qos-rules-alias',
  name: 'Quality of Service rules alias API',
  description: 'Rules can be shown, changed and deleted without naming their policy.',
  updated: '2026-11-26T00:00:00-00:00',
  requires: ['qos'],
} as const;

/** The policy that a port has from its network. */
export const qosPortNetworkPolicyExtension = {
  alias: 'qos-port-network-policy',
  name: 'QoS port network policy ID',
  description: 'Ports show the QoS policy of their network.',
  updated: '2026-11-26T00:00:00-00:00',
  requires: ['qos'],
  attributes: {
    port: {
      qos_network_policy_id: {
        type: 'uuid',
        nullable: true,
        computed: true,
        filter: false,
        sort: false,
        example: '2d3e4f5a-6b7c-4d8e-9f0a-1b2c3d4e5f6a',
        description: 'QoS policy of the port’s network; null: it has none.',
      },
    },
  },
} as const;
