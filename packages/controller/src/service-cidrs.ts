/** Prefixes of Services' addresses: those that the operator says, and those of `ServiceCIDR` objects (Kubernetes 1.33 and later), by which they may become more while the cluster runs. */
import type { Logger } from '@cable/kit';
import type { KubeApi, KubeKind, KubeObject } from '@cable/kube';
import { cidrsOverlap, formatCidr, parseCidr } from '@cable/model';
import { OptionalKind } from './optional-kind.ts';

export const SERVICE_CIDRS: KubeKind = {
  ...{ group: 'networking.k8s.io', version: 'v1' },
  ...{ plural: 'servicecidrs', isNamespaced: false },
};

type ServiceCidr = KubeObject & { readonly spec?: { readonly cidrs?: readonly string[] } };

export type ServiceCidrsOptions = {
  /** What the operator says. */
  readonly serviceCidrs: readonly string[];
  /** Where pods and nodes have addresses: no Service has one of these. */
  readonly podCidrs: readonly string[];
  readonly joinCidrs: readonly string[];
};

/** As many as a scope of Services has at the most. */
export const MOST_SERVICE_CIDRS = 16;

export class ServiceCidrs {
  readonly #options: ServiceCidrsOptions;
  readonly #log: Logger;
  readonly #objects: OptionalKind<ServiceCidr, readonly string[]>;
  #tell: () => void = () => {};

  constructor(
    common: { readonly api: KubeApi; readonly log: Logger; readonly signal: AbortSignal },
    options: ServiceCidrsOptions,
  ) {
    this.#options = options;
    this.#log = common.log;
    this.#objects = new OptionalKind({
      ...{ ...common, kind: SERVICE_CIDRS, keep: ({ spec }: ServiceCidr) => spec?.cidrs ?? [] },
      changed: () => this.#tell(),
    });
  }

  /** Resolves when either all objects are known, or that there are none. */
  get known(): Promise<unknown> {
    return this.#objects.known;
  }

  get done(): Promise<unknown> {
    return this.#objects.list.done;
  }

  /** The operator's first. What overlaps pods' or nodes' prefixes is left out, and the log says so. */
  get all(): readonly string[] {
    const { serviceCidrs, podCidrs, joinCidrs } = this.#options;
    const others = [...podCidrs, ...joinCidrs].flatMap((one) => parseCidr(one) ?? []);
    const all = new Set(serviceCidrs.map((one) => canonical(one) ?? one));
    for (const key of [...this.#objects.list.keys()].sort()) {
      for (const text of this.#objects.list.get(key) ?? []) {
        const prefix = parseCidr(text);
        if (prefix === undefined || all.has(formatCidr(prefix))) continue;
        const isOthers = others.some((other) => cidrsOverlap(prefix, other));
        if (!isOthers && all.size < MOST_SERVICE_CIDRS) all.add(formatCidr(prefix));
        else
          this.#log.warn(
            { serviceCidr: key, cidr: text },
            `Services of it are not served: ${isOthers ? 'it overlaps the prefixes of pods or of nodes' : `there are ${MOST_SERVICE_CIDRS} others`}`,
          );
      }
    }
    return [...all];
  }

  /** `tell` is called when there are others than `taken`, or fewer, from now on and until the next. */
  follow(taken: readonly string[], tell: () => void): void {
    this.#tell = () => {
      const { all } = this;
      if (all.length !== taken.length || all.some((one) => !taken.includes(one))) tell();
    };
    this.#tell();
  }
}

function canonical(text: string): string | undefined {
  const prefix = parseCidr(text);
  return prefix === undefined ? undefined : formatCidr(prefix);
}
