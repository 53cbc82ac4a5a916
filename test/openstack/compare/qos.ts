import type { Asked, Subject } from '../compare-cases.ts';
import { BOOLEANS, NOBODY, TEXTS } from './values.ts';

export const QOS_POLICIES: Subject = {
  name: 'qos_policies',
  path: '/qos/policies',
  key: 'policy',
  before: [],
  base: { name: 'gold' },
  attributes: {
    name: TEXTS,
    description: TEXTS,
    shared: BOOLEANS,
    is_default: BOOLEANS,
    rules: [[]],
    tags: [['a']],
  },
  more: [{ do: 'GET /qos/rule-types' }, { do: 'GET /qos/rule-types/bandwidth_limit' }, { do: 'GET /qos/rule-types/x' }],
};

const POLICY: readonly Asked[] = [
  { do: 'POST /qos/policies', body: { policy: { name: 'gold', shared: true } }, keep: 'policy' },
];
const DIRECTIONS = ['ingress', 'egress', 'EGRESS', 'any', 'both'];
const RATES = [1000, '1000', 2147483647, 4294967295];

function rulesOf(name: string, base: Subject['base'], attributes: Subject['attributes']): Subject {
  const path = `/qos/policies/$policy/${name}_rules`;
  return {
    ...{ name: `qos_${name}`, path, key: `${name}_rule`, before: POLICY, base, attributes },
    more: [
      ...[base, base, { ...base, direction: 'ingress' }].map((body) => ({
        do: `POST ${path}`,
        body: { [`${name}_rule`]: body },
      })),
      ...[{ do: 'GET /qos/policies/$policy' }, { do: `GET /qos/policies/${NOBODY}/${name}_rules` }],
      { do: `POST /qos/policies/${NOBODY}/${name}_rules`, body: { [`${name}_rule`]: base } },
      ...[{ do: `GET /qos/alias-${name.replaceAll('_', '-')}-rules/${NOBODY}` }],
      { do: 'DELETE /qos/policies/$policy' },
    ],
  };
}

export const QOS_RULES: readonly Subject[] = [
  rulesOf('bandwidth_limit', { max_kbps: 1000 }, { max_kbps: RATES, max_burst_kbps: RATES, direction: DIRECTIONS }),
  rulesOf('dscp_marking', { dscp_mark: 26 }, { dscp_mark: [26, '26', 27, 56, 63, 64] }),
  rulesOf('minimum_bandwidth', { min_kbps: 1000 }, { min_kbps: RATES, direction: DIRECTIONS }),
  rulesOf('packet_rate_limit', { max_kpps: 1000 }, { max_kpps: RATES, max_burst_kpps: RATES, direction: DIRECTIONS }),
  rulesOf('minimum_packet_rate', { min_kpps: 1000, direction: 'any' }, { min_kpps: RATES, direction: DIRECTIONS }),
];
