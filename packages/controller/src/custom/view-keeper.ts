/** Keeps the views of namespaces that are projects of OpenStack: makes what is missing, puts back what was changed, takes away what shows nothing any more. */
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from '@cable/kit';
import { isConflict, isInvalid, isNotFound, type KubeApi, keyOf, placeOf } from '@cable/kube';
import type { AnyObject } from '@cable/model';
import type { CableAccess } from '../cable-access.ts';
import type { ObjectEvents } from '../object-events.ts';
import { FINALIZER, GROUP, kubeKindOf, VERSION } from './definition.ts';
import { CUSTOM_KINDS } from './kinds.ts';
import { withoutUsage } from './subnet-usage.ts';
import { MANAGED_BY, NEUTRON, SHOWN_ID, VIEWS, type View, type ViewOf, viewName } from './views.ts';
import type { CustomObject, Outcome } from './work.ts';

export type ViewKeeperDeps = {
  readonly cable: CableAccess;
  readonly kube: KubeApi;
  readonly events: ObjectEvents;
  readonly log: Logger;
  readonly list: (kind: string) => { values(): Iterable<CustomObject> };
  readonly isSynced: (kind: string) => boolean;
  /** Namespaces that an administrator gave another project than their own, and that. */
  readonly given: () => ReadonlyMap<string, string>;
  /** What is known of a view from now on. */
  readonly shown: (kind: string, key: string, uid: string, outcome: Outcome) => void;
};

/** Most of one kind in a namespace: etcd is not the place for more. */
export const VIEWS_MAX = 1000;

/** True: it only shows what Neutron's door has made. One of the two marks is enough: somebody may have taken the other one off. */
export function isView({ metadata }: CustomObject): boolean {
  return metadata.labels?.[MANAGED_BY] === NEUTRON || metadata.annotations?.[SHOWN_ID] !== undefined;
}

export class ViewKeeper {
  readonly #deps: ViewKeeperDeps;
  /** Spec that was last written, by kind and key: what differs from it without our doing somebody else has changed. */
  readonly #written = new Map<string, unknown>();
  #running: Promise<void> | undefined;
  #isDue = false;

  constructor(deps: ViewKeeperDeps) {
    this.#deps = deps;
  }

  /** Looks at all of them; once more when it is called meanwhile. */
  run(): Promise<void> {
    this.#isDue = true;
    this.#running ??= this.#work().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #work(): Promise<void> {
    while (this.#isDue) {
      this.#isDue = false;
      for (const view of VIEWS) {
        if (!this.#deps.isSynced(view.kind)) continue;
        try {
          await this.#keep(view);
        } catch (err) {
          this.#deps.log.warn({ kind: view.kind, err }, 'what Neutron’s door has made is not shown as it is');
        }
      }
    }
  }

  async #keep(of: ViewOf): Promise<void> {
    const there = new Map<string, CustomObject>();
    for (const one of this.#deps.list(of.kind).values()) {
      const key = keyOf(one);
      // One that takes over what it showed is one no more.
      if (one.metadata.finalizers?.includes(FINALIZER)) this.#written.delete(`${of.kind} ${key}`);
      else if (isView(one) || this.#written.has(`${of.kind} ${key}`)) there.set(key, one);
    }
    for (const [namespace, project] of this.#deps.given()) {
      try {
        await this.#keepIn(of, namespace, project, there);
      } catch (err) {
        // Of a namespace that is being deleted, too, in which nothing can be made.
        this.#deps.log.warn({ kind: of.kind, namespace, err }, 'what Neutron’s door has made is not shown as it is');
        for (const key of there.keys()) if (key.startsWith(`${namespace}/`)) there.delete(key);
      }
    }
    for (const [key, { metadata }] of there) {
      if ((metadata.finalizers ?? []).length > 0) continue;
      this.#written.delete(`${of.kind} ${key}`);
      await ignoring(
        this.#deps.kube.delete(kindOf(of.kind), placeOf(key), metadata.uid === undefined ? {} : { uid: metadata.uid }),
      );
    }
  }

  /** Takes what it finds right out of `there`. */
  async #keepIn(of: ViewOf, namespace: string, project: string, there: Map<string, CustomObject>): Promise<void> {
    for (const [name, row, view] of await this.#wanted(of, namespace, project)) {
      const key = `${namespace}/${name}`;
      const before = there.get(key);
      there.delete(key);
      await this.#show(of.kind, key, { row, view, before, project });
    }
  }

