/**
 * HostPolicies, as hosts put them in force, and how far they are, as their status. Their definition may not be installed: then the controller goes on without them, and
 * begins when it is there.
 */
import { isDeepStrictEqual } from 'node:util';
import type { ApiError } from '@cable/api';
import { type Logger, startLoop } from '@cable/kit';
import { type KubeApi, KubeError, type KubeKind, WorkQueue } from '@cable/kube';
import { type AnyObject, parseLabelSelector, parseLabels, selects } from '@cable/model';
import { type CableAccess, isRefusal } from './cable-access.ts';
import { kubeKindOf } from './custom/definition.ts';
import { hostPolicyDeclaration } from './custom/host-policy.ts';
import type { Condition } from './custom/work.ts';
import {
  type HostPolicyFacts,
  type HostPolicyObject,
  type HostPolicyStatus,
  hostPolicyBody,
} from './host-policy-facts.ts';
import { addressesOfNodes, type NodePlaces } from './nodes.ts';
import { ObjectBook } from './object-book.ts';
import { objectId } from './object-id.ts';
import type { OptionalKind } from './optional-kind.ts';
import { Refusals } from './refusals.ts';
import { remove, uidOf, write } from './services.ts';

export const HOST_POLICIES: KubeKind = kubeKindOf(hostPolicyDeclaration);

const { kind: KIND } = hostPolicyDeclaration;
const TYPE = 'host_policy';
const PAGE = 2000;
/** How soon status follows. */
const EVERY_MS = 3000;
/** Policies of which one request asks. */
const AT_ONCE = 100;
const MOST_MESSAGE = 32_768;

