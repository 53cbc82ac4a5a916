/** A kind whose definition may not be installed: the controller goes on without it, and follows it as soon as it is there. */
import { type Logger, sleep } from '@cable/kit';
import { type KubeApi, KubeError, type KubeKind, type KubeObject, Reflector } from '@cable/kube';

export type OptionalKindOptions<T extends KubeObject, K> = {
  readonly api: KubeApi;
  readonly kind: KubeKind;
  readonly keep: (object: T) => K;
  readonly changed: (key: string) => void;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

/** How often it is asked whether a kind is there, until it is known. */
const ASK_MS = 2000;

export class OptionalKind<T extends KubeObject, K> {
  readonly list: Reflector<T, K>;
  /** Resolves when either all of it is known, or that it is not there. */
  readonly known: Promise<unknown>;
  #isSynced = false;

  constructor(options: OptionalKindOptions<T, K>) {
    this.list = new Reflector<T, K>({ ...options, isOptional: true });
    void this.list.synced.then(() => {
      this.#isSynced = true;
    });
    this.known = Promise.race([this.list.synced, isAbsent(options)]);
  }

  /** False: nothing is known of it, as when its definition is not installed. */
  get isThere(): boolean {
    return this.#isSynced;
  }
}

/** Resolves when the API server says that it has no such kind, or that this controller may not see it. */
export async function isAbsent({
  api,
  kind,
  log,
  signal,
}: Pick<OptionalKindOptions<KubeObject, unknown>, 'api' | 'kind' | 'log' | 'signal'>): Promise<void> {
  while (!signal.aborted) {
    try {
      await api.list(kind, { limit: 1, signal });
      // It is there, and will be listed.
      return await new Promise(() => {});
    } catch (err) {
      if (err instanceof KubeError && (err.status === 404 || err.status === 403)) {
        log.info({ kind: kind.plural, status: err.status }, 'there is no such kind: goes on without');
        return;
      }
    }
    await sleep(ASK_MS, signal);
  }
}
