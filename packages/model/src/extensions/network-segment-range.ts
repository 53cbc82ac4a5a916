import type { Resource } from '../declaration.ts';
import { networkSegmentRangeResource } from '../resources/network-segment-range.ts';

/** Of which numbers those of new networks are chosen. */
export const networkSegmentRangeExtension = {
  alias: 'network-segment-range',
  name: 'Neutron Network Segment Range',
  description: 'Ranges of VNIs and VLANs of which those of new networks are chosen, for all projects or for one.',
  updated: '2026-11-28T00:00:00-00:00',
  requires: ['provider'],
  resources: [networkSegmentRangeResource] as readonly Resource[],
} as const;
