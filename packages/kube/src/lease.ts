/** Who of several may act: a Lease of `coordination.k8s.io/v1`. */
import { type Logger, sleep } from '@cable/kit';
import type { KubeApi } from './kube-api.ts';
import { isConflict, isNotFound } from './kube-error.ts';
import type { KubeKind, KubeObject } from './kube-object.ts';

export type LeaseOptions = {
  readonly api: Pick<KubeApi, 'get' | 'create' | 'update'>;
  readonly namespace: string;
  readonly name: string;
  /** Of this process and no other. */
  readonly identity: string;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly timing?: LeaseTiming;
};

/** As of Kubernetes' own components: 15 s, 10 s, 2 s. */
export type LeaseTiming = {
  /** How long others wait for a holder that says nothing. */
  readonly durationMs: number;
  /** A holder that could not renew for so long acts no more; less than `durationMs`. */
  readonly giveUpMs: number;
  readonly retryMs: number;
};

const TIMING: LeaseTiming = { durationMs: 15_000, giveUpMs: 10_000, retryMs: 2000 };

const LEASES: KubeKind = { group: 'coordination.k8s.io', version: 'v1', plural: 'leases', isNamespaced: true };

type Lease = KubeObject & {
  readonly apiVersion: string;
  readonly kind: string;
  readonly spec: {
    readonly holderIdentity?: string;
    readonly leaseDurationSeconds?: number;
    readonly acquireTime?: string;
    readonly renewTime?: string;
    readonly leaseTransitions?: number;
  };
};

/** What a holder has. */
export type HeldLease = {
  /** Aborts when others may have it. */
  readonly signal: AbortSignal;
  /** How often the Lease went from one to another: more than with any holder before. */
  readonly transitions: () => number;
  /** Lets it count from there on; for who knows of more, as after a Lease that was deleted and made anew. Resolves when it is written, or the signal has aborted. */
  readonly raise: (transitions: number) => Promise<void>;
};

/** What was last seen of the Lease, and when by the clock of this process: that of the holder may be wrong. */
type Seen = { readonly resourceVersion: string; readonly atMs: number };

/**
 * Runs `lead` while the Lease is this process's; the signal of what it gets aborts when that may not be so any more, and it must have returned before it is run again.
 * At the end the Lease is given back, so that nobody has to wait. Resolves after the signal aborts.
 */
export async function holdLease(options: LeaseOptions, lead: (held: HeldLease) => Promise<void>): Promise<void> {
  const { signal, log } = options;
  const timing = options.timing ?? TIMING;
  let seen: Seen | undefined;
  while (!signal.aborted) {
    const askedAt = performance.now();
    const tried = await attempt(() => within(timing.giveUpMs, acquire(options, timing, seen)));
    if (tried.err !== undefined) log.warn({ err: tried.err }, 'the Lease cannot be asked for');
    else if (tried.value.held !== undefined) {
      log.info({ lease: options.name, identity: options.identity }, 'acts: has the Lease');
      await leadWhile(options, timing, { held: tried.value.held, since: askedAt }, lead);
      seen = undefined;
      if (!signal.aborted) log.warn({ lease: options.name }, 'acts no more: the Lease was lost');
    } else seen = tried.value.seen;
    await sleep(timing.retryMs * (0.8 + 0.4 * Math.random()), signal);
  }
}

