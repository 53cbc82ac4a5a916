/**
 * Custom resources of the group cable.io: what `kubectl` makes Cable comes to have, as the project of the namespace. One owner each: what is here has the
 * finalizer and, in Cable, the origin.
 *
 *   reflectors ──keys──> one queue a kind ──> apply: find by origin, make, change ──> status
 *        └ deleted: guard ──> objects of the origin go ──> finalizer goes
 */
import { isDeepStrictEqual } from 'node:util';
import type { ApiError } from '@cable/api';
import type { Logger } from '@cable/kit';
import {
  getIfThere,
  isConflict,
  isInvalid,
  isNotFound,
  type KubeApi,
  keyOf,
  placeOf,
  Reflector,
  WorkQueue,
} from '@cable/kube';
import type { AnyObject } from '@cable/model';
import { sharing } from '../answer-sharing.ts';
import { isGone, isRefusal } from '../cable-access.ts';
import type { ClusterNetwork } from '../cluster-networks.ts';
import type { ObjectEvents } from '../object-events.ts';
import { originOf, originText } from '../port-book.ts';
import { Refusals } from '../refusals.ts';
import { ADOPT, adoptOf, deletionOf, isAdopting, ODD_POLICY, takeOver } from './adoption.ts';
import { FINALIZER, GROUP, kubeKindOf, VERSION } from './definition.ts';
import { DeletionGuard } from './deletion-guard.ts';
import { CUSTOM_KINDS } from './kinds.ts';
import { boundBy, namedNodes, subnetKind } from './subnet.ts';
import { SubnetUsage, type UsedSubnet } from './subnet-usage.ts';
import { isView, ViewKeeper, type ViewKeeperDeps } from './view-keeper.ts';
import { MANAGED_BY, SHOWN_ID } from './views.ts';
import {
  type Condition,
  type CustomKind,
  type CustomObject,
  type Found,
  goes,
  type Outcome,
  Unmet,
  unmetBy,
  Work,
  type WorkDeps,
} from './work.ts';

type CustomReflector = Reflector<CustomObject, CustomObject>;

/** Lists of all kinds that stay current, of a controller with or without the Lease. */
export class CustomLists {
  readonly done: Promise<unknown>;
  readonly #operatorNamespace: string;
  readonly #lists: ReadonlyMap<string, CustomReflector>;
  /** Namespaces to the keys of the Subnets that they are bound to; undefined: to be found anew. */
  #bound: ReadonlyMap<string, string> | undefined;
  /** By key of a Subnet, what says whether its spec is as before. */
  readonly #versions = new Map<string, string>();
  readonly #synced = new Set<string>();
  #tell: (kind: string, key: string) => void = () => {};
  readonly #api: KubeApi;
  readonly #sharedNow: () => Promise<readonly CustomObject[]>;
  /** The same of other namespaces, while somebody asks. */
  readonly #ownNow = new Map<string, () => Promise<readonly CustomObject[]>>();

