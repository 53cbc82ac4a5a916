import type { QosHeader, QosLimits } from '@cable/model';
import { sortedById } from '../compiler-tables.ts';
import { defineKind, type Kind } from '../kind.ts';
import type { Reader } from '../reader.ts';

/** What one QoS policy limits and marks. Of one direction a policy has one rule of a kind. */
export const qosKind: Kind = defineKind({
  name: 'qos',
  header: (reader, id) => {
    if (reader.get('qos_policy', id) === undefined) return undefined;
    const [marking] = sortedById(reader.by('qos_dscp_marking_rule', 'qos_policy_id', id));
    const value: QosHeader = {
      id,
      egress: limitsOf(reader, id, 'egress'),
      ingress: limitsOf(reader, id, 'ingress'),
      ...(marking === undefined ? {} : { dscp: marking.dscp_mark }),
    };
    return { value, refs: [] };
  },
});

/** A limit of 0 is none. */
function limitsOf(reader: Reader, id: string, direction: 'egress' | 'ingress'): QosLimits {
  const bandwidth = sortedById(reader.by('qos_bandwidth_limit_rule', 'qos_policy_id', id)).find(
    (rule) => rule.direction === direction && rule.max_kbps > 0,
  );
  const packets = sortedById(reader.by('qos_packet_rate_limit_rule', 'qos_policy_id', id)).find(
    (rule) => rule.direction === direction && rule.max_kpps > 0,
  );
  return {
    ...(bandwidth === undefined
      ? {}
      : { bandwidth: { maxKbps: bandwidth.max_kbps, burstKbits: bandwidth.max_burst_kbps } }),
    ...(packets === undefined ? {} : { packets: { maxKpps: packets.max_kpps, burstKpackets: packets.max_burst_kpps } }),
  };
}
