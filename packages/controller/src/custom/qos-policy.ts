/** `QosPolicy`: how much ports, Subnets and FloatingIPs that name it may send and receive. */
import { isDeepStrictEqual } from 'node:util';
import type { AnyObject } from '@cable/model';
import { given, notAdoptable, onlyRow } from './adoption.ts';
import type { Declaration, Schema } from './definition.ts';
import { policyOf } from './views.ts';
import { type CustomKind, type Described, type Outcome, twice, type Work } from './work.ts';

type Bandwidth = { readonly direction: string; readonly maxKbps: number; readonly maxBurstKbps?: number };
type Packets = { readonly direction: string; readonly maxKpps: number; readonly maxBurstKpps?: number };
type Spec = {
  readonly description?: string;
  readonly bandwidthLimits?: readonly Bandwidth[];
  readonly packetRateLimits?: readonly Packets[];
  readonly dscpMark?: number;
};

const MOST = 2147483647;
const DIRECTION: Schema = {
  ...{ type: 'string', enum: ['egress', 'ingress'] },
  description: 'As the port sees it: egress is what it sends.',
};

const DECLARED: Declaration = {
  ...{ kind: 'QosPolicy', plural: 'qospolicies', singular: 'qospolicy', shortNames: ['qos'] },
  description: 'Limits of what is sent and received.',
  spec: {
    type: 'object',
    description: 'The limits; what is not said is not limited.',
    properties: {
      description: { type: 'string', maxLength: 255, description: 'A text for people.' },
      bandwidthLimits: {
        ...{ type: 'array', maxItems: 2 },
        description: 'Of bits, one for each direction.',
        items: {
          type: 'object',
          description: 'One of them.',
          required: ['direction', 'maxKbps'],
          properties: {
            direction: DIRECTION,
            maxKbps: { type: 'integer', minimum: 1, maximum: MOST, description: 'Thousands of bits a second.' },
            maxBurstKbps: {
              ...{ type: 'integer', minimum: 0, maximum: MOST },
              description: 'Thousands of bits that may pass at once after a pause; absent or 0: what suits.',
            },
          },
        },
      },
      packetRateLimits: {
        ...{ type: 'array', maxItems: 2 },
        description: 'Of packets, one for each direction.',
        items: {
          type: 'object',
          description: 'One of them.',
          required: ['direction', 'maxKpps'],
          properties: {
            direction: DIRECTION,
            maxKpps: { type: 'integer', minimum: 1, maximum: MOST, description: 'Thousands of packets a second.' },
            maxBurstKpps: {
              ...{ type: 'integer', minimum: 0, maximum: MOST },
              description: 'Thousands of packets that may pass at once; absent or 0: what suits.',
            },
          },
        },
      },
      dscpMark: {
        ...{ type: 'integer', minimum: 0, maximum: 56 },
        description: 'DSCP of what is sent, of the values that Neutron takes.',
      },
    },
  },
  columns: [
    {
      ...{ name: 'Egress', type: 'integer', description: 'Thousands of bits a second.' },
      jsonPath: '.spec.bandwidthLimits[?(@.direction=="egress")].maxKbps',
    },
    {
      ...{ name: 'Ingress', type: 'integer', description: 'Thousands of bits a second.' },
      jsonPath: '.spec.bandwidthLimits[?(@.direction=="ingress")].maxKbps',
    },
  ],
};

export const qosPolicyKind: CustomKind = {
  ...{ declared: DECLARED, types: ['qos_policy'], apply },
  adoptable: { types: ['qos_policy'], describe },
};

async function apply(work: Work): Promise<Outcome> {
  const { description = '', bandwidthLimits = [], packetRateLimits = [], dscpMark } = work.spec<Spec>();
  const policy = await work.ensure('qos_policy', { wanted: { name: work.name, description } });
  const ofDirection = ({ direction }: { readonly direction: string }): string => `direction ${direction}`;
  const unmet =
    twice('bandwidthLimits', bandwidthLimits, ofDirection) ?? twice('packetRateLimits', packetRateLimits, ofDirection);
  const rules: Readonly<Record<string, readonly Readonly<Record<string, unknown>>[]>> = {
    qos_bandwidth_limit_rule: byDirection(bandwidthLimits).map(({ direction, maxKbps, maxBurstKbps = 0 }) => ({
      ...{ direction, max_kbps: maxKbps, max_burst_kbps: maxBurstKbps },
    })),
    qos_packet_rate_limit_rule: byDirection(packetRateLimits).map(({ direction, maxKpps, maxBurstKpps = 0 }) => ({
      ...{ direction, max_kpps: maxKpps, max_burst_kpps: maxBurstKpps },
    })),
    qos_dscp_marking_rule: dscpMark === undefined ? [] : [{ dscp_mark: dscpMark }],
  };
  for (const [type, wanted] of Object.entries(rules)) await applyRules(work, policy.id, type, wanted);
  const outcome = { id: policy.id, projectId: work.projectId, status: {} };
  return unmet === undefined ? outcome : { ...outcome, unmet };
}

/** Of two of a direction the last. */
function byDirection<T extends { readonly direction: string }>(limits: readonly T[]): readonly T[] {
  return [...new Map(limits.map((one) => [one.direction, one])).values()];
}

/** Rules of types that spec does not know stay as they are. */
async function describe(_work: Work, rows: readonly AnyObject[]): Promise<Described> {
  const row = onlyRow(rows);
  const rules = row['rules'] as readonly Readonly<Record<string, unknown>>[];
  const limits = rules.filter((one) => one['type'] === 'bandwidth_limit' || one['type'] === 'packet_rate_limit');
  if (limits.some((one) => !(Number(one['max_kbps'] ?? one['max_kpps']) > 0)))
    throw notAdoptable('it has a limit that lets nothing pass');
  if (limits.some((one) => !['ingress', 'egress'].includes(String(one['direction']))))
    throw notAdoptable('it has a limit of both directions together');
  const packets = limits.filter((one) => one['type'] === 'packet_rate_limit');
  return {
    ...policyOf(row).spec,
    ...given({
      packetRateLimits: packets.map((one) => ({
        ...{ direction: one['direction'], maxKpps: one['max_kpps'], maxBurstKpps: one['max_burst_kpps'] },
      })),
    }),
  };
}

/** By direction, where rules of the type have one. */
async function applyRules(
  work: Work,
  policyId: string,
  type: string,
  wanted: readonly Readonly<Record<string, unknown>>[],
): Promise<void> {
  const rules = work.client.within(policyId);
  const there = (await rules.list(type)) as readonly AnyObject[];
  for (const one of there)
    if (!wanted.some((rule) => rule['direction'] === one['direction'])) await rules.delete(type, one.id);
  for (const rule of wanted) {
    const before = there.find((one) => one['direction'] === rule['direction']);
    if (before === undefined) await rules.create(type, rule);
    else if (!Object.entries(rule).every(([name, value]) => isDeepStrictEqual(value, before[name])))
      await rules.update(type, before.id, rule);
  }
}
