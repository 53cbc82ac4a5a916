/** What a kind has at hand to let Cable have one object as its spec says. */
import { isDeepStrictEqual } from 'node:util';
import { ApiError, type Client } from '@cable/api';
import { hashedUuid } from '@cable/kit';
import type { KubeObject } from '@cable/kube';
import { type AnyObject, isUuid } from '@cable/model';
import type { CableAccess } from '../cable-access.ts';
import type { ClusterNetworks } from '../cluster-networks.ts';
import { LEG_OWNER } from '../legs.ts';
import { namedRows } from '../named-rows.ts';
import { nearest } from '../nearest.ts';
import { originText, type PortBook } from '../port-book.ts';
import type { Declaration } from './definition.ts';

/** A custom resource of any kind. */
export type CustomObject<S = Readonly<Record<string, unknown>>> = KubeObject & {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly spec?: S;
  readonly status?: Readonly<Record<string, unknown>> & { readonly conditions?: readonly Condition[] };
};

export type Condition = {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly observedGeneration?: number;
  readonly lastTransitionTime: string;
  readonly reason: string;
  readonly message: string;
};

/** What cannot be had as spec says. `reason`: one word, of the condition. */
export class Unmet extends Error {
  readonly reason: string;

  constructor(reason: string, message: string) {
    super(message);
    this.reason = reason;
  }
}

/** What is said of two in a list of spec that are one and the same to Cable; undefined: no two are. `keyOf`: by which they are known, in words. */
export function twice<T>(field: string, items: readonly T[], keyOf: (item: T) => string): Unmet | undefined {
  const keys = items.map(keyOf);
  const key = keys.find((one, n) => keys.indexOf(one) < n);
  if (key === undefined) return undefined;
  return new Unmet('Invalid', `${field}: there are two with ${key}, of which the last counts: take one away`);
}

/** A refusal of the server. */
export function unmetBy(err: ApiError): Unmet {
  const reason = /^[A-Za-z]\w*$/.test(err.type) ? err.type : 'Refused';
  return new Unmet(reason, err.detail === '' ? err.message : `${err.message} ${err.detail}`);
}

/** What Cable has of a custom resource. */
export type Outcome = {
  readonly id: string;
  readonly projectId: string;
  /** Status besides. */
  readonly status: Readonly<Record<string, unknown>>;
  /** Of a Subnet: where addresses come from. */
  readonly subnetIds?: readonly string[];
  /** Not as spec says yet; undefined: all is. */
  readonly unmet?: Unmet;
};

/** On a custom resource: what it has taken over, which keeps its name in Cable’s API. The controller’s to set. */
export const ADOPTED = 'cable.io/adopted';

/** Fields of spec, as an object in Cable has it. */
export type Described = Readonly<Record<string, unknown>>;

/** How objects of a kind are taken over from Neutron’s door. */
export type Adoptable = {
  /** Types whose IDs may be given. */
  readonly types: readonly string[];
  /** What spec says of them. Throws `Unmet` where it has no words for something that would be lost. */
  readonly describe: (work: Work, rows: readonly AnyObject[]) => Promise<Described>;
  /** Throws `Unmet` where spec says what cannot come to be of them without making others. */
  readonly check?: (work: Work, rows: readonly AnyObject[], spec: Described) => Promise<void>;
};

/** One kind: its declaration, and how Cable comes to have it. */
export type CustomKind = {
  readonly declared: Declaration;
  /** Types of what Cable has of it, the main one first; deleted in this order. */
  readonly types: readonly string[];
  /** Throws `Unmet`, or what the server refuses. May be called at any time again. */
  readonly apply: (work: Work) => Promise<Outcome>;
  readonly adoptable: Adoptable;
  /** Before an object of `types` is deleted. */
  readonly release?: (work: Pick<Work, 'client' | 'deps'>, row: AnyObject) => Promise<void>;
  /** Keys of others of the kind whose status says something of this one, too. */
  readonly peers?: (object: CustomObject) => readonly string[];
  /** Names of pods of its namespace whose ports it is about. */
  readonly pods?: (object: CustomObject) => readonly string[];
};

export type WorkDeps = {
  readonly cable: CableAccess;
  readonly cluster: string;
  /** Namespace whose objects are of the cluster's own project. */
  readonly operatorNamespace: string;
  readonly networks: () => ClusterNetworks;
  readonly ports: PortBook;
  /** Project of custom resources of a namespace; undefined: it is not known yet. */
  readonly projectOf: (namespace: string) => string | undefined;
  /** Project of its pods: of the operator’s namespace another one. */
  readonly podProjectOf: (namespace: string) => string | undefined;
  /** What Cable has of another one. Undefined: there is no such object. `outcome` undefined: Cable does not have it yet. */
  readonly find: (kind: string, key: string) => Found | undefined;
};

