/** `cable kube`: builds everything, in order, and stops it the other way round. */
import { createLogger, flushOutput, isExpected, sayLast } from '@cable/kit';
import { followTlsFiles } from '@cable/pki';
import { openCableAccess } from './cable-access.ts';
import { runController } from './controller.ts';
import { answerProbes, Health } from './health.ts';
import { writeChart } from './install/chart.ts';
import { POD_COMMANDS, parsePodCommand } from './install/commands.ts';
import { parseManifestsLine } from './install/manifests-line.ts';
import { openKubeAccess } from './kube-access.ts';
import { runConvert } from './kube-ovn/line.ts';
import { manifests } from './manifests.ts';
import { parseCommandLine } from './options.ts';

if (process.argv[2] === 'manifests') await printManifests();
if (process.argv[2] === 'convert') await printConverted();
if (POD_COMMANDS.some((word) => word === process.argv[2])) await runPodCommand();
const options = parseCommandLine(process.argv.slice(2), process.env);
const log = createLogger(options.logLevel);
const stop = new AbortController();
for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort());

try {
  const { server, cluster, own, ca } = options;
  const { signal } = stop;
  const health = new Health();
  const { probeListen } = options;
  const files = { own: own ?? null, ca: ca ?? null };
  const tls = own === undefined ? undefined : await followTlsFiles(files, () => {}, { log: log.child('tls'), signal });
  const cable = openCableAccess({ server, cluster, tls: tls === undefined ? undefined : () => tls.current });
  const kube = await openKubeAccess(options, { log: log.child('kube'), signal });
  log.info({ cluster, server, kubernetes: kube.server, identity: options.identity }, 'controller runs');
  const probes = probeListen === undefined ? undefined : answerProbes(probeListen, health, { log, signal });
  await Promise.all([probes, runController(options, { kube: kube.api, cable, health, log, signal })]);
  cable.close();
  kube.close();
} catch (err) {
  if (!isExpected(err)) log.error({ err }, 'controller failed');
  sayLast(`cable kube: ${err instanceof Error ? err.message : String(err)}`);
  process.exit(1);
}

/** Ends the process. */
async function printManifests(): Promise<never> {
  const line = parseManifestsLine(process.argv.slice(3), process.env);
  try {
    if (line.helm !== undefined) writeChart(line.helm);
    else process.stdout.write(manifests(line));
    await flushOutput();
    process.exit(0);
  } catch (err) {
    sayLast(`cable kube manifests: ${err instanceof Error ? err.message : String(err)}`);
    process.exit(1);
  }
}

/** Ends the process. */
async function printConverted(): Promise<never> {
  try {
    const { text, said, isWhole } = runConvert(process.argv.slice(3), process.env);
    for (const line of said) process.stderr.write(`cable kube convert: ${line}\n`);
    process.stdout.write(text);
    await flushOutput();
    process.exit(isWhole ? 0 : 1);
  } catch (err) {
    sayLast(`cable kube convert: ${err instanceof Error ? err.message : String(err)}`);
    process.exit(1);
  }
}

/** Ends the process. */
async function runPodCommand(): Promise<never> {
  const run = parsePodCommand(process.argv.slice(2), process.env);
  const stopping = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stopping.abort());
  try {
    await run({ log: createLogger('info'), signal: stopping.signal });
    process.exit(0);
  } catch (err) {
    sayLast(`cable kube ${process.argv[2]}: ${err instanceof Error ? err.message : String(err)}`);
    process.exit(1);
  }
}
