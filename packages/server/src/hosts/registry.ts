import { CableError, type Host, type HostRegistration } from '@cable/model';
import type { Compare, Op, Store } from '@cable/store';
import { aliveKey, objectKey, underlayKey } from '../keys.ts';
import { storeErrorCode } from '../store-errors.ts';
import type { Tables } from '../tables.ts';

/** A host whose agent is silent for so long is not alive. Agents report every 5 s. */
export const LEASE_TTL_SECONDS = 20;
/** A lease that was kept alive so recently is not asked about again: reports come in bursts. */
const LEASE_FRESH_MS = 4000;
const ATTEMPTS = 8;

export type RegistryDeps = {
  readonly store: Pick<Store, 'get' | 'txn' | 'grantLease' | 'keepAlive' | 'revokeLease'>;
  readonly tables: Pick<Tables, 'of' | 'waitFor'>;
  readonly now: () => Date;
};

type Lease = { readonly id: string; readonly keptAt: number };

/** Makes hosts known, and keeps them alive while their agents report. */
export class HostRegistry {
  readonly #deps: RegistryDeps;
  readonly #leases = new Map<string, Lease>();

  constructor(deps: RegistryDeps) {
    this.#deps = deps;
  }

  /**
   * Writes the host, claims its underlay address and makes it alive; idempotent. Answers when the tables hold it. Throws
   * `UnderlayAddressInUse` when another host has the address.
   */
  async register(name: string, registration: HostRegistration): Promise<void> {
    const kept = await this.#keepLease(name);
    const lease = kept ?? (await this.#deps.store.grantLease(LEASE_TTL_SECONDS));
    try {
      await this.#write(name, registration, lease);
    } catch (err) {
      if (kept === undefined) await this.#deps.store.revokeLease(lease);
      throw err;
    }
    this.#leases.set(name, { id: lease, keptAt: this.#deps.now().getTime() });
  }

  /** Keeps the host alive. Throws `HostNotRegistered` when it is not: then it must register again. */
  async keepAlive(name: string): Promise<void> {
    const lease = this.#leases.get(name);
    const now = this.#deps.now().getTime();
    if (lease !== undefined && now - lease.keptAt < LEASE_FRESH_MS) return;
    const id = await this.#keepLease(name);
    if (id === undefined) throw notRegistered(name);
    this.#leases.set(name, { id, keptAt: now });
  }

  /** The host's lease is gone, whatever was believed. */
  forget(name: string): void {
    this.#leases.delete(name);
  }

  /** The id of the host's lease, kept alive once more; undefined: it has none. */
  async #keepLease(name: string): Promise<string | undefined> {
    const id = this.#leases.get(name)?.id ?? (await this.#deps.store.get(aliveKey(name)))?.lease ?? undefined;
    if (id === undefined) return undefined;
    try {
      if (await this.#deps.store.keepAlive(id)) return id;
    } catch (err) {
      if (storeErrorCode(err) !== 'lease-gone') throw err;
    }
    this.#leases.delete(name);
    return undefined;
  }

  async #write(name: string, registration: HostRegistration, lease: string): Promise<void> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const plan = await this.#plan(name, registration);
      const alive: Op = { kind: 'put', key: aliveKey(name), value: '{}', lease };
      const result = await this.#deps.store.txn(plan.compares, [...plan.ops, alive]);
      if (!result.ok) continue;
      await this.#deps.tables.waitFor(result.revision);
      return;
    }
    throw new CableError('TooManyRequestsAtOnce', `Host ${name} is being registered by several agents at once.`);
  }

  /** Reads the store itself: the tables may lag, and two registrations must not believe the same. */
  async #plan(name: string, registration: HostRegistration): Promise<{ compares: Compare[]; ops: Op[] }> {
    const { store, now } = this.#deps;
    const key = objectKey('host', name);
    const stored = await store.get(key);
    const before = stored === undefined ? undefined : (JSON.parse(stored.value) as Host);
    const claim = await this.#planClaim(name, registration.underlay);
    const compares: Compare[] = [
      stored === undefined ? { kind: 'absent', key } : { kind: 'modRevision', key, revision: stored.modRevision },
      ...claim.compares,
    ];
    const ops: Op[] = [...claim.ops];
    const at = `${now().toISOString().slice(0, 19)}Z`;
    const host: Host = {
      id: name,
      underlay: registration.underlay,
      agent_version: registration.agentVersion,
      created_at: before?.created_at ?? at,
      updated_at: at,
    };
    ops.push({ kind: 'put', key, value: JSON.stringify(host) });
    if (before !== undefined && before.underlay !== host.underlay) {
      const old = underlayKey(before.underlay);
      compares.push({ kind: 'value', key: old, value: name });
      ops.push({ kind: 'delete', key: old });
    }
    return { compares, ops };
  }

  /** Takes the address, also from a host that has been deleted or has moved to another. */
  async #planClaim(name: string, underlay: string): Promise<{ compares: Compare[]; ops: Op[] }> {
    const { store } = this.#deps;
    const key = underlayKey(underlay);
    const claim = await store.get(key);
    const put: Op = { kind: 'put', key, value: name };
    if (claim === undefined) return { compares: [{ kind: 'absent', key }], ops: [put] };
    const compares: Compare[] = [{ kind: 'modRevision', key, revision: claim.modRevision }];
    if (claim.value === name) return { compares, ops: [] };
    const holderKey = objectKey('host', claim.value);
    const holder = await store.get(holderKey);
    if (holder === undefined) return { compares: [...compares, { kind: 'absent', key: holderKey }], ops: [put] };
    if ((JSON.parse(holder.value) as Host).underlay === underlay) throw addressInUse(underlay, claim.value);
    compares.push({ kind: 'modRevision', key: holderKey, revision: holder.modRevision });
    return { compares, ops: [put] };
  }
}

/** The answer to a report or watch of a host that has to register first. */
export function notRegistered(name: string): CableError {
  return new CableError(
    'HostNotRegistered',
    `Host ${name} is not registered, or was silent for ${LEASE_TTL_SECONDS} s.`,
    {
      fields: { host: name },
    },
  );
}

function addressInUse(underlay: string, holder: string): CableError {
  return new CableError('UnderlayAddressInUse', `Underlay address ${underlay} belongs to host ${holder}.`, {
    fields: { underlay, host: holder },
  });
}
