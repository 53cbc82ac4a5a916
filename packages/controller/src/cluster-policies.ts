/**
 * Network policies of the whole cluster, as hosts put them in force. Their kinds come with definitions that may not be installed: then the controller goes on without
 * them, and begins when they are there.
 */
import type { ApiError } from '@cable/api';
import type { Logger } from '@cable/kit';
import { type KubeApi, Reflector, WorkQueue } from '@cable/kube';
import { type AnyObject, CLUSTER_POLICY_PREFIXES_MAX, parseLabelSelector, parseLabels, selects } from '@cable/model';
import { type CableAccess, isRefusal } from './cable-access.ts';
import {
  CLUSTER_POLICY_KINDS,
  type ClusterPolicyFacts,
  type ClusterPolicyObject,
  closedBody,
  clusterPolicyBody,
  clusterPolicyFacts,
} from './cluster-policy-facts.ts';
import { addressesOfNodes, type NodeFacts, type NodePlaces } from './nodes.ts';
import { ObjectBook } from './object-book.ts';
import type { ObjectEvents } from './object-events.ts';
import { objectId } from './object-id.ts';
import { isAbsent } from './optional-kind.ts';
import { toldWithLog } from './policy-log.ts';
import { type NamespaceList, roomProblem } from './policy-room.ts';
import { Refusals } from './refusals.ts';
import { remove, uidOf, type Written, write } from './services.ts';

type List = Reflector<ClusterPolicyObject, ClusterPolicyFacts>;

type ListDeps = { readonly api: KubeApi; readonly log: Logger; readonly signal: AbortSignal };

/** Lists of all kinds that stay current, of a controller with or without the Lease. Keys: `<kind>/<name>`. */
export class ClusterPolicyLists {
  readonly done: Promise<unknown>;
  /** Resolves when of each kind either all is known, or that there is none. */
  readonly known: Promise<unknown>;
  readonly #lists: ReadonlyMap<string, List>;
  readonly #synced = new Set<string>();
  #tell: (key: string) => void = () => {};