  async #wanted({ kind, type, beside, show }: ViewOf, namespace: string, project: string) {
    const client = this.#deps.cable.as(project);
    const own = { project_id: project, limit: 2000 };
    const others = beside === undefined ? [] : ((await client.list(beside, own)) as readonly AnyObject[]);
    const rows = ((await client.list(type, own)) as readonly AnyObject[]).filter(
      (row) => row['cable:cluster'] === null,
    );
    const shown = rows.flatMap((row) => {
      const view = show(row, others);
      return view === undefined ? [] : [[viewName(row), row, view] as const];
    });
    if (shown.length > VIEWS_MAX)
      this.#deps.log.warn(
        { kind, namespace, count: shown.length, shown: VIEWS_MAX },
        'more than are shown in a namespace',
      );
    return shown.slice(0, VIEWS_MAX);
  }

  async #show(
    kind: string,
    key: string,
    { row, view, before, project }: { row: AnyObject; view: View; before: CustomObject | undefined; project: string },
  ): Promise<void> {
    const { kube, events, shown } = this.#deps;
    const id = `${kind} ${key}`;
    const place = placeOf(key);
    const { spec } = view;
    let now = before;
    const marks = { labels: { [MANAGED_BY]: NEUTRON }, annotations: { [SHOWN_ID]: row.id } };
    const isMarked =
      before?.metadata.labels?.[MANAGED_BY] === NEUTRON && before.metadata.annotations?.[SHOWN_ID] === row.id;
    const make = (): Promise<CustomObject> => {
      const metadata = { ...place, ...marks };
      return kube.create<CustomObject>(kindOf(kind), { apiVersion: `${GROUP}/${VERSION}`, kind, metadata, spec });
    };
    if (before === undefined) now = await ignoring(make());
    else if (!isMarked || !covers(before.spec, spec)) {
      const isOthers = isDeepStrictEqual(this.#written.get(id), spec);
      const { resourceVersion, uid = '' } = before.metadata;
      // All of it: what somebody has added goes, too.
      const cleared = Object.fromEntries(Object.keys(before.spec ?? {}).map((name) => [name, null]));
      const change = { metadata: { resourceVersion, ...marks }, spec: { ...cleared, ...spec } };
      const replace = async (err: unknown): Promise<CustomObject> => {
        if (!isInvalid(err)) throw err;
        // What nobody may change in Kubernetes the other door can change: then it is another object, which nothing hangs on.
        await kube.delete(kindOf(kind), place, { uid });
        return await make();
      };
      now = await ignoring(kube.patch<CustomObject>(kindOf(kind), place, change).catch(replace));
      const { namespace = '', name } = place;
      const subject = { apiVersion: `${GROUP}/${VERSION}`, kind, namespace, name, uid };
      const said = `it only shows ${kind} ${row.id} of project ${project}, which Neutron’s API changes: what was changed here is put back`;
      if (isOthers) await events.warn(subject, 'ManagedByNeutron', said);
    }
    if (now === undefined) return;
    this.#written.set(id, spec);
    const { subnetIds } = view;
    const outcome = {
      id: row.id,
      projectId: project,
      status: view.status,
      ...(subnetIds === undefined ? {} : { subnetIds }),
    };
    shown(kind, key, now.metadata.uid ?? '', outcome);
    await this.#tell(kind, now, row, outcome);
  }

  async #tell(kind: string, object: CustomObject, row: AnyObject, { id, projectId, status }: Outcome): Promise<void> {
    const { generation = 0 } = object.metadata;
    const before = object.status?.conditions?.find((one) => one.type === 'Ready');
    const lastTransitionTime = before?.lastTransitionTime ?? String(row['created_at']);
    const message = 'It is changed by Neutron’s API alone';
    const said = { type: 'Ready', status: 'True', reason: 'ManagedByNeutron', message };
    const conditions = [{ ...said, observedGeneration: generation, lastTransitionTime }];
    const wanted = { id, projectID: projectId, observedGeneration: generation, ...status, conditions };
    if (covers(withoutUsage(object.status), wanted)) return;
    await ignoring(this.#deps.kube.patch(kindOf(kind), placeOf(keyOf(object)), { status: wanted }, 'status'));
  }
}

function kindOf(kind: string) {
  const found = CUSTOM_KINDS.find(({ declared }) => declared.kind === kind);
  if (found === undefined) throw new Error(`no kind ${kind}`);
  return kubeKindOf(found.declared);
}

/** The same attributes with the same values. */
function covers(is: Readonly<Record<string, unknown>> | undefined, wanted: Readonly<Record<string, unknown>>): boolean {
  return isDeepStrictEqual(is ?? {}, wanted);
}

/** Somebody else was first, and what is newer is looked at soon. */
async function ignoring<T>(write: Promise<T>): Promise<T | undefined> {
  try {
    return await write;
  } catch (err) {
    if (isConflict(err) || isNotFound(err)) return undefined;
    throw err;
  }
}
