/** The kinds of custom resources that there are. A kind more is a line here. */
import type { KubeKind } from '@cable/kube';
import { definitionOf, kubeKindOf } from './definition.ts';
import { floatingIpKind } from './floating-ip.ts';
import { mirrorKind } from './mirror.ts';
import { portKind } from './port.ts';
import { qosPolicyKind } from './qos-policy.ts';
import { securityGroupKind } from './security-group.ts';
import { subnetKind } from './subnet.ts';
import { vpcKind } from './vpc.ts';
import type { CustomKind } from './work.ts';

export const CUSTOM_KINDS: readonly CustomKind[] = [
  vpcKind,
  subnetKind,
  securityGroupKind,
  qosPolicyKind,
  portKind,
  floatingIpKind,
  mirrorKind,
];

/** As the API server serves them. */
export function customKinds(): readonly (KubeKind & { readonly kind: string })[] {
  return CUSTOM_KINDS.map(({ declared }) => ({ ...kubeKindOf(declared), kind: declared.kind }));
}

/** Their CustomResourceDefinitions. */
export function customDefinitions(): readonly object[] {
  return CUSTOM_KINDS.map(({ declared }) => definitionOf(declared));
}
