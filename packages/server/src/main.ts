/** `cable server`: builds everything, in order, and stops it the other way round. */
import { createLogger, isExpected, sayLast } from '@cable/kit';
import { BUILT_IN_EXTENSIONS, BUILT_IN_REGISTRY, CORE_RESOURCES, composeRegistry } from '@cable/model';
import { openStore } from '@cable/store';
import { AuditFile } from './audit/audit-file.ts';
import { createAuditLog } from './audit/audit-log.ts';
import { CONNECTION_LIMITS, Connections } from './connections.ts';
import { createDirectoryReader } from './extensions/directory.ts';
import { outliveStrays } from './extensions/strays.ts';
import { createUpgradeHandler } from './hosts/upgrade.ts';
import { noauth } from './http/auth.ts';
import { authenticateByDoor } from './http/door-authenticator.ts';
import { openKeystone } from './identity/identity.ts';
import { limitSettingsOf } from './limits/limit-options.ts';
import { listen } from './listen.ts';
import { novaOf } from './nova/nova-api.ts';
import { oneAtATime } from './one-at-a-time.ts';
import { parseCommandLine, segmentRangesOf } from './options.ts';
import { openJoining } from './pki/joining.ts';
import { PolicyFollower, readPolicyFile } from './policy/policy-follower.ts';
import { PolicySource } from './policy/policy-source.ts';
import { gluonPath } from './protons/gluon-path.ts';
import { startServer } from './server.ts';
import { openEtcdTls } from './tls/etcd-tls.ts';
import { openServerTls } from './tls/server-tls.ts';
import { createTlsDoor } from './tls/tls-door.ts';

const options = parseCommandLine(process.argv);
const log = createLogger(options.logLevel);
const stopAsked = new Promise<string>((resolve) => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve(signal));
});
const stopping = new AbortController();
void stopAsked.then(() => stopping.abort());

// It may be asked for before there is a server. Without anything to read anew the signal ends the process, as it does by default.
let isReloadAsked = false;
let reload = (): void => {
  isReloadAsked = true;
};
const { limitsFile } = options.shares;
if ([options.extensions, options.policyFile, limitsFile, options.auditLog].some((file) => file !== undefined))
  process.on('SIGHUP', () => reload());
if (options.extensions !== undefined) outliveStrays(log.child('extensions'));

// What has been built, newest last; on any end it is stopped the other way round, or the process would stay.
const built: (() => Promise<void>)[] = [async () => stopping.abort()];