  constructor(deps: ListDeps) {
    this.#lists = new Map(
      CLUSTER_POLICY_KINDS.map((kind) => [
        kind.kind,
        new Reflector<ClusterPolicyObject, ClusterPolicyFacts>({
          ...deps,
          kind: kind.api,
          keep: (one) => clusterPolicyFacts(kind, one),
          changed: (name) => this.#tell(`${kind.kind}/${name}`),
        }),
      ]),
    );
    const all = [...this.#lists];
    for (const [kind, { synced }] of all) {
      void synced.then(() => {
        this.#synced.add(kind);
        // What is in Cable of it may be there no more.
        this.#tell(`${kind}/`);
      });
    }
    this.done = Promise.all(all.map(([, { done }]) => done));
    this.known = Promise.all(
      CLUSTER_POLICY_KINDS.map(({ kind, api }) =>
        Promise.race([this.#lists.get(kind)?.synced, isAbsent({ ...deps, kind: api })]),
      ),
    );
  }

  /** Undefined: it is not there, or its kind is not known. */
  get(key: string): ClusterPolicyFacts | undefined {
    const [kind = '', name = ''] = key.split('/');
    return this.#lists.get(kind)?.get(name);
  }

  /** False: nothing is known of the kind, and what is in Cable of it stays. */
  isSynced(key: string): boolean {
    return this.#synced.has(key.split('/')[0] ?? '');
  }

  *keys(): Generator<string> {
    for (const [kind, list] of this.#lists) for (const name of list.keys()) yield `${kind}/${name}`;
  }

  /** Who is told of changes from now on; of a key without a name: all of the kind may have changed. */
  follow(tell: (key: string) => void): void {
    this.#tell = tell;
  }
}

export type ClusterPoliciesDeps = NodePlaces & {
  readonly cable: Pick<CableAccess, 'own'>;
  readonly kube: Pick<KubeApi, 'get'>;
  readonly lists: Pick<ClusterPolicyLists, 'get' | 'isSynced' | 'keys' | 'follow'>;
  readonly namespaces: NamespaceList;
  /** Addresses at which API servers are reached behind their Service, whatever is there. */
  readonly apiServers: () => readonly string[];
  readonly cluster: string;
  /** UID of the cluster's `kube-system`. */
  readonly clusterUid: string;
  readonly events: ObjectEvents;
  readonly guarded: (work: (key: string) => Promise<void>) => (key: string) => Promise<void>;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

type Order = Omit<Written, 'wanted'>;

const PAGE = 2000;
const TYPE = 'cluster_network_policy';

/** Everything about them of who has the Lease. */
export class ClusterPolicies {
  readonly #deps: ClusterPoliciesDeps;
  readonly #book = new ObjectBook(({ name }) => String(name));
  readonly #refusals = new Refusals();
  readonly #queue: WorkQueue;
  /** What policies may mean of each node, as text. */
  readonly #seen = new Map<string, string>();
  /** What of each policy is in Cable, or was refused there and is closed. */
  readonly #settled = new Map<string, ClusterPolicyFacts>();

  constructor(deps: ClusterPoliciesDeps) {
    this.#deps = deps;
    const { log, signal, guarded } = deps;
    this.#queue = new WorkQueue({
      ...{ name: 'cluster network policies', atOnce: 4, log, signal },
      work: guarded((key) => this.#reconcile(key)),
    });
  }

  /** Asks Cable for what there is. */
  async load(): Promise<void> {
    const { cable, cluster } = this.#deps;
    this.#book.take((await cable.own.list(TYPE, { cluster, limit: PAGE })) as readonly AnyObject[]);
  }

  /** Begins to write. */
  open(): void {
    this.#deps.lists.follow((key) => this.#changed(key));
    this.#queue.open();
    this.resync();
  }

  /** Looks at all of them. */
  resync(): void {
    for (const key of new Set([...this.#deps.lists.keys(), ...this.#book.keys()])) this.#queue.add(key);
  }

  /** What is known of a node may be otherwise; undefined: it is gone. False: a heartbeat changes nothing that policies mean. */
  nodeChanged(name: string, node: NodeFacts | undefined): boolean {
    const now = node === undefined ? '' : JSON.stringify([node.uid, node.madeAt, node.addresses, node.labels]);
    if (now === (this.#seen.get(name) ?? '')) return false;
    if (node === undefined) this.#seen.delete(name);
    else this.#seen.set(name, now);
    this.nodesChanged();
    return true;
  }

  /** A node came or went, or has other labels or addresses. */
  nodesChanged(): void {
    for (const key of this.#deps.lists.keys()) {
      const { hasNodes = false, hasNames = false } = this.#deps.lists.get(key) ?? {};
      if (hasNodes || hasNames) this.#queue.add(key);
    }
  }

  /** An API server came or went, or has other addresses. */
  apiServersChanged(): void {
    for (const key of this.#deps.lists.keys()) if (this.#deps.lists.get(key)?.hasNames === true) this.#queue.add(key);
  }

  /** Is every one in Cable that is known to select the pod, by its namespace's labels and its own (each key=value)? A pod that is made before would run without it for a moment. */
  areSettled(namespaceLabels: readonly string[], labels: readonly string[]): boolean {
    const [there, own] = [parseLabels(namespaceLabels), parseLabels(labels)];
    for (const key of this.#deps.lists.keys()) {
      const known = this.#deps.lists.get(key);
      if (known === undefined || this.#settled.get(key) === known) continue;
      const [namespaces, pods] = [parseLabelSelector(known.body.namespaces), parseLabelSelector(known.body.pods)];
      if (namespaces === undefined || pods === undefined) return false;
      if (selects(namespaces, there) && selects(pods, own)) return false;
    }
    return true;
  }

  get isEmpty(): boolean {
    return this.#deps.lists.keys().next().done === true;
  }

  #changed(key: string): void {
    if (!key.endsWith('/')) this.#queue.add(key);
    else for (const one of this.#book.keys()) if (one.startsWith(key)) this.#queue.add(one);
  }

  async #reconcile(key: string): Promise<void> {
    const { cable, cluster, clusterUid, lists, kube, events } = this.#deps;
    const policy = lists.get(key);
    const [kindName = '', name = ''] = key.split('/');
    if (policy === undefined && !lists.isSynced(key)) return;
    const id = policy === undefined ? undefined : objectId(clusterUid, kindName, policy.uid);
    const before = this.#book.get(key);
    if (before !== undefined && before.id !== id) {
      const kind = CLUSTER_POLICY_KINDS.find((one) => one.kind === kindName);
      const uid = kind === undefined ? undefined : await uidOf(kube, kind.api, name);
      // What is followed may be behind.
      if (uid !== undefined && objectId(clusterUid, kindName, uid) === before.id) {
        this.#queue.addAfter(key, 1000);
        return;
      }
      await remove(cable.own, TYPE, before.id);
      this.#book.forget(key);
    }
    if (policy === undefined || id === undefined) {
      this.#settled.delete(key);
      this.#refusals.clear(key);
      events.well(kindName, `/${name}`);
      return;
    }
    await this.#write(key, policy, { type: TYPE, id, fixed: { cluster }, key });
    this.#settled.set(key, policy);
  }

  async #write(key: string, policy: ClusterPolicyFacts, order: Order): Promise<void> {
    const { cable } = this.#deps;
    const body = clusterPolicyBody(
      policy,
      (selector) => addressesOfNodes(this.#deps, selector),
      this.#deps.apiServers(),
    );
    try {
      await write(cable.own, this.#book, { ...order, wanted: toldWithLog(body, this.#book.get(key)) });
      this.#refusals.clear(key);
      await this.#tellOf(policy, roomProblem(body.rules, this.#deps.namespaces, CLUSTER_POLICY_PREFIXES_MAX));
    } catch (err) {
      if (!isRefusal(err)) throw err;
      const { againMs } = this.#refusals.note(key);
      await this.#close(order, toldWithLog(closedBody(body), this.#book.get(key)), policy);
      await this.#warn(policy, 'EverythingDenied', `What it does not allow is denied: ${textOf(err)}`);
      this.#queue.addAfter(key, againMs);
    }
  }

  /** What of it that is in force is not as it was asked for; one event tells all. */
  async #tellOf(policy: ClusterPolicyFacts, room: string | undefined): Promise<void> {
    const { kind, name, logProblem } = policy;
    const problems = [...policy.problems, ...(room === undefined ? [] : [room])];
    const unlogged = logProblem === undefined ? [] : [`Nothing of it is written down: ${logProblem}`];
    const [closed, ...more] = [
      ...(problems.length === 0 ? [] : [`Not all of it is in force: ${problems.join('; ')}`]),
      ...unlogged,
    ];
    if (closed === undefined) this.#deps.events.well(kind.kind, `/${name}`);
    else await this.#warn(policy, reasonOf(policy, room), [closed, ...more].join('. '));
  }

  /** Where its pods cannot be said either, it is of all. Throws when that is refused, too, as where a quota is used up. */
  async #close(order: Order, body: object, policy: ClusterPolicyFacts): Promise<void> {
    const { cable } = this.#deps;
    try {
      await write(cable.own, this.#book, { ...order, wanted: body });
    } catch (err) {
      if (!isRefusal(err)) throw err;
      try {
        await write(cable.own, this.#book, { ...order, wanted: { ...body, namespaces: '', pods: '' } });
      } catch (last) {
        if (isRefusal(last))
          await this.#warn(policy, 'NotInForce', `New pods that it selects wait until it can be: ${textOf(last)}`);
        throw last;
      }
    }
  }

  async #warn({ kind, name, uid }: ClusterPolicyFacts, reason: string, text: string): Promise<void> {
    const subject = { apiVersion: kind.apiVersion, kind: kind.kind, namespace: '', name, uid };
    await this.#deps.events.warn(subject, reason, text);
  }
}

function reasonOf({ problems }: ClusterPolicyFacts, room: string | undefined): string {
  if (problems.length > 0) return 'NotUnderstood';
  return room === undefined ? 'NotLogged' : 'TooManyPeers';
}

function textOf({ message, detail }: ApiError): string {
  return detail === '' ? message : `${message} ${detail}`;
}
