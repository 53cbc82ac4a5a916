/** Custom resources in tests. */
import { readFileSync } from 'node:fs';
import type { KubeObject } from '@cable/kube';
import { parse } from 'yaml';
import type { Cluster } from './world.ts';
import { until } from './world.ts';

export type Custom = KubeObject & {
  readonly kind?: string;
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly status?: Readonly<Record<string, unknown>> & {
    readonly id?: string;
    readonly conditions?: readonly Readonly<Record<string, unknown>>[];
  };
};

export type Customs = {
  create(
    kind: string,
    name: string,
    spec: object,
    namespace?: string,
    annotations?: Readonly<Record<string, string>>,
  ): Promise<Custom>;
  change(kind: string, name: string, spec: object, namespace?: string): Promise<void>;
  annotate(
    kind: string,
    name: string,
    annotations: Readonly<Record<string, string | null>>,
    namespace?: string,
  ): Promise<void>;
  remove(kind: string, name: string, namespace?: string): Promise<void>;
  /** Undefined: it is not there. */
  get(kind: string, name: string, namespace?: string): Promise<Custom | undefined>;
  /** Waits until Cable has it as spec says. */
  ready(kind: string, name: string, namespace?: string): Promise<Custom>;
  /** Waits until the condition Ready is false for that reason. Answers the message. */
  refused(kind: string, name: string, reason: string, namespace?: string): Promise<string>;
  gone(kind: string, name: string, namespace?: string): Promise<void>;
};

const pluralOf = (kind: string): string => (kind === 'QosPolicy' ? 'qospolicies' : `${kind.toLowerCase()}s`);
const kindOf = (kind: string) => ({ group: 'cable.io', version: 'v1', plural: pluralOf(kind), isNamespaced: true });

export function customsOf({ kube }: Pick<Cluster, 'kube'>): Customs {
  const get: Customs['get'] = async (kind, name, namespace = 'shop') => {
    const { items } = await kube.list<Custom>(kindOf(kind), { namespace });
    return items.find(({ metadata }) => metadata.name === name);
  };
  return {
    get,
    create: (kind, name, spec, namespace = 'shop', annotations) =>
      kube.create(kindOf(kind), {
        ...{ apiVersion: 'cable.io/v1', kind, spec },
        metadata: { name, namespace, ...(annotations === undefined ? {} : { annotations }) },
      } as Custom),
    change: async (kind, name, spec, namespace = 'shop') => {
      await kube.patch(kindOf(kind), { namespace, name }, { spec });
    },
    annotate: async (kind, name, annotations, namespace = 'shop') => {
      await kube.patch(kindOf(kind), { namespace, name }, { metadata: { annotations } });
    },
    remove: (kind, name, namespace = 'shop') => kube.delete(kindOf(kind), { namespace, name }),
    ready: async (kind, name, namespace) => {
      const found = await until(
        () => get(kind, name, namespace),
        (one) =>
          readyOf(one)?.['status'] === 'True' && readyOf(one)?.['observedGeneration'] === one?.metadata.generation,
      );
      return found as Custom;
    },
    refused: async (kind, name, reason, namespace) => {
      const found = await until(
        () => get(kind, name, namespace),
        (one) => readyOf(one)?.['status'] === 'False' && readyOf(one)?.['reason'] === reason,
      );
      return String(readyOf(found)?.['message']);
    },
    gone: async (kind, name, namespace) => {
      await until(
        () => get(kind, name, namespace),
        (one) => one === undefined,
      );
    },
  };
}

export function readyOf(one: Custom | undefined): Readonly<Record<string, unknown>> | undefined {
  return one?.status?.conditions?.find(({ type }) => type === 'Ready');
}

/** What the guide shows of each kind. */
export function guideExamples(): readonly Custom[] {
  const text = readFileSync(new URL('../../docs/guide/kubernetes.md', import.meta.url), 'utf8');
  const all = [...text.matchAll(/^```yaml\n([\s\S]*?)^```/gm)].map(
    ([, block = '']) => parse(block) as Custom & { apiVersion?: string },
  );
  // What of it is for others, such as kubelet's configuration, has no kind.
  return all.filter(({ apiVersion }) => apiVersion?.startsWith('cable.io/'));
}