try {
  const tls =
    options.tls === undefined
      ? undefined
      : await openServerTls(options.tls, { log: log.child('tls'), signal: stopping.signal });
  const joining =
    tls === undefined || options.pki === undefined
      ? undefined
      : await openJoining(options.pki, tls, { log: log.child('pki'), signal: stopping.signal });
  const auditFile =
    options.auditLog === undefined
      ? undefined
      : await AuditFile.open(options.auditLog, {
          ...{ log: log.child('audit'), now: () => new Date(), monotonicMs: () => performance.now() },
        });
  if (auditFile !== undefined) built.push(() => auditFile.close());
  const etcdTls =
    options.etcdTls === undefined
      ? undefined
      : await openEtcdTls(options.etcdTls, { log: log.child('store'), signal: stopping.signal });
  const store = await openStore(options.store, {
    log: log.child('store'),
    ...(etcdTls === undefined ? {} : { etcdTls }),
  });
  built.push(() => store.close());
  const identity =
    options.keystone === undefined
      ? undefined
      : openKeystone(options.keystone, {
          ...{ log: log.child('keystone'), monotonicMs: () => performance.now() },
          proxies: { proxies: options.shares.trustedProxy, header: options.shares.proxyHeader },
        });
  if (identity !== undefined) built.push(() => identity.close());
  const tlsDoor =
    tls === undefined
      ? undefined
      : createTlsDoor({
          ...{ tls, isOurs: options.pki !== undefined, now: () => Date.now() },
          ...(identity === undefined ? {} : { next: identity.authenticate }),
          ...{ log: log.child('tls'), signal: stopping.signal },
        });
  const authenticate = authenticateByDoor({
    ...{ unix: noauth(), plain: identity?.authenticate ?? noauth() },
    ...(tlsDoor === undefined ? {} : { tls: tlsDoor.authenticate }),
  });
  const policy = new PolicySource(
    options.policyDefaults,
    options.policyFile === undefined ? undefined : readPolicyFile(options.policyFile),
  );
  const connections = new Connections({ ...CONNECTION_LIMITS, open: options.maxConnections });
  const ranges = segmentRangesOf(options);
  const server = await startServer({
    store,
    registry: BUILT_IN_REGISTRY,
    ...(options.extensions === undefined
      ? {}
      : {
          extensions: {
            read: createDirectoryReader(options.extensions, log.child('extensions'), stopping.signal),
          },
        }),
    compose: (added) => composeRegistry(CORE_RESOURCES, [...BUILT_IN_EXTENSIONS, ...added]),
    authenticate,
    policy,
    settings: {
      underlayMtuBytes: options.underlayMtu,
      overlayIpVersion: options.overlayIpVersion,
      quotas: options.quota,
      tenants: options.auth === 'keystone',
      ...(ranges === undefined ? {} : { segmentRanges: ranges }),
      ...(options.bgpAs === undefined ? {} : { bgpAs: options.bgpAs }),
      ...(options.contrailPortStatus === 'attached' ? { pluginPorts: options.contrailPortStatus } : {}),
      hostsHaveCertificates: tls !== undefined,
      hostCertificateMs: options.hostCertificateMs,
    },
    ...(joining === undefined ? {} : { joining }),
    ...(auditFile === undefined ? {} : { audit: createAuditLog(auditFile, () => new Date()) }),
    isStoreShared: !options.store.startsWith('lmdb:'),
    limits: { writes: options.maxWrites, lists: options.maxLists, bodyBytes: options.maxBodyMib << 20 },
    shares: limitSettingsOf(options.shares),
    connections,
    ...(identity === undefined ? {} : { tokens: () => identity.book.counts }),
    ...(identity === undefined || options.nova === undefined ? {} : { nova: novaOf(identity.session) }),
    log,
  });
  built.push(() => server.stop());
  const follower =
    options.policyFile === undefined
      ? undefined
      : new PolicyFollower({
          ...{ file: options.policyFile, take: server.takePolicy },
          ...{ log: log.child('policy'), signal: stopping.signal },
        });
  if (follower !== undefined) {
    built.push(() => {
      stopping.abort();
      return follower.done;
    });
  }
  const takeLimits = (): void => {
    if (limitsFile === undefined) return;
    try {
      server.shares.take(limitSettingsOf(options.shares));
      log.info({ file: limitsFile }, 'limits file is in force');
    } catch (err) {
      log.error({ err }, 'limits file is not taken: the limits of before are in force');
    }
  };
  reload = oneAtATime(async () => {
    auditFile?.reopen();
    follower?.reread();
    takeLimits();
    if (options.extensions === undefined) return;
    await server.reload().then(
      () => log.info({ extensions: server.deps.resources.current.registry.extensions.length }, 'extensions are loaded'),
      (err: unknown) => log.error({ err }, 'extensions were not loaded: everything is as it was'),
    );
  });
  if (isReloadAsked) reload();
  tlsDoor?.know(server.tables);
  const handle = {
    request: (request, reply) => server.app.routing(request, reply),
    upgrade: createUpgradeHandler({
      ...{ authenticate, log, countError: server.countError },
      admit: (request) => server.shares.enterByAddress(request).leave(),
      permit: (caller, place) => server.permitAgent(caller, place),
      open: async (host) => {
        const take = await server.openStream(host);
        return (socket) => {
          take(socket);
          tlsDoor?.follow(host, socket);
        };
      },
    }),
  } satisfies Parameters<typeof listen>[0];
  const listeners = await listen(handle, options.listen, connections, tls);
  const gluon = {
    request: (request, reply) => {
      request.url = gluonPath(request.url);
      server.app.routing(request, reply);
    },
  } satisfies Parameters<typeof listen>[0];
  const others = await listen(gluon, options.protonListen, connections, tls).catch(async (err: unknown) => {
    await listeners.stop();
    throw err;
  });
  for (const url of listeners.urls) process.stdout.write(`listening on ${url}\n`);
  for (const url of others.urls) process.stdout.write(`listening for clients of Gluon on ${url}\n`);
  log.info({ urls: listeners.urls, revision: server.tables.revision }, 'server is ready');

  const signal = await stopAsked;
  log.info({ signal }, 'server stops');
  // Streams end before the listeners are waited for: they would keep their connections open.
  const closed = Promise.all([listeners.stop(), others.stop()]);
  await server.stop();
  await closed;
} catch (err) {
  if (!isExpected(err)) log.error({ err }, 'server failed');
  sayLast(`cable server: ${err instanceof Error ? err.message : String(err)}`);
  process.exitCode = 1;
} finally {
  for (const stop of built.reverse()) await stop();
}
