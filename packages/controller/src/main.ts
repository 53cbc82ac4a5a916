/** `cable kube`: builds everything, in order, and stops it the other way round. */
import { setMaxListeners } from 'node:events';
import { createLogger, isExpected, sayLast } from '@cable/kit';
import { followTlsFiles } from '@cable/pki';
import { openCableAccess } from './cable-access.ts';
import { runController } from './controller.ts';
import { openKubeAccess } from './kube-access.ts';
import { parseCommandLine } from './options.ts';

const options = parseCommandLine(process.argv.slice(2), process.env);
const log = createLogger(options.logLevel);
const stop = new AbortController();
// Each reflector, queue and watch listens to it: more than Node takes for a leak.
setMaxListeners(100, stop.signal);
for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort());

try {
  const { server, cluster, own, ca } = options;
  const { signal } = stop;
  const files = { own: own ?? null, ca: ca ?? null };
  const tls = own === undefined ? undefined : await followTlsFiles(files, () => {}, { log: log.child('tls'), signal });
  const cable = openCableAccess({ server, cluster, tls: tls === undefined ? undefined : () => tls.current });
  const kube = await openKubeAccess(options, { log: log.child('kube'), signal });
  log.info({ cluster, server, kubernetes: kube.server, identity: options.identity }, 'controller runs');
  await runController(options, { kube: kube.api, cable, log, signal });
  cable.close();
  kube.close();
} catch (err) {
  if (!isExpected(err)) log.error({ err }, 'controller failed');
  sayLast(`cable kube: ${err instanceof Error ? err.message : String(err)}`);
  process.exit(1);
}
