/** Prefixes of Services' addresses: those that the operator says, and those of `ServiceCIDR` objects (Kubernetes 1.33 and later), by which they may become more while the cluster runs. */
import type { Logger } from '@cable/kit';
import type { KubeApi, KubeKind, KubeObject } from '@cable/kube';
import { cidrsOverlap, formatCidr, parseCidr } from '@cable/model';
import { ObjectEvents } from './object-events.ts';
import { OptionalKind } from './optional-kind.ts';

export const SERVICE_CIDRS: KubeKind = {
  ...{ group: 'networking.k8s.io', version: 'v1' },
  ...{ plural: 'servicecidrs', isNamespaced: false },
};

type ServiceCidr = KubeObject & { readonly spec?: { readonly cidrs?: readonly string[] } };

type Facts = { readonly uid: string; readonly cidrs: readonly string[] };

/** A prefix of the object of that key that is left out. */
type Refused = { readonly key: string; readonly uid: string; readonly text: string; readonly why: string };

type Sorted = { readonly all: readonly string[]; readonly refused: readonly Refused[] };

const KIND = 'ServiceCIDR';

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
  readonly #events: ObjectEvents;
  readonly #objects: OptionalKind<ServiceCidr, Facts>;
  #tell: () => void = () => {};

  constructor(
    common: { readonly api: KubeApi; readonly log: Logger; readonly signal: AbortSignal },
    options: ServiceCidrsOptions,
  ) {
    this.#options = options;
    this.#events = new ObjectEvents(common.api, common.log);
    this.#objects = new OptionalKind({
      ...{
        ...common,
        kind: SERVICE_CIDRS,
        keep: ({ spec, metadata }: ServiceCidr) => ({ uid: metadata.uid ?? '', cidrs: spec?.cidrs ?? [] }),
      },
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

  /** The operator's first. What overlaps pods' or nodes' prefixes is left out. */
  get all(): readonly string[] {
    return this.#sorted().all;
  }

  #sorted(): Sorted {
    const { serviceCidrs, podCidrs, joinCidrs } = this.#options;
    const others = [...podCidrs, ...joinCidrs].flatMap((one) => parseCidr(one) ?? []);
    const all = new Set(serviceCidrs.map((one) => canonical(one) ?? one));
    const refused: Refused[] = [];
    for (const key of [...this.#objects.list.keys()].sort()) {
      const { uid, cidrs } = this.#objects.list.get(key) ?? { uid: '', cidrs: [] };
      for (const text of cidrs) {
        const prefix = parseCidr(text);
        if (prefix === undefined || all.has(formatCidr(prefix))) continue;
        const other = others.find((one) => cidrsOverlap(prefix, one));
        if (other !== undefined)
          refused.push({ key, uid, text, why: `it overlaps ${formatCidr(other)}, where pods or nodes have addresses` });
        else if (all.size >= MOST_SERVICE_CIDRS)
          refused.push({ key, uid, text, why: `there are ${MOST_SERVICE_CIDRS} prefixes before it` });
        else all.add(formatCidr(prefix));
      }
    }
    return { all: [...all], refused };
  }

  /** Says at each object what of it is left out, once. */
  async tell(): Promise<void> {
    const { refused } = this.#sorted();
    for (const key of this.#objects.list.keys()) {
      const own = refused.filter((one) => one.key === key);
      const [first] = own;
      if (first === undefined) {
        this.#events.well(KIND, `/${key}`);
        continue;
      }
      const subject = { apiVersion: 'networking.k8s.io/v1', kind: KIND, namespace: '', name: key, uid: first.uid };
      const texts = own.map(({ text, why }) => `${text}: ${why}`);
      await this.#events.warn(subject, 'NotServed', `Services of it are not served: ${texts.join('; ')}`);
    }
  }

  /** `isOther` is called when there are others than `taken`, or fewer, `changed` at each change, from now on and until the next. */
  follow(taken: readonly string[], isOther: () => void, changed: () => void): void {
    this.#tell = () => {
      changed();
      const { all } = this;
      if (all.length !== taken.length || all.some((one) => !taken.includes(one))) isOther();
    };
    this.#tell();
  }
}

function canonical(text: string): string | undefined {
  const prefix = parseCidr(text);
  return prefix === undefined ? undefined : formatCidr(prefix);
}
