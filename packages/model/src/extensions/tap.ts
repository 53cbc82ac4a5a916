import type { Resource } from '../declaration.ts';
import { tapFlowResource, tapMirrorResource, tapServiceResource } from '../resources/tap.ts';

/** Ports whose traffic is copied to other ports. */
export const taasExtension = {
  alias: 'taas',
  name: 'Neutron Tap as a Service',
  description: 'Copies of what ports send and receive, to other ports.',
  updated: '2026-11-27T00:00:00-00:00',
  resources: [tapServiceResource, tapFlowResource] as readonly Resource[],
} as const;

/** Ports whose traffic is copied to a collector. */
export const tapMirrorExtension = {
  alias: 'tap-mirror',
  name: 'Tap as a Service GRE or ERSPAN mirror',
  description: 'Copies of what ports send and receive, to collectors outside.',
  updated: '2026-11-27T00:00:00-00:00',
  requires: ['taas'],
  resources: [tapMirrorResource] as readonly Resource[],
} as const;