/** `isGoing`: somebody has deleted it, and nothing new is to use it. */
export type Found = { readonly outcome: Outcome | undefined; readonly isGoing?: boolean };

/** What is said of what would use an object that is being deleted. */
export function goes(what: string): Unmet {
  return new Unmet('WaitsFor', `${what} is being deleted`);
}

export class Work {
  readonly deps: WorkDeps;
  readonly object: CustomObject;
  readonly namespace: string;
  readonly name: string;
  readonly origin: string;
  /** As the project of the namespace; of what is there, as the project that it is of. */
  client: Client;
  projectId: string;

  constructor(deps: WorkDeps, kind: string, object: CustomObject, projectId: string) {
    const { namespace = '', name, uid = '' } = object.metadata;
    this.deps = deps;
    this.object = object;
    this.namespace = namespace;
    this.name = name;
    this.origin = originText({ kind, key: `${namespace}/${name}`, uid });
    this.projectId = projectId;
    this.client = deps.cable.as(projectId);
  }

  get isOperators(): boolean {
    return this.namespace === this.deps.operatorNamespace;
  }

  spec<S>(): S {
    return (this.object.spec ?? {}) as S;
  }

  /** What Cable has of this, of a type. */
  async rows(type: string, query: Readonly<Record<string, string | number>> = {}): Promise<readonly AnyObject[]> {
    const { cable, cluster } = this.deps;
    const mine = { 'cable:cluster': cluster, 'cable:origin': this.origin };
    const found = (await cable.own.list(type, { ...mine, ...query })) as readonly AnyObject[];
    // The namespace may be of another project by now: what is there stays where it is.
    if (found[0] !== undefined && found[0]['project_id'] !== this.projectId) {
      this.projectId = String(found[0]['project_id']);
      this.client = cable.as(this.projectId);
    }
    return found;
  }

  /** Makes it, or changes what differs of `wanted`. `fixed` cannot change: where it differs `Unmet` says so. `place`: of several of a type. */
  async ensure(type: string, { fixed = {}, wanted, later = {}, query = {}, place = '' }: Wanted): Promise<AnyObject> {
    const [before] = await this.rows(type, query);
    if (before === undefined) {
      const made = await this.#create(type, { ...fixed, ...wanted }, place);
      return Object.keys(later).length === 0 ? made : await this.#change(type, made, later);
    }
    const other = Object.keys(fixed).find((one) => !isDeepStrictEqual(fixed[one], before[one]));
    if (other !== undefined) {
      const is = JSON.stringify(before[other]);
      throw new Unmet(
        'Immutable',
        `${other} is ${is}, and cannot be changed: make another ${this.object.kind ?? 'one'}`,
      );
    }
    return await this.#change(type, before, { ...wanted, ...later });
  }

  /** An Idempotency-Key of something that is made for this, however long its name is. */
  keyOf(place: string): string {
    return hashedUuid(JSON.stringify([this.origin, place]));
  }

