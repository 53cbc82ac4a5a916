/** How a kind of custom resource is declared, and the CustomResourceDefinition that this comes to (`apiextensions.k8s.io/v1`). */
import type { KubeKind } from '@cable/kube';

export const GROUP = 'cable.io';
export const VERSION = 'v1';

/** On every object whose counterpart Cable has: it goes when that has gone. */
export const FINALIZER = 'cable.io/finalizer';

/** Part of a structural schema (OpenAPI 3.0, as `apiextensions.k8s.io/v1` takes it). */
export type Schema = {
  readonly type: 'object' | 'array' | 'string' | 'integer' | 'boolean';
  readonly description: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  /** Of a map: what each value is. */
  readonly additionalProperties?: Schema;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly enum?: readonly string[];
  readonly default?: unknown;
  readonly format?: string;
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  /** CEL, from Kubernetes 1.25 on; older ones leave it out, and Cable refuses the same. */
  readonly 'x-kubernetes-validations'?: readonly Rule[];
};

export type Rule = { readonly rule: string; readonly message: string };

export type Column = {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'boolean' | 'date';
  readonly jsonPath: string;
  readonly description?: string;
  /** 1: with `-o wide` alone. */
  readonly priority?: number;
};

export type Declaration = {
  /** E.g. `SecurityGroup`; also first word of the origins of what Cable has of it. */
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly description: string;
  readonly spec: Schema;
  /** What status has besides `id`, `projectID` and `conditions`. */
  readonly status?: Readonly<Record<string, Schema>>;
  /** Behind the name, before Ready and Age. */
  readonly columns: readonly Column[];
  /** Of the whole cluster; absent: of a namespace. */
  readonly isClusterWide?: true;
  /** The condition that all is as spec says. Default: Ready. */
  readonly readiness?: string;
};

/** As the API server serves it. */
export function kubeKindOf({ plural, isClusterWide }: Pick<Declaration, 'plural' | 'isClusterWide'>): KubeKind {
  return { group: GROUP, version: VERSION, plural, isNamespaced: isClusterWide !== true };
}

const CONDITIONS: Schema = {
  type: 'array',
  maxItems: 16,
  description: 'How it is with the object.',
  items: {
    type: 'object',
    description: 'One condition.',
    required: ['type', 'status', 'lastTransitionTime', 'reason', 'message'],
    properties: {
      type: {
        type: 'string',
        maxLength: 316,
        description:
          'Ready: Cable has the object as spec says. Of a HostPolicy Accepted, the same, and InForce: its nodes enforce it.',
      },
      status: { type: 'string', enum: ['True', 'False', 'Unknown'], description: 'Whether it holds.' },
      observedGeneration: { type: 'integer', format: 'int64', minimum: 0, description: 'Which spec was looked at.' },
      lastTransitionTime: { type: 'string', format: 'date-time', description: 'Since when the status is so.' },
      reason: { type: 'string', maxLength: 1024, description: 'Why, in one word; of a refusal its type in the API.' },
      message: { type: 'string', maxLength: 32768, description: 'Why, for people.' },
    },
  },
};

/** Every kind's, before its own. */
const STATUS: Readonly<Record<string, Schema>> = {
  id: { type: 'string', maxLength: 64, description: 'ID of the object in Cable’s API.' },
  projectID: { type: 'string', maxLength: 255, description: 'Project of the object in Cable’s API.' },
  observedGeneration: { type: 'integer', format: 'int64', minimum: 0, description: 'Which spec was looked at.' },
  conditions: CONDITIONS,
};

/** Name of the kind's CustomResourceDefinition. */
export function definitionName({ plural }: Pick<Declaration, 'plural'>): string {
  return `${plural}.${GROUP}`;
}

export function definitionOf(declared: Declaration): object {
  const { kind, plural, singular, shortNames, description, spec, status = {}, columns } = declared;
  const { isClusterWide = false, readiness = 'Ready' } = declared;
  const ofReadiness = `.status.conditions[?(@.type=="${readiness}")]`;
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: definitionName(declared) },
    spec: {
      group: GROUP,
      scope: isClusterWide ? 'Cluster' : 'Namespaced',
      names: { plural, singular, kind, listKind: `${kind}List`, shortNames, categories: ['cable'] },
      versions: [
        {
          ...{ name: VERSION, served: true, storage: true, subresources: { status: {} } },
          additionalPrinterColumns: [
            ...columns,
            { name: 'Ready', type: 'string', jsonPath: `${ofReadiness}.status` },
            { name: 'Reason', type: 'string', jsonPath: `${ofReadiness}.reason`, priority: 1 },
            { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
          ],
          schema: {
            openAPIV3Schema: {
              type: 'object',
              description,
              required: ['spec'],
              properties: {
                spec,
                status: { type: 'object', description: 'What Cable has of it.', properties: { ...STATUS, ...status } },
              },
            },
          },
        },
      ],
    },
  };
}

/** A text of spec that names an object: one of the namespace, or name or ID in Cable's API. */
export function reference(what: string): Schema {
  return { type: 'string', minLength: 1, maxLength: 255, description: what };
}

/** Fields of spec that stay as they were given first. What was absent the controller fills in when it takes something over; it refuses what cannot be. */
export function immutable(...fields: readonly string[]): readonly Rule[] {
  return fields.map((field) => ({
    rule: `!has(oldSelf.${field}) || (has(self.${field}) && self.${field} == oldSelf.${field})`,
    message: `${field} cannot be changed once it is given: make another one`,
  }));
}

/** Those of which `immutable` says so. */
export function immutableFields({
  properties = {},
  'x-kubernetes-validations': rules = [],
}: Schema): readonly string[] {
  return Object.keys(properties).filter((field) => rules.some(({ rule }) => rule === immutable(field)[0]?.rule));
}
