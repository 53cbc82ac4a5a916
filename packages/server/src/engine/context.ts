import type { Caller } from '@cable/api';
import type { Logger } from '@cable/kit';
import type { Store } from '@cable/store';
import type { AddressBook } from '../resources/address-book.ts';
import type { Tables } from '../tables.ts';
import type { KeyedLock } from './keyed-lock.ts';
import type { HookTable } from './module.ts';
import type { TxnPlan } from './plan.ts';
import type { ResourceRegistry } from './registry.ts';

/** What the operator chose. */
export type Settings = {
  /** Largest packet the underlay carries; a network's default MTU is less by the tunnel header. */
  readonly underlayMtuBytes: number;
};

/** What the services need. One value a process. */
export type ServiceDeps = {
  readonly store: Pick<Store, 'list' | 'txn'>;
  readonly tables: Tables;
  readonly resources: ResourceRegistry;
  readonly hooks: HookTable;
  readonly addresses: AddressBook;
  /** Keys that a transaction under way on this server is about to claim. */
  readonly reservations: Set<string>;
  readonly lock: KeyedLock;
  readonly settings: Settings;
  readonly log: Logger;
  readonly now: () => Date;
  /** 0..1. */
  readonly random: () => number;
  readonly newId: () => string;
};

/** What a hook works with while one attempt of a transaction is planned. */
export type WriteContext = {
  readonly deps: ServiceDeps;
  readonly tables: Tables;
  readonly plan: TxnPlan;
  readonly caller: Caller;
  /** Time of the request, ISO 8601 in whole seconds, UTC. */
  readonly timestamp: string;
  /** 0 for the first; later ones choose at random, so that servers that fight over one value part. */
  readonly attempt: number;
  /** True: the owner of a service's objects acts (a router on its interfaces), not a client on the generic routes. */
  readonly isService: boolean;
};