  constructor(
    common: { readonly api: KubeApi; readonly log: Logger; readonly signal: AbortSignal },
    operatorNamespace: string,
  ) {
    this.#operatorNamespace = operatorNamespace;
    this.#api = common.api;
    this.#sharedNow = sharing(() => subnetsIn(common.api, operatorNamespace));
    this.#lists = new Map(
      CUSTOM_KINDS.map(({ declared }) => [
        declared.kind,
        new Reflector<CustomObject, CustomObject>({
          ...common,
          kind: kubeKindOf(declared),
          keep: (object) => object,
          changed: (key) => {
            if (declared.kind === 'Subnet') this.#subnetChanged(key);
            this.#tell(declared.kind, key);
          },
        }),
      ]),
    );
    for (const [kind, { synced }] of this.#lists) void synced.then(() => this.#synced.add(kind));
    this.done = Promise.all([...this.#lists.values()].map(({ done }) => done));
  }

  /** What it is bound to is new when its spec is, or when it goes: usage in its status changes with each pod. */
  #subnetChanged(key: string): void {
    const metadata = this.of('Subnet').get(key)?.metadata;
    const before = this.#versions.get(key);
    if (metadata === undefined) this.#versions.delete(key);
    else this.#versions.set(key, `${metadata.uid} ${metadata.generation} ${metadata.deletionTimestamp}`);
    if (metadata?.generation === undefined || this.#versions.get(key) !== before) this.#bound = undefined;
  }

  /** Kinds that were listed: of others nothing is known. */
  isSynced(kind: string): boolean {
    return this.#synced.has(kind);
  }

  of(kind: string): CustomReflector {
    const found = this.#lists.get(kind);
    if (found === undefined) throw new Error(`no kind ${kind}`);
    return found;
  }

  /** Who is told of changes from now on. */
  follow(tell: (kind: string, key: string) => void): void {
    this.#tell = tell;
  }

  /** Key of the Subnet that pods of the namespace have addresses of; undefined: the cluster’s own network. Of several its own counts first, then the oldest. */
  boundTo(namespace: string): string | undefined {
    this.#bound ??= this.#bindings(this.of('Subnet').values());
    return this.#bound.get(namespace);
  }

  /** The same, asked of the API server where nothing is known: what is followed of Subnets may be behind what is of pods, or not be listed yet. */
  async boundNow(namespace: string): Promise<string | undefined> {
    return this.boundTo(namespace) ?? this.#bindings(await this.#whichMayBind(namespace)).get(namespace);
  }

  /** Those of the namespace itself and of the operator’s: no others bind it. */
  async #whichMayBind(namespace: string): Promise<readonly CustomObject[]> {
    if (namespace === this.#operatorNamespace) return await this.#sharedNow();
    const own = this.#ownNow.get(namespace) ?? sharing(() => subnetsIn(this.#api, namespace));
    this.#ownNow.set(namespace, own);
    try {
      return (await Promise.all([own(), this.#sharedNow()])).flat();
    } finally {
      this.#ownNow.delete(namespace);
    }
  }

  #bindings(subnets: Iterable<CustomObject>): ReadonlyMap<string, string> {
    const bound = new Map<string, string>();
    const age = ({ metadata }: CustomObject): string => `${metadata.creationTimestamp} ${metadata.uid}`;
    const all = [...subnets]
      .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
      .sort((a, b) => (age(a) < age(b) ? -1 : 1));
    for (const isOwn of [true, false]) {
      for (const subnet of all) {
        for (const namespace of boundBy(subnet, this.#operatorNamespace)) {
          if ((namespace === subnet.metadata.namespace) === isOwn && !bound.has(namespace))
            bound.set(namespace, keyOf(subnet));
        }
      }
    }
    return bound;
  }
}

/** All of a namespace; none where the kind is not installed. */
async function subnetsIn(api: KubeApi, namespace: string): Promise<readonly CustomObject[]> {
  const found: CustomObject[] = [];
  let next: string | undefined;
  try {
    do {
      const more = next === undefined ? {} : { continue: next };
      const page = await api.list<CustomObject>(kubeKindOf(subnetKind.declared), { namespace, limit: PAGE, ...more });
      found.push(...page.items);
      next = page.continue;
    } while (next !== undefined);
    return found;
  } catch (err) {
    if (isNotFound(err)) return [];
    throw err;
  }
}

const PAGE = 500;

export type CustomDeps = Omit<WorkDeps, 'find'> &
  Pick<ViewKeeperDeps, 'given'> & {
    readonly lists: CustomLists;
    readonly kube: KubeApi;
    readonly events: ObjectEvents;
    readonly log: Logger;
    readonly signal: AbortSignal;
    /** Around each piece of work: who is superseded ends. */
    readonly guarded: (work: (key: string) => Promise<void>) => (key: string) => Promise<void>;
    /** Pods of these namespaces may have addresses of a Subnet from now on. */
    readonly subnetReady: (namespaces: readonly string[]) => void;
    readonly nowMs?: () => number;
  };

const SUBNET = subnetKind.declared.kind;

/** How long until something that is waited for is looked at anew, if nobody tells of it. */
const HELD_MS = 30_000;

/** The same of what is to go and is used still: who waits for it is waiting at a prompt. */
const IN_USE_MS = 3000;

/** How often views are looked at, and how soon after one was changed. */
const VIEWS_MS = 60_000;
const VIEW_SOON_MS = 200;

/** Of who has the Lease. */
export class CustomResources {
  readonly #deps: CustomDeps;
  readonly #queues: ReadonlyMap<string, WorkQueue>;
  readonly #guards: ReadonlyMap<string, DeletionGuard>;
  readonly #refusals = new Refusals();
  readonly #views: ViewKeeper;
  readonly #usage: SubnetUsage;
  /** By key of a Subnet, the last work on it that has ended: of which version; none while it is worked on. */
  readonly #looked = new Map<string, { readonly resourceVersion: string | undefined }>();
  /** Views, by kind and key. */
  readonly #shown = new Set<string>();
  #viewTimer: NodeJS.Timeout | undefined;
  #viewsAt = 0;
  /** By kind and key, what Cable has of it as far as this controller has seen; what it says in status others can write. */
  readonly #outcomes = new Map<string, { readonly uid: string; readonly outcome: Outcome }>();
  /** What is not as spec says, and why not. */
  readonly #waiting = new Map<string, CustomKind>();
  /** What is about ports of pods, by the key of the pod. */
  readonly #ofPods = new Map<string, Set<string>>();
  readonly #podsOf = new Map<string, readonly string[]>();

  constructor(deps: CustomDeps) {
    this.#deps = deps;
    const { log, signal, kube, nowMs = () => performance.now() } = deps;
    this.#queues = new Map(
      CUSTOM_KINDS.map((kind) => [
        kind.declared.kind,
        new WorkQueue({
          ...{ name: kind.declared.plural, atOnce: 4, log, signal },
          work: deps.guarded((key) => this.#reconcile(kind, key)),
        }),
      ]),
    );
    this.#guards = new Map(
      CUSTOM_KINDS.map(({ declared }) => [declared.kind, new DeletionGuard(kube, declared, nowMs)]),
    );
    this.#usage = new SubnetUsage({
      ...{ cable: deps.cable, kube, log, signal },
      workedOn: ({ metadata }) => {
        const looked = this.#looked.get(keyOf({ metadata }));
        return looked?.resourceVersion === metadata.resourceVersion ? looked : undefined;
      },
      subnets: (keys = new Set(deps.lists.of(SUBNET).keys())) => [...keys].flatMap((key) => this.#usedSubnet(key)),
    });
    this.#views = new ViewKeeper({
      ...{ cable: deps.cable, kube, events: deps.events, log, given: deps.given },
      list: (kind) => deps.lists.of(kind),
      isSynced: (kind) => deps.lists.isSynced(kind),
      shown: (kind, key, uid, outcome) => {
        const place = `${kind} ${key}`;
        const isNew = this.#outcomes.get(place)?.uid !== uid;
        this.#shown.add(place);
        this.#outcomes.set(place, { uid, outcome });
        if (isNew && kind === SUBNET) this.#usage.changed(key);
        if (isNew) this.#wakeAll(placeOf(key).namespace ?? '');
      },
    });
    signal.addEventListener('abort', () => clearTimeout(this.#viewTimer), { once: true });
    deps.lists.follow((kind, key) => this.#queueOf(kind).add(key));
    for (const kind of CUSTOM_KINDS) void this.#open(kind);
  }

  /** A kind whose definition is not there keeps nobody else waiting. */
  async #open({ declared }: CustomKind): Promise<void> {
    const list = this.#deps.lists.of(declared.kind);
    await list.synced;
    this.#queueOf(declared.kind).open();
    this.#addAll(declared.kind);
    this.#viewsIn(0);
    await this.#sweepLogged(declared.kind);
  }

  #queueOf(kind: string): WorkQueue {
    const found = this.#queues.get(kind);
    if (found === undefined) throw new Error(`no kind ${kind}`);
    return found;
  }

  /** Looks at all of it anew, and at what Cable has of what is not there. */
  resync(): void {
    for (const { declared } of CUSTOM_KINDS) {
      if (!this.#deps.lists.isSynced(declared.kind)) continue;
      this.#addAll(declared.kind);
      void this.#sweepLogged(declared.kind);
    }
  }

  #addAll(kind: string): void {
    for (const key of this.#deps.lists.of(kind).keys()) this.#queueOf(kind).add(key);
  }

  /** Looks at views in so many milliseconds, and every minute from then on: nobody tells what is changed by Neutron’s door. */
  #viewsIn(ms: number): void {
    if (this.#deps.signal.aborted) return;
    const at = performance.now() + ms;
    // What is due sooner stays so, whoever asks for it later.
    if (this.#viewTimer !== undefined && this.#viewsAt <= at) return;
    clearTimeout(this.#viewTimer);
    this.#viewsAt = at;
    this.#viewTimer = setTimeout(() => {
      this.#viewTimer = undefined;
      void this.#views.run().finally(() => this.#viewsIn(VIEWS_MS));
    }, ms);
  }

  /** The ports of a pod may have changed. */
  podChanged(pod: string): void {
    for (const one of this.#ofPods.get(pod) ?? []) this.#add(one);
  }

  #add(place: string): void {
    const at = place.indexOf(' ');
    this.#queueOf(place.slice(0, at)).add(place.slice(at + 1));
  }

  /** Where pods of the namespace have addresses, or what a Subnet of that name is; undefined: nothing here says so. Throws `Unmet` of one that is not ready. */
  async placeFor(namespace: string, name?: string): Promise<ClusterNetwork | undefined> {
    const key = name === undefined ? await this.#deps.lists.boundNow(namespace) : this.#named(namespace, name);
    if (key === undefined) return undefined;
    const { outcome, isGoing } = this.#find('Subnet', key) ?? {};
    if (isGoing === true) throw goes(`Subnet ${key}`);
    if (outcome?.subnetIds === undefined) throw new Unmet('WaitsFor', `Subnet ${key} is not ready`);
    return { networkId: outcome.id, subnetIds: outcome.subnetIds };
  }

  /** A Subnet of the namespace, or one that the cluster has for it. */
  #named(namespace: string, name: string): string | undefined {
    const { lists, operatorNamespace } = this.#deps;
    const own = `${namespace}/${name}`;
    if (lists.of('Subnet').get(own) !== undefined) return own;
    const shared = lists.of('Subnet').get(`${operatorNamespace}/${name}`);
    if (shared === undefined || !boundBy(shared, operatorNamespace).includes(namespace)) return undefined;
    return keyOf(shared);
  }

  #find(kind: string, key: string): Found | undefined {
    const object = this.#deps.lists.of(kind).get(key);
    if (object === undefined) return undefined;
    const known = this.#outcomes.get(`${kind} ${key}`);
    const isGoing = object.metadata.deletionTimestamp !== undefined;
    return { outcome: known?.uid === object.metadata.uid ? known?.outcome : undefined, isGoing };
  }

  /** None: Cable does not have it yet. */
  #usedSubnet(key: string): readonly UsedSubnet[] {
    const object = this.#deps.lists.of(SUBNET).get(key);
    const outcome = this.#find(SUBNET, key)?.outcome;
    if (object?.metadata.deletionTimestamp !== undefined) return [];
    if (object === undefined || outcome?.subnetIds === undefined) return [];
    return [{ object, networkId: outcome.id, projectId: outcome.projectId, subnetIds: outcome.subnetIds }];
  }

