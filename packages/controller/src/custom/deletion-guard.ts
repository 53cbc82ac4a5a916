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

export class DeletionGuard {
  readonly #kube: Pick<KubeApi, 'get'>;
  readonly #declared: Declaration;
  readonly #nowMs: () => number;
  /** When each key was let go of. */
  readonly #gone = new Map<string, number>();

  constructor(kube: Pick<KubeApi, 'get'>, declared: Declaration, nowMs: () => number) {
    this.#kube = kube;
    this.#declared = declared;
    this.#nowMs = nowMs;
  }

  /** What is said in place of a deletion; undefined: it may go. `left`: objects of the kind that nobody deletes. */
  async objection(key: string, left: number): Promise<string | undefined> {
    const name = definitionName(this.#declared);
    const definition = await getIfThere<KubeObject>(this.#kube, DEFINITIONS, { name });
    // From here on without a pause: others of the kind are asked about meanwhile.
    const now = this.#nowMs();
    for (const [one, atMs] of this.#gone) if (now - atMs > AT_ONCE_MS) this.#gone.delete(one);
    const count = new Set([...this.#gone.keys(), key]).size;
    const isGoing = definition?.metadata.deletionTimestamp !== undefined;
    if (!isGoing && (count <= FEW || count <= left)) {
      this.#gone.set(key, now);
      return undefined;
    }
    const confirmed = definition?.metadata.annotations?.[CONFIRMED] ?? '';
    if (confirmed === 'all' || count <= Number(confirmed)) {
      this.#gone.set(key, now);
      return undefined;
    }
    const why = isGoing
      ? `the CustomResourceDefinition ${name} is being deleted, and every ${this.#declared.kind} with it`
      : `more than half of all objects of kind ${this.#declared.kind} would go within ten minutes`;
    return `${why}: to let Cable delete what it has of them, kubectl annotate crd ${name} ${CONFIRMED}=all`;
  }
}
