import { randomUUID } from 'node:crypto';
import type { Logger } from '@cable/kit';
import type { ResourceModel } from '@cable/model';
import type { Store } from '@cable/store';
import type { FastifyInstance } from 'fastify';
import { HOOKS } from './hooks/hooks.ts';
import { createHostPlane } from './hosts/host-plane.ts';
import { addHostRoutes } from './hosts/routes.ts';
import { createApp } from './http/app.ts';
import type { Authenticator } from './http/auth.ts';
import { AddressBook } from './services/address-book.ts';
import type { ServiceDeps, Settings } from './services/context.ts';
import { KeyedLock } from './services/keyed-lock.ts';
import { ResourceIndex } from './services/resource-index.ts';
import { addRouterInterface, removeRouterInterface } from './services/router-interfaces.ts';
import { SLICE_TABLES } from './slices/tables.ts';
import { Tables } from './tables.ts';

/** Version of the program, shown in /openapi.json. */
const VERSION = '0.1.0';

export type ServerOptions = {
  readonly store: Store;
  readonly resources: readonly ResourceModel[];
  readonly authenticate: Authenticator;
  readonly settings: Settings;
  readonly log: Logger;
  readonly now?: () => Date;
  readonly random?: () => number;
};

/** One control-plane server without its listeners. */
export type CableServer = {
  readonly app: FastifyInstance;
  readonly tables: Tables;
  readonly deps: ServiceDeps;
  /** Refuses to be ready, ends streams and loops. The store stays open. Idempotent. */
  stop(): Promise<void>;
};

/** Builds the server and takes in the store's content. Throws when the store cannot be listed. */
export async function startServer(options: ServerOptions): Promise<CableServer> {
  const { store, log } = options;
  const abort = new AbortController();
  const resources = new ResourceIndex(options.resources);
  const addresses = new AddressBook();
  const tables = new Tables({
    store,
    resources: resources.all,
    log: log.child('tables'),
    signal: abort.signal,
    derived: SLICE_TABLES,
  });
  addresses.follow(tables);
  await tables.start();
  const plane = createHostPlane({ store, tables, log, ...(options.now ? { now: options.now } : {}) });
  const deps: ServiceDeps = {
    store,
    tables,
    resources,
    hooks: HOOKS,
    addresses,
    reservations: new Set(),
    lock: new KeyedLock(),
    settings: options.settings,
    log: log.child('services'),
    now: options.now ?? (() => new Date()),
    random: options.random ?? Math.random,
    newId: randomUUID,
  };
  const app = createApp({
    deps,
    authenticate: options.authenticate,
    actions: {
      'router.add_router_interface': addRouterInterface,
      'router.remove_router_interface': removeRouterInterface,
    },
    log: log.child('http'),
    version: VERSION,
    isReady: () => !abort.signal.aborted,
    addHostRoutes: (scope) => addHostRoutes(scope, plane),
  });
  await app.ready();
  const stop = async (): Promise<void> => {
    await plane.stop();
    abort.abort();
    await tables.stopped();
    await app.close();
  };
  return { app, tables, deps, stop };
}
