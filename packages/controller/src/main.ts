/** `cable kube`: builds everything, in order, and stops it the other way round. */
import { createLogger, isExpected, sayLast } from '@cable/kit';
import { followTlsFiles } from '@cable/pki';
import { openCableAccess } from './cable-access.ts';
import { runController } from './controller.ts';
import { openKubeAccess } from './kube-access.ts';
import { manifests } from './manifests.ts';
import { parseCommandLine, parseManifestsLine } from './options.ts';

if (process.argv[2] === 'manifests') {
  process.stdout.write(manifests(parseManifestsLine(process.argv.slice(3), process.env)));
  process.exit(0);
}
const options = parseCommandLine(process.argv.slice(2), process.env);
const log = createLogger(options.logLevel);
const stop = new AbortController();
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
