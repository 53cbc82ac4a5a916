/** The kinds of custom resources that there are. A kind more is a line here. */
import type { KubeKind } from '@cable/kube';
import { definitionOf, immutableFields, kubeKindOf } from './definition.ts';
import { floatingIpKind } from './floating-ip.ts';
import { gatewayKind } from './gateway.ts';
import { hostPolicyDeclaration } from './host-policy.ts';
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
  gatewayKind,
  mirrorKind,
];

/** Those that are a tenant's, and what is an administrator's. */
const DECLARED = [...CUSTOM_KINDS.map(({ declared }) => declared), hostPolicyDeclaration];

/** As the API server serves them. `immutable`: fields of spec that it lets nobody change. */
export function customKinds(): readonly (KubeKind & {
  readonly kind: string;
  readonly immutable: readonly string[];
})[] {
  return DECLARED.map((declared) => ({
    ...kubeKindOf(declared),
    ...{ kind: declared.kind, immutable: immutableFields(declared.spec) },
  }));
}

/** Their CustomResourceDefinitions. */
export function customDefinitions(): readonly object[] {
  return DECLARED.map(definitionOf);
}