  async #reconcile(kind: CustomKind, key: string): Promise<void> {
    if (kind !== subnetKind) return await this.#lookAt(kind, key);
    const object = this.#deps.lists.of(SUBNET).get(key);
    this.#looked.delete(key);
    // Numbers of addresses alone are new.
    const isOwn = object !== undefined && this.#usage.isOwnWrite(object) && !this.#waiting.has(`${SUBNET} ${key}`);
    if (!isOwn) await this.#lookAt(kind, key);
    if (object !== undefined) this.#looked.set(key, { resourceVersion: object.metadata.resourceVersion });
  }

  async #lookAt(kind: CustomKind, key: string): Promise<void> {
    const place = `${kind.declared.kind} ${key}`;
    const object = this.#deps.lists.of(kind.declared.kind).get(key);
    this.#indexPods(kind, place, object);
    if (object === undefined) {
      if (this.#shown.delete(place)) this.#viewsIn(VIEW_SOON_MS);
      this.#forget(place);
      return;
    }
    // Who takes the marks off a view makes it no object of its own.
    const isShown = this.#shown.has(place) && this.#outcomes.get(place)?.uid === object.metadata.uid;
    if ((isView(object) || isShown) && !hasFinalizer(object)) {
      if (adoptOf(object) === undefined || !(await this.#takeView(kind, object))) this.#viewsIn(VIEW_SOON_MS);
      return;
    }
    if (object.metadata.deletionTimestamp !== undefined) return await this.#remove(kind, key, object);
    if (!hasFinalizer(object)) {
      await this.#setFinalizers(kind, object, [...(object.metadata.finalizers ?? []), FINALIZER]);
      // The change is told, and it is worked on then.
      return;
    }
    await this.#apply(kind, key, object);
  }

  /** Makes a custom resource of its own of a view that is to take over what it shows. False: it is to take over something else. */
  async #takeView(kind: CustomKind, object: CustomObject): Promise<boolean> {
    const { annotations = {}, finalizers = [], deletionTimestamp } = object.metadata;
    // A mark that was taken off is put back first.
    if (deletionTimestamp !== undefined || annotations[SHOWN_ID] === undefined) return false;
    if (annotations[SHOWN_ID] === adoptOf(object)) {
      await this.#patchMetadata(kind, object, {
        finalizers: [...finalizers, FINALIZER],
        labels: { [MANAGED_BY]: null },
      });
      return true;
    }
    const message = `${ADOPT}: it shows ${annotations[SHOWN_ID]}, and takes over nothing else: make another ${kind.declared.kind}`;
    await this.#deps.events.warn(subjectOf(kind, object), 'AdoptionRefused', message);
    return false;
  }

  #forget(place: string): void {
    this.#outcomes.delete(place);
    this.#waiting.delete(place);
    this.#refusals.clear(place);
    const at = place.indexOf(' ');
    this.#deps.events.well(place.slice(0, at), place.slice(at + 1));
  }

  #indexPods(kind: CustomKind, place: string, object: CustomObject | undefined): void {
    if (kind.pods === undefined) return;
    for (const pod of this.#podsOf.get(place) ?? []) {
      const others = this.#ofPods.get(pod);
      others?.delete(place);
      if (others?.size === 0) this.#ofPods.delete(pod);
    }
    const names = object === undefined ? [] : kind.pods(object);
    const pods = names.map((one) => `${object?.metadata.namespace}/${one}`);
    if (pods.length === 0) this.#podsOf.delete(place);
    else this.#podsOf.set(place, pods);
    for (const pod of pods) {
      const known = this.#ofPods.get(pod);
      if (known === undefined) this.#ofPods.set(pod, new Set([place]));
      else known.add(place);
    }
  }

  async #apply(kind: CustomKind, key: string, object: CustomObject): Promise<void> {
    const place = `${kind.declared.kind} ${key}`;
    const project = this.#deps.projectOf(object.metadata.namespace ?? '');
    // The namespace's own watch may be behind.
    if (project === undefined) throw new Error(`the namespace of ${key} is not known yet`);
    const work = new Work(this.#workDeps(), kind.declared.kind, object, project);
    try {
      // The change is told, and it is worked on then.
      if (isAdopting(object)) return await this.#takeOver(kind, object, work);
      const outcome = await kind.apply(work);
      const before = this.#find(kind.declared.kind, key)?.outcome;
      const isNew = before?.id !== outcome.id;
      this.#outcomes.set(place, { uid: object.metadata.uid ?? '', outcome });
      if (isNew) this.#wake(kind, object.metadata.namespace ?? '', place);
      if (kind === subnetKind) this.#usage.changed(key);
      const isForMore = isNew || before.unmet?.message !== outcome.unmet?.message;
      if (isForMore && kind === subnetKind) this.#deps.subnetReady(boundBy(object, this.#deps.operatorNamespace));
      const { id, projectId: projectID, status, unmet } = outcome;
      if (unmet === undefined) this.#nothingWrong(place);
      else await this.#unmet(kind, key, object, unmet);
      const is = unmet === undefined ? READY : said(unmet);
      const isTold = await this.#tell(kind, object, is, { id, projectID, ...status });
      // Its way outside may be what others wait for.
      if (isTold && !isNew) this.#wakeAll(object.metadata.namespace ?? '');
      for (const peer of isTold ? (kind.peers?.(object) ?? []) : [])
        if (peer !== key) this.#queueOf(kind.declared.kind).add(peer);
    } catch (err) {
      if (!(err instanceof Unmet) && !isRefusal(err)) throw err;
      await this.#unmet(kind, key, object, err);
      await this.#tell(kind, object, said(err), {});
    }
  }

  async #takeOver(kind: CustomKind, object: CustomObject, work: Work): Promise<void> {
    const change = await takeOver(work, kind);
    try {
      await this.#deps.kube.patch(kubeKindOf(kind.declared), placeOf(keyOf(object)), change);
    } catch (err) {
      if (err instanceof Error && isInvalid(err))
        throw new Unmet('Invalid', `${ADOPT}: spec cannot be as the object is: ${err.message}`);
      if (!isNotFound(err) && !isConflict(err)) throw err;
      return;
    }
    const message = `it has taken over ${adoptOf(object)}, which Neutron’s API changes no more`;
    await this.#deps.events.tell(subjectOf(kind, object), 'Adopted', message);
    this.#viewsIn(VIEW_SOON_MS);
  }

  /** A node may have come, or gone: Subnets may name it. */
  nodeChanged(name: string): void {
    for (const subnet of this.#deps.lists.of('Subnet').values()) {
      const isWaiting = this.#waiting.has(`Subnet ${keyOf(subnet)}`);
      if (isWaiting && namedNodes(subnet.spec ?? {}).includes(name)) this.#add(`Subnet ${keyOf(subnet)}`);
    }
  }

  /** The namespace may have come: Subnets may have waited for it. */
  namespaceChanged(namespace: string): void {
    for (const subnet of this.#deps.lists.of('Subnet').values()) {
      const isWaiting = this.#waiting.has(`Subnet ${keyOf(subnet)}`);
      if (isWaiting && boundBy(subnet, this.#deps.operatorNamespace).includes(namespace))
        this.#add(`Subnet ${keyOf(subnet)}`);
    }
  }

  #workDeps(): WorkDeps {
    return { ...this.#deps, find: (kind, key) => this.#find(kind, key) };
  }

  #nothingWrong(place: string): void {
    this.#waiting.delete(place);
    this.#refusals.clear(place);
    const at = place.indexOf(' ');
    this.#deps.events.well(place.slice(0, at), place.slice(at + 1));
  }

  /** Is tried again: soon, later every half minute, and at once when something that it may wait for is there. */
  async #unmet(
    kind: CustomKind,
    key: string,
    object: CustomObject,
    err: Unmet | ApiError,
    mostMs: number = Number.POSITIVE_INFINITY,
  ): Promise<void> {
    const place = `${kind.declared.kind} ${key}`;
    this.#waiting.set(place, kind);
    const { againMs, isNews } = this.#refusals.note(place);
    const { reason, message } = said(err);
    if (isNews) await this.#deps.events.warn(subjectOf(kind, object), reason, message);
    this.#queueOf(kind.declared.kind).addAfter(key, Math.min(againMs, mostMs));
  }

  /** What may have waited for this one: of its namespace, and peers elsewhere. */
  #wake({ declared }: CustomKind, namespace: string, place: string): void {
    this.#wakeAll(namespace, place);
    // Peerings of others may be with it.
    if (declared.kind !== 'Vpc') return;
    for (const key of this.#deps.lists.of('Vpc').keys()) if (`Vpc ${key}` !== place) this.#queueOf('Vpc').add(key);
  }

  async #remove(kind: CustomKind, key: string, object: CustomObject): Promise<void> {
    if (!hasFinalizer(object)) return;
    const place = `${kind.declared.kind} ${key}`;
    const policy = deletionOf(object);
    const held = policy === undefined ? ODD_POLICY : undefined;
    const objection = policy === 'delete' ? await this.#objection(kind, key, object.metadata.namespace ?? '') : held;
    if (objection !== undefined) {
      await this.#deps.events.warn(subjectOf(kind, object), 'DeletionHeld', objection);
      await this.#tell(kind, object, { status: 'False', reason: 'DeletionHeld', message: objection }, {});
      this.#queueOf(kind.declared.kind).addAfter(key, HELD_MS);
      return;
    }
    const { namespace = '', name, uid = '' } = object.metadata;
    const origin = originText({ kind: kind.declared.kind, key: `${namespace}/${name}`, uid });
    try {
      if (policy === 'retain') await this.#letGo(kind, object, origin);
      else await this.#removeAll(kind, origin);
    } catch (err) {
      if (!(err instanceof Unmet) && !isRefusal(err)) throw err;
      await this.#unmet(kind, key, object, err, IN_USE_MS);
      await this.#tell(kind, object, said(err), {});
      return;
    }
    this.#forget(place);
    await this.#setFinalizers(
      kind,
      object,
      (object.metadata.finalizers ?? []).filter((one) => one !== FINALIZER),
    );
    this.#wakeAll(namespace);
  }

  /** What Cable has of it is Neutron's from now on. */
  async #letGo(kind: CustomKind, object: CustomObject, origin: string): Promise<void> {
    const { cable, cluster, events } = this.#deps;
    await cable.own.action('kubernetes_cluster', cluster, 'release', { origin });
    const message = 'what Cable has of it stays there, and Neutron’s API changes it';
    await events.tell(subjectOf(kind, object), 'Released', message);
    this.#viewsIn(VIEW_SOON_MS);
  }

  /** Those of the namespace that wait for something. */
  #wakeAll(namespace: string, but = ''): void {
    for (const [one] of this.#waiting) if (one !== but && one.includes(` ${namespace}/`)) this.#add(one);
  }

  async #objection({ declared }: CustomKind, key: string, namespace: string): Promise<string | undefined> {
    let left = 0;
    // One of which Cable has nothing is none that is left.
    for (const one of this.#deps.lists.of(declared.kind).values())
      if (one.metadata.deletionTimestamp === undefined && this.#outcomes.has(`${declared.kind} ${keyOf(one)}`))
        left += 1;
    const objection = await this.#guards.get(declared.kind)?.objection(key, { namespace, left });
    if (objection === undefined || objection.includes('CustomResourceDefinition')) return objection;
    // Whoever deletes a namespace has said what is to go.
    const place = { group: '', version: 'v1', plural: 'namespaces', isNamespaced: false };
    const found = await getIfThere(this.#deps.kube, place, { name: namespace });
    return found === undefined || found.metadata.deletionTimestamp !== undefined ? undefined : objection;
  }

  /** Deletes what Cable has of an origin. Throws what keeps something there. */
  async #removeAll(kind: CustomKind, origin: string): Promise<void> {
    const { cable, cluster } = this.#deps;
    for (const type of kind.types) {
      const query = { 'cable:cluster': cluster, 'cable:origin': origin };
      for (const row of (await cable.own.list(type, query)) as readonly AnyObject[]) {
        const client = cable.as(String(row['project_id']));
        await kind.release?.({ client, deps: this.#workDeps() }, row);
        await client.delete(type, row.id).catch((err: unknown) => {
          if (!isGone(err)) throw err;
        });
      }
    }
  }

  #setFinalizers(kind: CustomKind, object: CustomObject, finalizers: readonly string[]): Promise<void> {
    return this.#patchMetadata(kind, object, { finalizers });
  }

  async #patchMetadata(kind: CustomKind, object: CustomObject, metadata: object): Promise<void> {
    const { resourceVersion } = object.metadata;
    const change = { metadata: { resourceVersion, ...metadata } };
    try {
      await this.#deps.kube.patch(kubeKindOf(kind.declared), placeOf(keyOf(object)), change);
    } catch (err) {
      // Somebody wrote first, and that is told.
      if (!isNotFound(err) && !isConflict(err)) throw err;
    }
  }

  /** True: something was new. */
  async #tell(kind: CustomKind, object: CustomObject, is: ConditionSaid, more: object): Promise<boolean> {
    const { generation = 0, resourceVersion } = object.metadata;
    const others = object.status?.conditions?.filter(({ type }) => type !== 'Ready' && type !== 'Adopted') ?? [];
    const adopted = adoptOf(object) === undefined ? [] : [conditionOf(object, 'Adopted', adoptedSaid(object, is))];
    const conditions = [...others, ...adopted, conditionOf(object, 'Ready', is)];
    const status = { ...more, observedGeneration: generation, conditions };
    const known = object.status ?? {};
    // The API server gives keys back in an order of its own.
    if (Object.entries(status).every(([name, value]) => isDeepStrictEqual(plain(value), known[name]))) return false;
    try {
      const place = placeOf(keyOf(object));
      await this.#deps.kube.patch(
        kubeKindOf(kind.declared),
        place,
        { metadata: { resourceVersion }, status },
        'status',
      );
    } catch (err) {
      // What is newer is told, and worked on then.
      if (!isNotFound(err) && !isConflict(err)) throw err;
    }
    return true;
  }

  async #sweepLogged(kind: string): Promise<void> {
    try {
      await this.#sweep(kind);
    } catch (err) {
      this.#deps.log.warn({ kind, err }, 'what is left of custom resources that are gone was not looked for');
    }
  }

  /** What Cable has of objects that are not there any more, as when somebody has taken away the finalizer. */
  async #sweep(name: string): Promise<void> {
    const { cable, cluster, lists, kube, log } = this.#deps;
    const kind = CUSTOM_KINDS.find(({ declared }) => declared.kind === name);
    if (kind === undefined) return;
    const list = lists.of(name);
    const origins = new Set<string>();
    for (const type of kind.types) {
      const query = { 'cable:cluster': cluster, fields: ['id', 'project_id', 'cable:origin'], limit: 2000 };
      for (const row of (await cable.own.list(type, query)) as readonly AnyObject[])
        origins.add(String(row['cable:origin']));
    }
    for (const text of origins) {
      const origin = originOf(text);
      // What the cluster as a whole has is of no namespace.
      if (origin.kind !== name || !origin.key.includes('/')) continue;
      if (list.get(origin.key)?.metadata.uid === origin.uid) continue;
      const there = await getIfThere(kube, kubeKindOf(kind.declared), placeOf(origin.key));
      if (there?.metadata.uid === origin.uid) continue;
      const { namespace = '' } = placeOf(origin.key);
      const objection = await this.#guards.get(name)?.objection(text, { namespace, left: list.size });
      if (objection !== undefined) {
        log.error({ kind: name, origin: text, reason: objection }, 'what is left of a custom resource is kept');
        return;
      }
      try {
        await this.#removeAll(kind, text);
        log.info({ origin: text }, 'what was left of a custom resource is gone');
      } catch (err) {
        if (!(err instanceof Unmet) && !isRefusal(err)) throw err;
        log.warn({ origin: text, reason: err.message }, 'what is left of a custom resource is still used');
      }
    }
  }
}

