/**
 * NetworkPolicies, and the labels of the namespaces by which they select, as hosts put them in force. Each object has an ID made of its origin, so that what was written
 * without an answer is found again.
 */
import { isDeepStrictEqual } from 'node:util';
import type { ApiError } from '@cable/api';
import type { Logger } from '@cable/kit';
import { type KubeApi, placeOf, WorkQueue } from '@cable/kube';
import { type AnyObject, POLICY_PREFIXES_MAX } from '@cable/model';
import { type CableAccess, isGone, isRefusal } from './cable-access.ts';
import { KeyIndex } from './key-index.ts';
import type { NamespaceFacts } from './namespaces.ts';
import { ObjectBook } from './object-book.ts';
import type { ObjectEvents } from './object-events.ts';
import { objectId } from './object-id.ts';
import { NAMESPACES } from './pod-facts.ts';
import { NETWORK_POLICIES, type PolicyFacts } from './policy-facts.ts';
import { toldWithLog } from './policy-log.ts';
import { roomProblem } from './policy-room.ts';
import { Refusals } from './refusals.ts';
import { remove, uidOf, type Written, write } from './services.ts';

/** A list that stays current. */
type Followed<T> = { get(key: string): T | undefined; keys(): Iterable<string> };

export type NetworkPoliciesDeps = {
  readonly cable: Pick<CableAccess, 'own'>;
  readonly kube: Pick<KubeApi, 'get'>;
  readonly policies: Followed<PolicyFacts>;
  readonly namespaces: Followed<NamespaceFacts>;
  readonly cluster: string;
  /** UID of the cluster's `kube-system`. */
  readonly clusterUid: string;
  readonly events: ObjectEvents;
  readonly guarded: (work: (key: string) => Promise<void>) => (key: string) => Promise<void>;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

const PAGE = 2000;
const POLICY = 'network_policy';
const NAMESPACE = 'kubernetes_namespace';

/** Everything about them of who has the Lease. */
export class NetworkPolicies {
  readonly #deps: NetworkPoliciesDeps;
  readonly #policies = new ObjectBook(({ name }) => String(name));
  readonly #namespaces: ObjectBook;
  readonly #refusals = new Refusals();
  readonly #policyQueue: WorkQueue;
  readonly #namespaceQueue: WorkQueue;
  /** What of each policy is in Cable, or was refused there and is closed. */
  readonly #settled = new Map<string, PolicyFacts>();
  /** Those that are not, by namespace. */
  readonly #unsettled = new KeyIndex();

  constructor(deps: NetworkPoliciesDeps) {
    this.#deps = deps;
    this.#namespaces = new ObjectBook(({ name }) => String(name).slice(deps.cluster.length + 1));
    const { log, signal, guarded } = deps;
    this.#policyQueue = new WorkQueue({
      ...{ name: 'network policies', atOnce: 8, log, signal },
      work: guarded((key) => this.#reconcilePolicy(key)),
    });
    this.#namespaceQueue = new WorkQueue({
      ...{ name: 'namespaces', atOnce: 8, log, signal },
      work: guarded((key) => this.#reconcileNamespace(key)),
    });
  }

  /** Asks Cable for what there is. */
  async load(): Promise<void> {
    const { cable, cluster } = this.#deps;
    const [policies, namespaces] = await Promise.all([
      cable.own.list(POLICY, { limit: PAGE }),
      cable.own.list(NAMESPACE, { cluster, limit: PAGE }),
    ]);
    const mine = (policies as readonly AnyObject[]).filter((one) => String(one['namespace']).startsWith(`${cluster}/`));
    this.#policies.take(mine);
    this.#namespaces.take(namespaces as readonly AnyObject[]);
  }

  /** Begins to write. */
  open(): void {
    this.#policyQueue.open();
    this.#namespaceQueue.open();
    this.resync();
  }

  /** Looks at all of them. */
  resync(): void {
    const { policies, namespaces } = this.#deps;
    for (const key of new Set([...policies.keys(), ...this.#policies.keys()])) this.policyChanged(key);
    for (const key of new Set([...namespaces.keys(), ...this.#namespaces.keys()])) this.#namespaceQueue.add(key);
  }

  policyChanged(key: string): void {
    this.#noteSettled(key);
    this.#policyQueue.add(key);
  }

  namespaceChanged(key: string): void {
    this.#namespaceQueue.add(key);
  }

  /** Is every policy of the namespace that is known in Cable? A pod that is made before would run without it for a moment. */
  areSettled(namespace: string): boolean {
    return this.#unsettled.of(namespace).length === 0;
  }

  /** Are its labels in Cable? By these policies of the cluster select. */
  isNamespaceSettled(namespace: string): boolean {
    const [known, written] = [this.#deps.namespaces.get(namespace), this.#namespaces.get(namespace)];
    return known !== undefined && isDeepStrictEqual(known.labels, written?.['labels']);
  }

  /** Notes whether what is in Cable of the policy is what is known of it. */
  #noteSettled(key: string): void {
    const known = this.#deps.policies.get(key);
    const isSettled = known === undefined || this.#settled.get(key) === known;
    this.#unsettled.put(key, isSettled ? undefined : placeOf(key).namespace);
  }

  async #reconcilePolicy(key: string): Promise<void> {
    const { cable, clusterUid, cluster, events, kube, policies } = this.#deps;
    const policy = policies.get(key);
    const id = policy === undefined ? undefined : objectId(clusterUid, 'NetworkPolicy', policy.uid);
    const before = this.#policies.get(key);
    if (before !== undefined && before.id !== id) {
      const uid = await uidOf(kube, NETWORK_POLICIES, key);
      // What is followed may be behind.
      if (uid !== undefined && objectId(clusterUid, 'NetworkPolicy', uid) === before.id) {
        this.#policyQueue.addAfter(key, 1000);
        return;
      }
      await remove(cable.own, POLICY, before.id);
      this.#policies.forget(key);
    }
    if (policy === undefined || id === undefined) {
      this.#settled.delete(key);
      this.#noteSettled(key);
      this.#refusals.clear(key);
      events.well('NetworkPolicy', key);
      return;
    }
    const fixed = { namespace: `${cluster}/${policy.namespace}` };
    const order = { type: POLICY, id, fixed, key } as const;
    try {
      await write(cable.own, this.#policies, { ...order, wanted: toldWithLog(policy.body, this.#policies.get(key)) });
      this.#refusals.clear(key);
      await this.#tellOf(key, policy);
    } catch (err) {
      if (!isRefusal(err)) throw err;
      // Who is isolated stays so: what cannot be said of a policy allows nothing.
      const { againMs } = this.#refusals.note(key);
      await this.#close(order, policy, toldWithLog(policy.body, this.#policies.get(key)));
      await this.#tell(policy, 'NothingAllowed', `The policy isolates its pods and allows nothing: ${textOf(err)}`);
      this.#policyQueue.addAfter(key, againMs);
    }
    this.#settled.set(key, policy);
    this.#noteSettled(key);
  }

  /** What of it that is in force is not as it was asked for; one event tells all. */
  async #tellOf(key: string, policy: PolicyFacts): Promise<void> {
    const { logProblem } = policy;
    const room = roomProblem(policy.body.rules, this.#deps.namespaces, POLICY_PREFIXES_MAX);
    const unlogged = logProblem === undefined ? [] : [`Nothing of it is written down: ${logProblem}`];
    if (room !== undefined)
      await this.#tell(policy, 'TooManyPeers', [`Not all of it is in force: ${room}`, ...unlogged].join('. '));
    else if (unlogged[0] !== undefined) await this.#tell(policy, 'NotLogged', unlogged[0]);
    else this.#deps.events.well('NetworkPolicy', key);
  }

  /** Where its pods cannot be said either, all of the namespace are. Throws when that is refused, too, as where a quota is used up. */
  async #close(
    order: Pick<Written, 'type' | 'id' | 'fixed' | 'key'>,
    policy: PolicyFacts,
    body: object,
  ): Promise<void> {
    const { cable } = this.#deps;
    try {
      await write(cable.own, this.#policies, { ...order, wanted: { ...body, rules: [] } });
    } catch (err) {
      if (!isRefusal(err)) throw err;
      try {
        await write(cable.own, this.#policies, { ...order, wanted: { ...body, pods: '', rules: [] } });
      } catch (last) {
        if (isRefusal(last))
          await this.#tell(policy, 'NotInForce', `New pods of the namespace wait until it can be: ${textOf(last)}`);
        throw last;
      }
    }
  }

  async #tell({ namespace, name, uid }: PolicyFacts, reason: string, text: string): Promise<void> {
    const subject = {
      ...{ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy' },
      ...{ namespace, name, uid },
    };
    await this.#deps.events.warn(subject, reason, text);
  }

  async #reconcileNamespace(key: string): Promise<void> {
    const { cable, cluster, clusterUid, kube, namespaces } = this.#deps;
    const namespace = namespaces.get(key);
    const id = namespace === undefined ? undefined : objectId(clusterUid, 'Namespace', namespace.uid);
    const before = this.#namespaces.get(key);
    if (before !== undefined && before.id !== id) {
      const uid = await uidOf(kube, NAMESPACES, key);
      if (uid !== undefined && objectId(clusterUid, 'Namespace', uid) === before.id) {
        this.#namespaceQueue.addAfter(key, 1000);
        return;
      }
      await remove(cable.own, NAMESPACE, before.id);
      this.#namespaces.forget(key);
    }
    if (namespace === undefined || id === undefined) return;
    const fixed = { name: `${cluster}/${key}`, cluster };
    try {
      await write(cable.own, this.#namespaces, {
        ...{ type: NAMESPACE, id, fixed, key },
        wanted: { labels: namespace.labels },
      });
    } catch (err) {
      if (isGone(err) || !isRefusal(err)) throw err;
      await this.#closeNamespace(key, namespace.uid, err);
    }
  }

  /** A namespace that nobody knows is let in by no rule, and closed where the cluster has policies: else one with too many labels would stay what it was before. */
  async #closeNamespace(key: string, uid: string, err: ApiError): Promise<void> {
    const before = this.#namespaces.get(key);
    if (before !== undefined) {
      await remove(this.#deps.cable.own, NAMESPACE, before.id);
      this.#namespaces.forget(key);
    }
    const subject = { apiVersion: 'v1', kind: 'Namespace', namespace: '', name: key, uid };
    const message = `No rule that selects it by labels lets it in, and its pods are closed where the cluster has policies: ${textOf(err)}`;
    await this.#deps.events.warn(subject, 'LabelsNotTaken', message);
    this.#namespaceQueue.addAfter(key, REFUSED_AGAIN_MS);
  }
}

/** A label that changes is looked at at once. */
const REFUSED_AGAIN_MS = 60_000;

function textOf({ message, detail }: ApiError): string {
  return detail === '' ? message : `${message} ${detail}`;
}
