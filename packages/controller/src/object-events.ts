/** What users of Kubernetes are told of an object: `kubectl describe` shows it. */
import { createHash } from 'node:crypto';
import type { Logger } from '@cable/kit';
import { getIfThere, isConflict, type KubeApi, type KubeObject } from '@cable/kube';
import { EVENTS } from './pod-facts.ts';

/** The same is told anew no sooner. */
const AGAIN_MS = 5 * 60_000;

/** What something is told about. `namespace`: empty: it is the cluster's. */
export type Subject = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
};

type Told = { readonly message: string; readonly atMs: number };

export class ObjectEvents {
  readonly #kube: Pick<KubeApi, 'create' | 'get' | 'update'>;
  readonly #log: Logger;
  readonly #told = new Map<string, Told>();

  constructor(kube: Pick<KubeApi, 'create' | 'get' | 'update'>, log: Logger) {
    this.#kube = kube;
    this.#log = log;
  }

  /** Nothing is wrong with the object of that key, or it is gone. */
  well(kind: string, key: string): void {
    this.#told.delete(`${kind} ${key}`);
  }

  /** A warning. That it could not be told is logged, and no failure. */
  async warn(subject: Subject, reason: string, message: string): Promise<void> {
    const { kind, namespace, name } = subject;
    const key = `${kind} ${namespace}/${name}`;
    const before = this.#told.get(key);
    if (before?.message === message && performance.now() - before.atMs < AGAIN_MS) return;
    this.#told.set(key, { message, atMs: performance.now() });
    this.#log.warn({ object: key, reason, message }, 'cannot be had as it is asked for');
    await this.#say(subject, 'Warning', reason, message);
  }

  /** What is so now, each time that it has changed. */
  tell(subject: Subject, reason: string, message: string): Promise<void> {
    return this.#say(subject, 'Normal', reason, message);
  }

  async #say(
    { apiVersion, kind, namespace, name, uid }: Subject,
    type: Event['type'],
    reason: string,
    message: string,
  ): Promise<void> {
    const id = createHash('sha256').update(`${uid} ${reason} ${message}`).digest('hex').slice(0, 16);
    const now = new Date().toISOString().replace(/\.\d+Z$/, 'Z');
    const event: Event = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: `${name}.${id}`, namespace: namespace === '' ? 'default' : namespace },
      involvedObject: { apiVersion, kind, ...(namespace === '' ? {} : { namespace }), name, uid },
      ...{ reason, message: message.slice(0, 1024), type, source: { component: 'cable' } },
      ...{ firstTimestamp: now, lastTimestamp: now, count: 1 },
    };
    try {
      await this.#write(event);
    } catch (err) {
      this.#log.warn({ err, object: `${kind} ${namespace}/${name}` }, 'the event was not written');
    }
  }

  /** One that is there is counted up. */
  async #write(event: Event): Promise<void> {
    try {
      await this.#kube.create<Event>(EVENTS, event);
    } catch (err) {
      if (!isConflict(err)) throw err;
      const { namespace = '', name } = event.metadata;
      const before = await getIfThere<Event>(this.#kube, EVENTS, { namespace, name });
      if (before === undefined) return;
      await this.#kube.update(EVENTS, { ...before, count: before.count + 1, lastTimestamp: event.lastTimestamp });
    }
  }
}

type Event = KubeObject & {
  readonly apiVersion: string;
  readonly kind: string;
  readonly involvedObject: object;
  readonly reason: string;
  readonly message: string;
  readonly type: 'Normal' | 'Warning';
  readonly source: object;
  readonly firstTimestamp: string;
  readonly lastTimestamp: string;
  readonly count: number;
};