type ConditionSaid = { readonly status: Condition['status']; readonly reason: string; readonly message: string };

const READY: ConditionSaid = { status: 'True', reason: 'AsAskedFor', message: 'Cable has it as spec says' };

const TAKEN_OVER: ConditionSaid = { status: 'True', reason: 'TakenOver', message: 'Neutron’s API changes it no more' };

function adoptedSaid(object: CustomObject, is: ConditionSaid): ConditionSaid {
  return isAdopting(object) ? is : TAKEN_OVER;
}

function conditionOf(object: CustomObject, type: string, is: ConditionSaid): Condition {
  const before = object.status?.conditions?.find((one) => one.type === type);
  const isAsBefore = before?.status === is.status;
  return {
    ...{ type, ...is, observedGeneration: object.metadata.generation ?? 0 },
    lastTransitionTime: isAsBefore ? before.lastTransitionTime : new Date().toISOString().replace(/\.\d+Z$/, 'Z'),
  };
}

function said(err: Unmet | ApiError): ConditionSaid {
  if (err instanceof Unmet) return { status: 'False', reason: err.reason, message: err.message };
  return said(unmetBy(err));
}

function hasFinalizer({ metadata }: CustomObject): boolean {
  return metadata.finalizers?.includes(FINALIZER) ?? false;
}

function subjectOf({ declared }: CustomKind, { metadata }: CustomObject) {
  const { namespace = '', name, uid = '' } = metadata;
  return { apiVersion: `${GROUP}/${VERSION}`, kind: declared.kind, namespace, name, uid };
}

/** As it comes back: without what is undefined. */
function plain(value: unknown): unknown {
  return value === undefined ? undefined : JSON.parse(JSON.stringify(value));
}
