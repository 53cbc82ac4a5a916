import { randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import type { Duplex } from 'node:stream';
import { ExpectedError, type Logger } from '@cable/kit';
import type { ExtensionDeclaration, Registry } from '@cable/model';
import type { KeyValue, Store } from '@cable/store';
import type { FastifyInstance } from 'fastify';
import type { AuditLog } from './audit/audit-log.ts';
import type { Arbiter } from './engine/arbiter.ts';
import { CatchUp } from './engine/catch-up.ts';
import { Changeover } from './engine/changeover.ts';
import type { EngineDeps, Settings } from './engine/context.ts';
import { ensureDefaultRanges } from './engine/default-ranges.ts';
import { Fences } from './engine/fences.ts';
import { ensureFirstRules } from './engine/first-rules.ts';
import { ensureFormat } from './engine/format.ts';
import { ensureIdSecret } from './engine/id-secret.ts';
import { KeyedLock } from './engine/keyed-lock.ts';
import { createKeyMaker } from './engine/keys-of.ts';
import { whatIsMissing } from './engine/loaded-types.ts';
import { Modules } from './engine/module.ts';
import { createIdMaker } from './engine/new-id.ts';
import { createPermission } from './engine/permission.ts';
import { ResourceRegistry } from './engine/registry.ts';
import { SlotBook } from './engine/slot-book.ts';
import { countedTypes } from './engine/slots.ts';
import { Sweeper } from './engine/tombstones.ts';
import type { LoadedExtension } from './extensions/extension.ts';
import { ExtensionLoader } from './extensions/loader.ts';
import { createAskHost } from './faults/ask-host.ts';
import { AskRelay } from './faults/ask-relay.ts';
import { guardStore } from './history/guarded-store.ts';
import { History } from './history/history.ts';
import { HostPlane } from './hosts/host-plane.ts';
import { permitAgent } from './hosts/permit-agent.ts';
import { addHostRoutes } from './hosts/routes.ts';
import { grantServerLease } from './hosts/server-lease.ts';
import { presenceOp } from './hosts/server-writer.ts';
import { sharedOptions } from './hosts/shared-options.ts';
import type { WriteStatus } from './hosts/status-writer.ts';
import { Streams } from './hosts/streams.ts';
import { ADMISSION_LIMITS, type AdmissionLimits } from './http/admission.ts';
import { createApp } from './http/app.ts';
import type { AuthenticatedCaller, Authenticator } from './http/auth.ts';
import type { CountError } from './http/error-handler.ts';
import { watchPauses } from './http/event-loop.ts';
import type { ConnectionCounts, TokenCounts } from './http/metrics.ts';
import { check } from './http/readiness.ts';
import type { LimitSettings, RequestLimits } from './limits/request-limits.ts';
import type { NovaPost } from './nova/nova-api.ts';
import { NovaNotifier } from './nova/nova-notifier.ts';
import type { Joining } from './pki/joining.ts';
import { PluginFollower } from './plugins/plugin-follower.ts';
import type { PluginTimes } from './plugins/plugin-runner.ts';
import { DEFAULT_RULES } from './policy/defaults/all.ts';
import type { PolicyOverrides } from './policy/policy-file.ts';
import { PolicySource } from './policy/policy-source.ts';
import type { ChangeRings } from './protons/change-rings.ts';
import { ProtonFollower } from './protons/follower.ts';
import type { ProtonParts } from './protons/parts.ts';
import { createProtonReader } from './protons/reader.ts';
import { AddressBook } from './resources/address-book.ts';
import { MODULES } from './resources/all.ts';
import { AnnouncedKeeper } from './resources/announced-keeper.ts';
import { DEFAULT_GROUP_INDEX } from './resources/default-group.ts';
import { DEFAULT_RULE_INDEX } from './resources/default-security-group-rule.ts';
import { GatewayKeeper } from './resources/gateway-keeper.ts';
import { HealthKeeper } from './resources/health-keeper.ts';
import { MacCursor } from './resources/mac-cursor.ts';
import { NodeGatewayKeeper } from './resources/node-gateway-keeper.ts';
import { RULE_MEANING_INDEX } from './resources/security-group-rule.ts';
import { SEGMENT_INDEX } from './resources/segment.ts';
import { SlaacKeeper } from './resources/slaac-keeper.ts';
import { SnatKeeper } from './resources/snat-keeper.ts';
import { SubnetPoolBook } from './resources/subnet-pool-book.ts';
import { SUBNET_ORDERS } from './resources/subnet-prefixes.ts';
import { compilerTables, SLICE_TABLES } from './slices/compiled-view.ts';
import { SliceStore } from './slices/slice-store.ts';
import { StoreHealth } from './store-health.ts';
import { Tables } from './tables.ts';

/** Version of the program, shown in /openapi.json. */
const VERSION = '0.1.0';

/** Longest silence of a stream. */
const KEEPALIVE_MS = 10_000;
/** An agent that takes nothing for so long is cut. */
const STALLED_MS = 30_000;

export type ServerOptions = {
  readonly store: Store;
  /** What is loaded whatever `extensions` brings. */
  readonly registry: Registry;
  /** What is loaded besides, now and at each reload. Absent: nothing. */
  readonly extensions?: ExtensionSource;
  /** The registry with what extensions and protons declare. Throws `DeclarationError`. Absent: there are none. */
  readonly compose?: (added: readonly ExtensionDeclaration[]) => Registry;
  readonly authenticate: Authenticator;
  readonly settings: Settings;
  /** What lets hosts join by this server; absent: they join elsewhere, or need not. */
  readonly joining?: Joining;
  /** What the operator says about rules. Default: nothing, so the secure defaults. */
  readonly policy?: PolicySource;
  /** False: no other process can have the store open. Default: true. */
  readonly isStoreShared?: boolean;
  readonly log: Logger;
  /** What is taken at once; what is not given is as in `ADMISSION_LIMITS`. */
  readonly limits?: Partial<AdmissionLimits>;
  /** What one address and one project may ask. Absent: any number of requests. */
  readonly shares?: LimitSettings;
  /** Connections of the listeners, for the metrics. */
  readonly connections?: ConnectionCounts;
  /** What became of tokens, for the metrics. */
  readonly tokens?: () => TokenCounts;
  /** Sends to Nova what is new of the ports of its servers. Absent: it is not told. */
  readonly nova?: NovaPost;
  /** How often plug-ins are asked how they are. */
  readonly pluginTimes?: PluginTimes;
  /** Told of each write. Absent: nobody is. */
  readonly audit?: AuditLog;
  readonly now?: () => Date;
  /** Milliseconds that never go back. Default: the process's. */
  readonly monotonicMs?: () => number;
  readonly random?: () => number;
};

/** Where extensions that are loaded at run time come from. */
export type ExtensionSource = {
  /** Throws `ExtensionError`. */
  readonly read: () => Promise<readonly LoadedExtension[]>;
};

/** One control-plane server without its listeners. */
export type CableServer = {
  readonly app: FastifyInstance;
  readonly plane: HostPlane<SliceStore, Streams>;
  readonly tables: Tables;
  readonly deps: EngineDeps;
  /** Counts an error that was answered outside of `app`. */
  readonly countError: CountError;
  /** What one address and one project may ask. */
  readonly shares: RequestLimits;
  /** Lets a host's agent in; what it gives takes the upgraded connection over. Throws a `CableError`: refused. */
  openStream(host: string): Promise<(socket: Duplex) => void>;
  /** Throws `PolicyNotAuthorized` for a caller whom the rules do not take for an agent. */
  permitAgent(caller: AuthenticatedCaller, place: { readonly host: string; readonly socket: object }): void;
  /** Reads the extensions anew and loads what there is. Throws `ExtensionError`, or what the store says; nothing has changed then. */
  reload(): Promise<void>;
  /** Takes the operator's rules of another reading of the file. Throws `PolicyFileError`; then those of before are in force. */
  takePolicy(overrides: PolicyOverrides): void;
  /** Refuses to be ready, ends streams and loops. The store stays open. Idempotent. */
  stop(): Promise<void>;
};

/** What has been started of a server. The signal ends `tables` and `history`. */
type Running = {
  readonly abort: AbortController;
  tables?: Tables;
  history?: History;
  sweeper?: Sweeper;
  slaac?: SlaacKeeper;
  gateways?: GatewayKeeper;
  announced?: AnnouncedKeeper;
  nodeGateways?: NodeGatewayKeeper;
  relay?: AskRelay;
  health?: HealthKeeper;
  nova?: NovaNotifier;
  snat?: SnatKeeper;
  protons?: ProtonFollower;
  protonParts?: ProtonParts;
  plugins?: PluginFollower;
  plane?: HostPlane<SliceStore, Streams>;
  app?: FastifyInstance;
};

/** Builds the server and takes in the store's content. Throws when the store cannot be listed, or not be written to; nothing runs then. */
export async function startServer(options: ServerOptions): Promise<CableServer> {
  const running: Running = { abort: new AbortController() };
  // Each loop of the server listens to it: more than Node takes for a leak.
  setMaxListeners(100, running.abort.signal);
  try {
    return await build(options, running);
  } catch (err) {
    await halt(running);
    throw err;
  }
}

async function halt(running: Running): Promise<void> {
  const { abort, tables, history, sweeper, slaac, gateways, nodeGateways, announced, snat, health, nova, relay } =
    running;
  const { plane, app, protons, protonParts, plugins } = running;
  await plane?.stop();
  abort.abort();
  const keepers = [slaac, gateways, nodeGateways, announced, snat, health];
  const loops = [history, sweeper, ...keepers, nova, relay, protons, protonParts, plugins].map((one) => one?.done);
  await Promise.all([tables?.stopped(), ...loops]);
  await app?.close();
}

function refuseUnknownQuotas(resources: ResourceRegistry, { quotas = {} }: Settings): void {
  const counted = countedTypes(resources);
  const unknown = Object.keys(quotas).find((type) => !counted.includes(type));
  if (unknown === undefined) return;
  throw new ExpectedError(`--quota: ${unknown} is not counted: give one of ${counted.join(', ')}`);
}

async function build(options: ServerOptions, running: Running): Promise<CableServer> {
  const { log, now = () => new Date(), monotonicMs = () => performance.now(), random = Math.random } = options;
  const { audit } = options;
  const { abort } = running;
  const policy = options.policy ?? new PolicySource();
  const loader = await loadExtensions(options, policy);
  const resources = new ResourceRegistry(loader.loadout.resources);
  refuseUnknownQuotas(resources, options.settings);
  const addresses = new AddressBook();
  const slots = new SlotBook();
  const subnetPools = new SubnetPoolBook();
  // What finds another history is built on what it is told of; so it is told by way of these.
  const told: { reopened: () => void; fell: () => void; marked: (mark: KeyValue) => void } = {
    reopened: () => {},
    fell: () => {},
    marked: () => {},
  };
  const health = new StoreHealth({ revision: () => tables.revision, monotonicMs });
  const store = guardStore(health.watch(options.store), { revision: () => tables.revision, onFall: () => told.fell() });
  const tables: Tables = new Tables({
    store,
    resources: resources.all,
    log: log.child('tables'),
    signal: abort.signal,
    derived: SLICE_TABLES,
    extra: {
      network: { indexes: SEGMENT_INDEX },
      security_group: { indexes: DEFAULT_GROUP_INDEX },
      security_group_rule: { indexes: RULE_MEANING_INDEX },
      default_security_group_rule: { indexes: DEFAULT_RULE_INDEX },
      subnet: { orders: SUBNET_ORDERS },
    },
    onReopen: () => told.reopened(),
    onMark: (mark) => told.marked(mark),
  });
  running.tables = tables;
  addresses.follow(tables);
  slots.follow(tables);
  subnetPools.follow(tables);
  await tables.start();
  await loader.takeProtons({ tables, resources });
  const { loadout } = loader;
  const modules = new Modules(loadout.modules, loadout.rules);
  const keys = createKeyMaker(resources, modules);
  await ensureFormat({
    ...{ store, tables, resources, keys, addresses, monotonicMs },
    isStoreShared: options.isStoreShared ?? true,
    log: log.child('format'),
    signal: abort.signal,
  });
  await loader.enter({ store, tables, resources });
  const newId = createIdMaker(() => Date.now());
  const idSecret = await ensureIdSecret(store);
  await ensureDefaultRanges({ ...{ store, tables, resources, now, log }, settings: options.settings });
  await ensureFirstRules({ store, tables, resources, keys, addresses, newId });
  const server = randomUUID();
  const lease = await grantServerLease(store);
  const shared = sharedOptions(options.settings, options.policy?.defaults ?? 'secure');
  const history = await History.start({
    ...{ store, monotonicMs },
    presence: presenceOp(server, lease, shared),
    log: log.child('history'),
    signal: abort.signal,
    revision: () => tables.revision,
    isWriteAsked: () => health.isFull,
    onOther: async () => {
      if (running.plane === undefined) await tables.relist();
      else await running.plane.takeOver(() => tables.relist());
      running.relay?.restart();
      rings.current?.restart(tables.revision);
      health.restart();
    },
  });
  running.history = history;
  told.reopened = () => history.recheck();
  told.fell = () => history.fell();
  told.marked = (mark) => history.heard(mark);
  const { overlayIpVersion = 4 } = options.settings;
  const ofProtons: { current: WriteStatus | undefined } = { current: undefined };
  const plane = await HostPlane.start({
    ...{ store, tables, history, log, now, monotonicMs, server, lease, overlayIpVersion },
    shared,
    protons: () => Object.fromEntries(resources.current.protons),
    ofProtons,
    ...(audit === undefined ? {} : { wrote: audit.told }),
    makeSlices: (compiled, onError) => new SliceStore({ tables: compiled, onError }),
    makeStreams: (slices, streamPlane) =>
      new Streams({
        ...{ store: slices, plane: streamPlane, tables: compilerTables(tables) },
        log: log.child('streams'),
        keepaliveMs: KEEPALIVE_MS,
        stalledMs: STALLED_MS,
      }),
  });
  running.plane = plane;
  const rings: { current: ChangeRings | undefined; readonly history: History } = { current: undefined, history };
  const arbiter: { current: Arbiter | undefined } = { current: undefined };
  const changeover = new Changeover();
  const sweeper = new Sweeper({
    ...{ store, tables, resources, keys, changeover, addresses, monotonicMs },
    log: log.child('sweep'),
    signal: abort.signal,
  });
  running.sweeper = sweeper;
  const permission = createPermission(resources, modules, policy, log.child('policy'));
  const deps: EngineDeps = {
    store,
    tables,
    resources,
    modules,
    keys,
    permission,
    addresses,
    macs: new MacCursor(random),
    slots,
    subnetPools,
    reservations: new Set(),
    lock: new KeyedLock(),
    catchUp: new CatchUp({ store, tables }),
    changeover,
    fences: new Fences(resources, tables),
    ...{ rings, arbiter },
    composeProtons: (rows) => loader.compose(rows),
    sweeper,
    settings: options.settings,
    ...(options.joining === undefined ? {} : { joining: options.joining }),
    log: log.child('engine'),
    now,
    monotonicMs,
    random,
    newId,
    idSecret,
  };
  const snat = new SnatKeeper({ ...deps, log: log.child('snat'), signal: abort.signal });
  running.snat = snat;
  plane.onLeasesUsed((host, uses) => snat.takeUses(host, uses));
  const gateways = new GatewayKeeper({ ...deps, log: log.child('gateways'), signal: abort.signal });
  running.gateways = gateways;
  const nodeGateways = new NodeGatewayKeeper({ ...deps, log: log.child('gateway-nodes'), signal: abort.signal });
  running.nodeGateways = nodeGateways;
  running.slaac = new SlaacKeeper({ ...deps, log: log.child('slaac'), signal: abort.signal });
  const announced = new AnnouncedKeeper({ ...deps, log: log.child('announced'), signal: abort.signal });
  running.announced = announced;
  plane.onAnnounced((host, addresses) => announced.take(host, addresses));
  plane.onGatewaysTaken((host, ids) => {
    gateways.take(host, ids);
    nodeGateways.take(host, ids);
  });
  const relay = new AskRelay({
    ...{ store, server, revision: () => tables.revision, signal: abort.signal },
    lease: () => plane.lease,
    monotonicMs,
    askHere: (host, ask) => plane.streams.ask(host, ask),
    log: log.child('relay'),
  });
  running.relay = relay;
  running.health = new HealthKeeper({
    ...{ store, tables, monotonicMs },
    log: log.child('health'),
    signal: abort.signal,
  });
  if (options.nova !== undefined) {
    running.nova = new NovaNotifier({
      ...{ store, tables, server, monotonicMs, post: options.nova, others: arbiter },
      log: log.child('nova'),
      signal: abort.signal,
    });
  }
  const { nova } = running;
  const stopping = new AbortController();
  const pauses = watchPauses(monotonicMs, abort.signal);
  const {
    http: app,
    countError,
    shares,
  } = createApp({
    deps,
    authenticate: options.authenticate,
    limits: { ...ADMISSION_LIMITS, ...options.limits },
    ...(options.shares === undefined ? {} : { shares: options.shares }),
    ...(options.connections === undefined ? {} : { connections: options.connections }),
    ...(options.tokens === undefined ? {} : { tokens: options.tokens }),
    ...(nova === undefined ? {} : { nova: () => nova.counts }),
    ...(audit === undefined ? {} : { audit }),
    readiness: [
      check('stopping', () => (stopping.signal.aborted ? 'the server is stopping' : undefined)),
      check('history', () => (history.isOther ? 'the store has another history, which is being taken in' : undefined)),
      ...health.checks(),
      check('extensions', () => whatIsMissing(deps)),
      pauses,
    ],
    log: log.child('http'),
    version: VERSION,
    askHost: createAskHost({ tables, streams: plane.streams, relay, server }),
    addHostRoutes: (scope) => addHostRoutes(scope, plane),
  });
  running.app = app;
  await app.ready();
  const stop = async (): Promise<void> => {
    stopping.abort();
    await plane.stop();
    // What clients were told last is vouched for, so that the end of this server's lease estranges none of them.
    await history.renew().catch((err: unknown) => log.warn({ err }, 'last mark was not written'));
    await halt(running);
  };
  running.protons = new ProtonFollower({
    ...{ tables, resources },
    start: async () => {
      if (running.protonParts !== undefined) return;
      const { startParts } = await import('./protons/parts.ts');
      const parts = startParts(deps, { log: log.child('protons'), signal: abort.signal });
      running.protonParts = parts;
      rings.current = parts.rings;
      arbiter.current = parts.arbiter;
      ofProtons.current = parts.writeStatus;
      plane.lookAtProtons();
    },
    load: async () => {
      await loader.reloadProtons({ ...deps, store });
      plane.tellOthers();
    },
    log: log.child('protons'),
    signal: abort.signal,
  });
  running.plugins = new PluginFollower({
    ...{ ...deps, store, server, log: log.child('plugins'), signal: abort.signal },
    ...(options.pluginTimes === undefined ? {} : { times: options.pluginTimes }),
  });
  const openStream = async (host: string): Promise<(socket: Duplex) => void> => {
    await plane.ready(host);
    return (socket) => plane.streams.open(host, socket);
  };
  const reload = (): Promise<void> => loader.reload({ ...deps, store });
  return {
    ...{ app, plane, tables, deps, countError, shares, openStream, reload, stop },
    permitAgent: (caller, place) => permitAgent(deps, caller, place),
    takePolicy: permission.take,
  };
}

function loadExtensions(options: ServerOptions, policy: PolicySource): Promise<ExtensionLoader> {
  const { registry, extensions, log } = options;
  const { read = () => Promise.resolve([]) } = extensions ?? {};
  const compose = (added: readonly ExtensionDeclaration[]): Registry =>
    added.length === 0 ? registry : (options.compose?.(added) ?? registry);
  const base = { compose, modules: MODULES, rules: DEFAULT_RULES, policy };
  return ExtensionLoader.read({
    base,
    read,
    readProtons: createProtonReader(log.child('protons')),
    log: log.child('extensions'),
  });
}