export type HostPoliciesDeps = NodePlaces & {
  readonly cable: Pick<CableAccess, 'own'>;
  readonly kube: Pick<KubeApi, 'get' | 'patch'>;
  readonly policies: Pick<OptionalKind<HostPolicyObject, HostPolicyFacts>, 'list' | 'isThere'>;
  readonly cluster: string;
  /** UID of the cluster's `kube-system`. */
  readonly clusterUid: string;
  readonly guarded: (work: (key: string) => Promise<void>) => (key: string) => Promise<void>;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

/** Why Cable does not have it as spec says: one word, and for people. */
type Objection = { readonly reason: string; readonly message: string };

/** Of which policy it is, as it was looked at. */
type Looked = { readonly uid: string; readonly generation: number; readonly objection: Objection | undefined };

/** Everything about them of who has the Lease. */
export class HostPolicies {
  readonly #deps: HostPoliciesDeps;
  readonly #book = new ObjectBook(({ name }) => String(name));
  readonly #refusals = new Refusals();
  readonly #queue: WorkQueue;
  readonly #looked = new Map<string, Looked>();

  constructor(deps: HostPoliciesDeps) {
    this.#deps = deps;
    const { log, signal, guarded } = deps;
    this.#queue = new WorkQueue({
      ...{ name: 'policies for hosts', atOnce: 4, log, signal },
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
    const { log, signal } = this.#deps;
    this.#queue.open();
    this.resync();
    startLoop({ name: 'status of policies for hosts', log, signal, everyMs: EVERY_MS, run: () => this.#tellAll() });
  }

  /** Looks at all of them. */
  resync(): void {
    for (const key of new Set([...this.#deps.policies.list.keys(), ...this.#book.keys()])) this.#queue.add(key);
  }

  policyChanged(key: string): void {
    this.#queue.add(key);
  }

  /** A node came or went, or has other labels or addresses. */
  nodesChanged(): void {
    for (const key of this.#deps.policies.list.keys()) this.#queue.add(key);
  }

  async #reconcile(key: string): Promise<void> {
    const { cable, cluster, clusterUid, policies, kube } = this.#deps;
    const policy = policies.list.get(key);
    if (policy === undefined && !policies.isThere) return;
    const id = policy === undefined ? undefined : objectId(clusterUid, KIND, policy.uid);
    const before = this.#book.get(key);
    if (before !== undefined && before.id !== id) {
      const uid = await uidOf(kube, HOST_POLICIES, key);
      // What is followed may be behind.
      if (uid !== undefined && objectId(clusterUid, KIND, uid) === before.id) {
        this.#queue.addAfter(key, 1000);
        return;
      }
      await remove(cable.own, TYPE, before.id);
      this.#book.forget(key);
    }
    if (policy === undefined || id === undefined) {
      this.#looked.delete(key);
      this.#refusals.clear(key);
      return;
    }
    const objection = await this.#write(key, policy, { type: TYPE, id, fixed: { cluster }, key });
    this.#looked.set(key, { uid: policy.uid, generation: policy.generation, objection });
  }

  /** What is refused leaves what is there: a host that is cut off by mistake helps nobody. */
  async #write(
    key: string,
    policy: HostPolicyFacts,
    order: Omit<Parameters<typeof write>[2], 'wanted'>,
  ): Promise<Objection | undefined> {
    const { cable, nodes } = this.#deps;
    const asked = policy.nodes === undefined ? undefined : parseLabelSelector(policy.nodes);
    const mine = [...nodes.values()].filter(({ labels }) => asked !== undefined && selects(asked, parseLabels(labels)));
    const hosts = mine.map(({ name }) => name).sort();
    const wanted = hostPolicyBody(policy, hosts, (selector) => addressesOfNodes(this.#deps, selector));
    try {
      await write(cable.own, this.#book, { ...order, wanted });
      this.#refusals.clear(key);
    } catch (err) {
      if (!isRefusal(err)) throw err;
      this.#queue.addAfter(key, this.#refusals.note(key).againMs);
      return refusalOf(err);
    }
    const [first, ...more] = policy.problems;
    return first === undefined ? undefined : { reason: 'NotUnderstood', message: [first, ...more].join('; ') };
  }

  async #tellAll(): Promise<void> {
    const { cable } = this.#deps;
    const keys = [...this.#looked.keys()];
    const fields = ['id', 'selected_hosts', 'hosts_in_force', 'not_in_force'];
    for (let at = 0; at < keys.length; at += AT_ONCE) {
      const some = keys.slice(at, at + AT_ONCE);
      const ids = some.flatMap((key) => this.#book.get(key)?.id ?? []);
      const found = ids.length === 0 ? [] : ((await cable.own.list(TYPE, { id: ids, fields })) as readonly AnyObject[]);
      const byId = new Map(found.map((one) => [one.id, one]));
      for (const key of some) await this.#tell(key, byId.get(this.#book.get(key)?.id ?? ''));
    }
  }

  /** `row`: what Cable has of it; undefined: nothing. */
  async #tell(key: string, row: AnyObject | undefined): Promise<void> {
    const { kube, policies } = this.#deps;
    const [policy, looked] = [policies.list.get(key), this.#looked.get(key)];
    if (policy === undefined || looked === undefined || policy.uid !== looked.uid) return;
    const status = statusOf(policy.status, looked, row);
    const known = policy.status as Readonly<Record<string, unknown>>;
    if (Object.entries(status).every(([name, value]) => isDeepStrictEqual(value, known[name]))) return;
    try {
      await kube.patch(HOST_POLICIES, { name: key }, { status }, 'status');
    } catch (err) {
      // It is gone, or going.
      if (!(err instanceof KubeError) || (err.status !== 404 && err.status !== 409)) throw err;
    }
  }
}

function refusalOf({ type, message, detail }: ApiError): Objection {
  const reason = /^[A-Za-z]\w*$/.test(type) ? type : 'Refused';
  const text = detail === '' ? message : `${message} ${detail}`;
  return { reason, message: `${text} What was in force before stays.` };
}

type Said = Pick<Condition, 'status' | 'reason' | 'message'>;

function statusOf(
  before: HostPolicyStatus,
  { generation, objection }: Looked,
  row: AnyObject | undefined,
): HostPolicyStatus {
  const notInForce = (
    (row?.['not_in_force'] ?? []) as readonly { readonly host_id: string; readonly reason: string }[]
  ).map(({ host_id: name, reason }) => ({ name, reason }));
  const [selectedNodes, nodesInForce] = [Number(row?.['selected_hosts'] ?? 0), Number(row?.['hosts_in_force'] ?? 0)];
  const accepted: Said =
    objection === undefined
      ? { status: 'True', reason: 'AsAskedFor', message: 'Cable has it as spec says' }
      : { status: 'False', ...objection };
  const told: Readonly<Record<string, Said>> = {
    Accepted: accepted,
    InForce: objection === undefined ? inForceOf(selectedNodes, nodesInForce, notInForce) : NOT_ACCEPTED,
  };
  const conditions = Object.entries(told).map(([type, said]): Condition => {
    const was = before.conditions?.find((one) => one.type === type);
    const since = was?.status === said.status ? was.lastTransitionTime : now();
    const message = said.message.slice(0, MOST_MESSAGE);
    return { ...{ type, ...said, message }, observedGeneration: generation, lastTransitionTime: since };
  });
  const id = row === undefined ? {} : { id: row.id };
  return { ...id, observedGeneration: generation, selectedNodes, nodesInForce, notInForce, conditions };
}

const NOT_ACCEPTED: Said = {
  ...{ status: 'False', reason: 'NotAccepted' },
  message: 'not as spec says: see the condition Accepted',
};

function inForceOf(
  selected: number,
  inForce: number,
  others: readonly { readonly name: string; readonly reason: string }[],
): Said {
  if (selected === 0) return { status: 'True', reason: 'NoNodes', message: 'it selects no node that has an agent' };
  if (inForce === selected) return { status: 'True', reason: 'OnAllNodes', message: `on all of its ${selected} nodes` };
  const some = others.slice(0, 5).map(({ name, reason }) => `${name}: ${reason}`);
  const message = `on ${inForce} of its ${selected} nodes; ${some.join('; ')}`;
  return { status: 'False', reason: 'NotOnAllNodes', message };
}

/** As Kubernetes writes times. */
function now(): string {
  return new Date().toISOString().replace(/\.\d+Z$/, 'Z');
}
