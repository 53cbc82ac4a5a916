/** Against the loss of everything at once: a CustomResourceDefinition that is removed takes all objects of its kind along, whoever has made them. */
import { getIfThere, type KubeApi, type KubeKind, type KubeObject } from '@cable/kube';
import { type Declaration, definitionName } from './definition.ts';

const DEFINITIONS: KubeKind = {
  ...{ group: 'apiextensions.k8s.io', version: 'v1', plural: 'customresourcedefinitions', isNamespaced: false },
};

/** On the CustomResourceDefinition: that many objects of the kind may go at once. Any number: `all`. */
const CONFIRMED = 'cable.io/confirm-deletion';

/** So many go without a word, whatever share of the kind they are. */
const FEW = 10;

/** What goes within so long goes at once. */
const AT_ONCE_MS = 10 * 60_000;

type Asking = { readonly namespace: string; readonly left: number };

export class DeletionGuard {
  readonly #kube: Pick<KubeApi, 'get'>;
  readonly #declared: Declaration;
  readonly #nowMs: () => number;
  /** When each key was let go of, and in which namespace. */
  readonly #gone = new Map<string, { readonly atMs: number; readonly namespace: string }>();

  constructor(kube: Pick<KubeApi, 'get'>, declared: Declaration, nowMs: () => number) {
    this.#kube = kube;
    this.#declared = declared;
    this.#nowMs = nowMs;
  }

  /**
   * What is said in place of a deletion; undefined: it may go. `left`: objects of the kind that Cable has and nobody deletes. What goes in other namespaces does not count: who makes and
   * deletes many, in however many namespaces of his, keeps nobody else from it.
   */
  async objection(key: string, { namespace, left }: Asking): Promise<string | undefined> {
    const name = definitionName(this.#declared);
    const definition = await getIfThere<KubeObject>(this.#kube, DEFINITIONS, { name });
    // From here on without a pause: others of the kind are asked about meanwhile.
    const now = this.#nowMs();
    for (const [one, { atMs }] of this.#gone) if (now - atMs > AT_ONCE_MS) this.#gone.delete(one);
    const count = this.#countFor(key, namespace);
    const isGoing = definition === undefined || definition.metadata.deletionTimestamp !== undefined;
    const confirmed = definition?.metadata.annotations?.[CONFIRMED] ?? '';
    const isFew = !isGoing && (count <= FEW || count <= left);
    if (isFew || confirmed === 'all' || count <= Number(confirmed)) {
      this.#gone.set(key, { atMs: now, namespace });
      return undefined;
    }
    if (definition === undefined)
      return `the CustomResourceDefinition ${name} is gone: apply it again, with the annotation ${CONFIRMED}=all if Cable is to delete what it has of every ${this.#declared.kind}`;
    const why = isGoing
      ? `the CustomResourceDefinition ${name} is being deleted, and every ${this.#declared.kind} with it`
      : `more than half of all objects of kind ${this.#declared.kind} would go within ten minutes, all of namespace ${namespace}`;
    return `${why}: to let Cable delete what it has of them, kubectl annotate crd ${name} ${CONFIRMED}=all`;
  }

  /** Of the namespace, that one among them. */
  #countFor(key: string, namespace: string): number {
    const own = [...this.#gone.values()].filter((one) => one.namespace === namespace).length;
    return own + (this.#gone.has(key) ? 0 : 1);
  }
}
