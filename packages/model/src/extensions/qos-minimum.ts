import type { Resource } from '../declaration.ts';
import {
  hostBookingResource,
  qosMinimumBandwidthRuleResource,
  qosMinimumPacketRateRuleResource,
} from '../resources/qos-minimum.ts';

/** Bandwidth that ports are promised, counted against what their hosts have. */
export const qosBwMinimumIngressExtension = {
  alias: 'qos-bw-minimum-ingress',
  name: 'Ingress direction for QoS minimum bandwidth rule',
  description: 'Rules of QoS policies that promise bandwidth, of what a port sends or of what it receives.',
  updated: '2026-11-27T00:00:00-00:00',
  requires: ['qos', 'binding'],
  resources: [qosMinimumBandwidthRuleResource, hostBookingResource] as readonly Resource[],
} as const;

/** Packets a second that ports are promised, counted against what their hosts can process. */
export const qosPpsMinimumExtension = {
  alias: 'qos-pps-minimum',
  name: 'QoS minimum packet rate rule',
  description: 'Rules of QoS policies that promise packets a second, of what a port sends, receives, or both together.',
  updated: '2026-11-28T00:00:00-00:00',
  requires: ['qos-bw-minimum-ingress'],
  resources: [qosMinimumPacketRateRuleResource] as readonly Resource[],
} as const;

/** Those rules by their ID alone. */
export const qosPpsMinimumRuleAliasExtension = {
  alias: 'qos-pps-minimum-rule-alias',
  name: 'QoS minimum packet rate rule alias',
  description: 'Rules of minimum packet rate can be shown, changed and deleted without naming their policy.',
  updated: '2026-11-28T00:00:00-00:00',
  requires: ['qos-pps-minimum'],
} as const;

/** What a scheduler of machines has to find for a port. */
export const portResourceRequestExtension = {
  alias: 'port-resource-request',
  name: 'Port Resource Request',
  description: 'Ports say what they were promised, in words of Placement: Nova finds a host that has it.',
  updated: '2026-11-27T00:00:00-00:00',
  requires: ['qos-bw-minimum-ingress'],
  attributes: {
    port: {
      resource_request: {
        type: 'dict',
        nullable: true,
        computed: true,
        seeBy: 'admin',
        filter: false,
        sort: false,
        example: {
          request_groups: [
            {
              id: '5f0c1b7e-2d3a-5c4b-8e9f-0a1b2c3d4e5f',
              required: ['CUSTOM_PHYSNET_PHYSNET1', 'CUSTOM_VNIC_TYPE_NORMAL'],
              resources: { NET_BW_EGR_KILOBIT_PER_SEC: 20000 },
            },
          ],
          same_subtree: ['5f0c1b7e-2d3a-5c4b-8e9f-0a1b2c3d4e5f'],
        },
        description: 'What the port’s QoS policy promises it, as groups of resources and traits; null: nothing.',
      },
    },
  },
} as const;

/** The form of a port's request. */
export const portResourceRequestGroupsExtension = {
  alias: 'port-resource-request-groups',
  name: 'Port Resource Request Groups',
  description: 'A port’s request is a list of groups, each with an ID.',
  updated: '2026-11-27T00:00:00-00:00',
  requires: ['port-resource-request'],
} as const;
