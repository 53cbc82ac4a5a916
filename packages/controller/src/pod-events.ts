/** What users of Kubernetes are told of a pod: `kubectl describe pod` shows it. */
import { createHash } from 'node:crypto';
import type { Logger } from '@cable/kit';
import { isConflict, isNotFound, type KubeApi, type KubeObject } from '@cable/kube';
import { EVENTS, type PodFacts } from './pod-facts.ts';

/** The same is told anew no sooner. */
const AGAIN_MS = 5 * 60_000;

type Told = { readonly message: string; readonly atMs: number };

export class PodEvents {
  readonly #kube: Pick<KubeApi, 'create' | 'get' | 'update'>;
  readonly #log: Logger;
  readonly #told = new Map<string, Told>();

  constructor(kube: Pick<KubeApi, 'create' | 'get' | 'update'>, log: Logger) {
    this.#kube = kube;
    this.#log = log;
  }

  /** Nothing is wrong with the pod of that key (any more). */
  well(key: string): void {
    this.#told.delete(key);
  }

  /** A warning. That it could not be told is logged, and no failure. */
  async warn({ namespace, name, uid }: PodFacts, reason: string, message: string): Promise<void> {
    const key = `${namespace}/${name}`;
    const before = this.#told.get(key);
    if (before?.message === message && performance.now() - before.atMs < AGAIN_MS) return;
    this.#told.set(key, { message, atMs: performance.now() });
    this.#log.warn({ pod: key, reason, message }, 'pod');
    const id = createHash('sha256').update(`${uid} ${reason} ${message}`).digest('hex').slice(0, 16);
    const now = new Date().toISOString().replace(/\.\d+Z$/, 'Z');
    const event: Event = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: `${name}.${id}`, namespace },
      involvedObject: { apiVersion: 'v1', kind: 'Pod', namespace, name, uid },
      ...{ reason, message: message.slice(0, 1024), type: 'Warning', source: { component: 'cable' } },
      ...{ firstTimestamp: now, lastTimestamp: now, count: 1 },
    };
    try {
      await this.#write(event);
    } catch (err) {
      this.#log.warn({ err, pod: key }, 'the event was not written');
    }
  }

  /** One that is there is counted up. */
  async #write(event: Event): Promise<void> {
    try {
      await this.#kube.create<Event>(EVENTS, event);
    } catch (err) {
      if (!isConflict(err)) throw err;
      const { namespace = '', name } = event.metadata;
      const before = await this.#kube.get<Event>(EVENTS, { namespace, name }).catch((cause: unknown) => {
        if (isNotFound(cause)) return undefined;
        throw cause;
      });
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
  readonly type: 'Warning';
  readonly source: object;
  readonly firstTimestamp: string;
  readonly lastTimestamp: string;
  readonly count: number;
};