  /** The same request makes nothing twice, whatever became of its answer. */
  async #create(type: string, body: object, place: string): Promise<AnyObject> {
    const { cluster } = this.deps;
    await this.#refuseLetGoOf(type);
    const whole = { ...body, 'cable:cluster': cluster, 'cable:origin': this.origin };
    try {
      return (await this.client.create(type, whole, this.keyOf(place))) as AnyObject;
    } catch (err) {
      if (!(err instanceof ApiError) || err.type !== 'IdempotencyKeyReused') throw err;
      throw new Error('it was made otherwise meanwhile: looks at it again', { cause: err });
    }
  }

  /** What Cable had of it may be Neutron’s again: it gets no second one. Throws `Unmet`. */
  async #refuseLetGoOf(type: string): Promise<void> {
    const { kind = '', metadata, status } = this.object;
    if (status?.['observedGeneration'] === undefined) return;
    const found = (await this.client.list(type, { 'cable:origin': this.origin })) as readonly AnyObject[];
    const row = found.find((one) => one['cable:cluster'] === null);
    if (row === undefined) return;
    const command = `kubectl annotate -n ${this.namespace} ${kind.toLowerCase()} ${metadata.name}`;
    throw new Unmet(
      'LetGoOf',
      `an administrator of Cable has let go of ${type} ${row.id}, and Neutron’s API changes it. To take it over again: ${command} --overwrite cable.io/adopt=${row.id} ${ADOPTED}-; else delete this, which deletes nothing there`,
    );
  }

  async #change(type: string, before: AnyObject, wanted: Readonly<Record<string, unknown>>): Promise<AnyObject> {
    const keepsName = this.object.metadata.annotations?.[ADOPTED] !== undefined;
    const changed = Object.entries(wanted).filter(
      ([name, value]) => !isDeepStrictEqual(value, before[name]) && !(keepsName && name === 'name'),
    );
    if (changed.length === 0) return before;
    return (await this.client.update(type, before.id, Object.fromEntries(changed))) as AnyObject;
  }

  /** ID of what a custom resource of this namespace is, or what the project sees under that name or ID. Throws `Unmet`. */
  async refer(kind: string, type: string, text: string): Promise<string> {
    const known = this.deps.find(kind, `${this.namespace}/${text}`);
    if (known?.outcome !== undefined) return known.outcome.id;
    if (known !== undefined) throw new Unmet('WaitsFor', `${kind} ${text} is not ready`);
    return (await this.findOne(type, text)).id;
  }

  /** The same of many, by text, with one request for each few dozen that are no custom resources. Throws `Unmet`. */
  async referAll(kind: string, type: string, texts: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const ids = new Map<string, string>();
    const unknown: string[] = [];
    for (const text of texts) {
      const known = this.deps.find(kind, `${this.namespace}/${text}`);
      if (known === undefined) unknown.push(text);
      else ids.set(text, await this.refer(kind, type, text));
    }
    for (const [text, found] of await namedRows(this.client, type, unknown))
      ids.set(text, one(type, text, this.#meant(type, text, found)).id);
    return ids;
  }

  /** What the project sees under that name or ID. Throws `Unmet`. */
  async findOne(type: string, text: string, more: Readonly<Record<string, string | boolean>> = {}): Promise<AnyObject> {
    const query = { ...(isUuid(text) ? { id: text } : { name: text }), ...more };
    const found = (await this.client.list(type, query)) as readonly AnyObject[];
    return one(type, text, this.#meant(type, text, found));
  }

  /** As the cluster's own project more is seen than is meant: what its namespaces have made is theirs. */
  #meant(type: string, text: string, found: readonly AnyObject[]): readonly AnyObject[] {
    const { cluster } = this.deps;
    const meant = found.filter((row) => row['cable:cluster'] !== cluster || row['project_id'] === this.projectId);
    return isUuid(text) ? meant : nearest(type, meant, this.projectId);
  }

  /** IDs of what a Subnet of this namespace has of each version of IP, or of what the project sees under that name or ID. Throws `Unmet`. */
  async subnets(text: string): Promise<readonly string[]> {
    const known = this.deps.find('Subnet', `${this.namespace}/${text}`);
    if (known?.outcome?.subnetIds !== undefined) return known.outcome.subnetIds;
    if (known !== undefined) throw new Unmet('WaitsFor', `Subnet ${text} is not ready`);
    return [(await this.findOne('subnet', text)).id];
  }

  /** The port that is spoken of. Throws `Unmet`. */
  async port({ pod, port, portID }: PortReference): Promise<string> {
    if (pod !== undefined) {
      const ports = this.deps.ports.ofPod(`${this.namespace}/${pod}`);
      const own = ports.filter(({ deviceOwner }) => deviceOwner !== LEG_OWNER);
      const found = own.find(({ deviceId }) => FIRST.test(deviceId)) ?? own[0];
      if (found === undefined) throw new Unmet('WaitsFor', `pod ${pod} has no port`);
      return found.id;
    }
    if (port !== undefined) return await this.refer('Port', 'port', port);
    if (portID !== undefined) return (await this.findOne('port', portID)).id;
    throw new Unmet('Invalid', 'give one of pod, port and portID');
  }
}

function one(type: string, text: string, found: readonly AnyObject[]): AnyObject {
  const [first, second] = found;
  if (first === undefined) {
    const isNamed = type === 'security_group' && !isUuid(text);
    const where = isNamed ? 'has: name one of others by ID' : 'sees';
    throw new Unmet('NotFound', `there is no ${type} ${text} that its project ${where}`);
  }
  if (second !== undefined) throw new Unmet('Ambiguous', `its project sees several of ${type} ${text}: give the ID`);
  return first;
}

export type Wanted = {
  readonly fixed?: Readonly<Record<string, unknown>>;
  readonly wanted: Readonly<Record<string, unknown>>;
  /** What can be given to what is there alone. */
  readonly later?: Readonly<Record<string, unknown>>;
  readonly query?: Readonly<Record<string, string | number>>;
  readonly place?: string;
};

/** `device_id` of the port of a pod's first interface, or of the one in its VPC. */
const FIRST = /:(eth0|vpc0)$/;

export type PortReference = { readonly pod?: string; readonly port?: string; readonly portID?: string };