async function leadWhile(
  options: LeaseOptions,
  timing: LeaseTiming,
  from: { readonly held: Lease; readonly since: number },
  lead: (held: HeldLease) => Promise<void>,
): Promise<void> {
  const lost = new AbortController();
  const over = AbortSignal.any([options.signal, lost.signal]);
  let { held, since } = from;
  let least = 0;
  let wake = (): void => {};
  const raised: (() => void)[] = [];
  const raise = (to: number): Promise<void> => {
    if (over.aborted) return Promise.resolve();
    least = Math.max(least, to);
    wake();
    return new Promise((resolve) => raised.push(resolve));
  };
  const leading = lead({ signal: over, transitions: () => held.spec.leaseTransitions ?? 0, raise })
    .catch((err: unknown) => options.log.error({ err }, 'failed while it had the Lease'))
    .finally(() => lost.abort());
  while (!over.aborted) {
    if (least <= (held.spec.leaseTransitions ?? 0)) {
      const woken = new AbortController();
      wake = () => woken.abort();
      await sleep(timing.retryMs, AbortSignal.any([over, woken.signal]));
    }
    if (over.aborted) break;
    const askedAt = performance.now();
    const left = Math.max(1, timing.giveUpMs - (askedAt - since));
    const tried = await attempt(() => within(left, renew(options, timing, held, least)));
    if (tried.err === undefined) {
      [held, since] = [tried.value, askedAt];
      for (const tell of raised.splice(0)) tell();
    } else if (isConflict(tried.err) || isNotFound(tried.err)) break;
    else if (least > (held.spec.leaseTransitions ?? 0)) await sleep(timing.retryMs, over);
    if (performance.now() - since >= timing.giveUpMs) break;
  }
  lost.abort();
  for (const tell of raised.splice(0)) tell();
  await leading;
  await attempt(() => within(timing.giveUpMs, release(options, held)));
}

/** The Lease, if it is this one's now; else what is to be waited for. */
async function acquire(
  options: LeaseOptions,
  timing: LeaseTiming,
  seen: Seen | undefined,
): Promise<{ readonly held?: Lease; readonly seen?: Seen }> {
  const { api, namespace, name, identity } = options;
  const now = microTime();
  const mine = { holderIdentity: identity, leaseDurationSeconds: Math.ceil(timing.durationMs / 1000) };
  const found = await attempt(() => api.get<Lease>(LEASES, { namespace, name }));
  if (found.err !== undefined) {
    if (!isNotFound(found.err)) throw found.err;
    const spec = { ...mine, acquireTime: now, renewTime: now, leaseTransitions: 0 };
    const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name, namespace }, spec };
    const made = await attempt(() => api.create<Lease>(LEASES, lease));
    if (made.err === undefined) return { held: made.value };
    if (isConflict(made.err)) return {};
    throw made.err;
  }
  const { spec, metadata } = found.value;
  const resourceVersion = metadata.resourceVersion ?? '';
  const holder = spec.holderIdentity ?? '';
  const theirs = (spec.leaseDurationSeconds ?? mine.leaseDurationSeconds) * 1000;
  const known = seen?.resourceVersion === resourceVersion ? seen : { resourceVersion, atMs: performance.now() };
  if (holder !== '' && holder !== identity && performance.now() - known.atMs < theirs) return { seen: known };
  const leaseTransitions = (spec.leaseTransitions ?? 0) + (holder === identity ? 0 : 1);
  const next = { ...found.value, spec: { ...spec, ...mine, acquireTime: now, renewTime: now, leaseTransitions } };
  const taken = await attempt(() => api.update<Lease>(LEASES, next));
  if (taken.err === undefined) return { held: taken.value };
  if (isConflict(taken.err)) return {};
  throw taken.err;
}

function renew({ api }: LeaseOptions, { durationMs }: LeaseTiming, held: Lease, least: number): Promise<Lease> {
  const leaseDurationSeconds = Math.ceil(durationMs / 1000);
  const leaseTransitions = Math.max(least, held.spec.leaseTransitions ?? 0);
  const spec = { ...held.spec, leaseDurationSeconds, leaseTransitions, renewTime: microTime() };
  return api.update<Lease>(LEASES, { ...held, spec });
}

/** Refused when somebody has it by now. */
async function release({ api }: LeaseOptions, held: Lease): Promise<void> {
  await api.update<Lease>(LEASES, { ...held, spec: { ...held.spec, holderIdentity: '', leaseDurationSeconds: 1 } });
}

/** `MicroTime`: RFC 3339 with six digits. */
function microTime(): string {
  return new Date().toISOString().replace('Z', '000Z');
}

type Tried<T> = { readonly err: undefined; readonly value: T } | { readonly err: Error; readonly value?: never };

async function attempt<T>(run: () => Promise<T>): Promise<Tried<T>> {
  try {
    return { err: undefined, value: await run() };
  } catch (err) {
    return { err: err instanceof Error ? err : new Error(String(err)) };
  }
}

function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('no answer in time')), ms);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
