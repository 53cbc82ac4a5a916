import type { Logger } from '@cable/kit';
import { addPod } from './add.ts';
import { checkPod } from './check.ts';
import {
  addClusterPod,
  checkClusterPod,
  collectClusterGarbage,
  deleteClusterPod,
  podDeviceIdOf,
  reportClusterStatus,
} from './cluster.ts';
import { deletePod } from './delete.ts';
import type { CniDeps } from './deps.ts';
import { CNI_CODE, CniError } from './errors.ts';
import { collectGarbage, type IsKept } from './gc.ts';
import { type CniCommand, type CniHeaders, type CniRequest, parseCniRequest } from './request.ts';
import { formatFailure } from './result.ts';
import { asking } from './server-api.ts';
import { Turns } from './turns.ts';

/** `body` is the JSON to print; the executable ends 0 exactly when `status` is 200. */
export type CniAnswer = { readonly status: 200 | 400 | 503; readonly body: string };

/** Answers `POST /cni`; never rejects. `gone` aborts when nobody waits for the answer any more: an ADD gives up then, as if it had failed. */
export type CniHandler = (headers: CniHeaders, body: string, gone: AbortSignal) => Promise<CniAnswer>;

/** The CNI plug-in's behaviour. Calls for one interface of a container, or of a pod of a cluster, run one after the other, all others at once. */
export function createHandler(deps: CniDeps): CniHandler {
  const turns = new Turns();
  const isRunning: IsKept = (containerId, interfaceName) => turns.has(turnOf(containerId, interfaceName));
  return async (headers, body, gone) => {
    try {
      const request = parseCniRequest(headers, body);
      const commands = commandsOf(request, deps, { isRunning, gone });
      return { status: 200, body: await turns.run(turnsOf(request), () => run(request, commands, deps.log)) };
    } catch (err) {
      return failure(deps.log, err, body, gone);
    }
  };
}

type Commands = { readonly [command in CniCommand]: () => Promise<string | undefined> };

function commandsOf(
  request: CniRequest,
  deps: CniDeps,
  { isRunning, gone }: { readonly isRunning: IsKept; readonly gone: AbortSignal },
): Commands {
  const { conf } = request;
  if (conf.mode === 'cluster') {
    const ofCluster = { ...request, conf };
    return {
      ADD: () => addClusterPod(ofCluster, deps, gone),
      DEL: silent(() => deleteClusterPod(ofCluster, deps)),
      CHECK: silent(() => checkClusterPod(ofCluster, deps)),
      GC: silent(() => collectClusterGarbage(ofCluster, deps, isRunning)),
      STATUS: silent(async () => reportClusterStatus(ofCluster, deps)),
    };
  }
  return {
    ADD: () => addPod({ ...request, conf }, deps, gone),
    DEL: silent(() => deletePod(request, deps)),
    CHECK: silent(() => checkPod(request, deps)),
    GC: silent(() => collectGarbage(request, deps, isRunning)),
    STATUS: silent(() => reportStatus(deps)),
  };
}

function silent(call: () => Promise<void>): () => Promise<undefined> {
  return async () => {
    await call();
    return undefined;
  };
}

/** A pod of a cluster keeps its port when it gets another container: their calls are about one link. */
function turnsOf(request: CniRequest): readonly string[] {
  const { command, containerId, interfaceName, podUid, conf } = request;
  if (command === 'STATUS' || command === 'GC') return [];
  const container = turnOf(containerId, interfaceName);
  return conf.mode === 'cluster' && podUid !== '' ? [container, `pod ${podDeviceIdOf(request)}`] : [container];
}

function turnOf(containerId: string, interfaceName: string): string {
  return `container ${containerId}:${interfaceName}`;
}

async function run(request: CniRequest, commands: Commands, log: Logger): Promise<string> {
  const startedAt = performance.now();
  const { command, containerId, interfaceName } = request;
  const answer = (await commands[command]()) ?? '';
  const durationMs = Math.round((performance.now() - startedAt) * 10) / 10;
  log.debug({ command, containerId, interfaceName, durationMs }, 'cni call done');
  return answer;
}

/** ADD would work when the server answers. */
async function reportStatus(deps: CniDeps): Promise<void> {
  try {
    await asking('ask the server', deps.api.networks({ limit: '1', fields: 'id' }));
  } catch (err) {
    if (!(err instanceof CniError)) throw err;
    throw new CniError(CNI_CODE.notAvailable, err.message, err.remedy, err);
  }
}

function failure(log: Logger, err: unknown, body: string, gone: AbortSignal): CniAnswer {
  const known = err instanceof CniError ? err : undefined;
  if (gone.aborted && err === gone.reason) log.info({}, 'cni call given up: the plug-in was ended');
  else if (known === undefined) log.error({ err }, 'cni call failed by surprise');
  else log.warn({ code: known.code, reason: known.message }, 'cni call failed');
  const told =
    known ?? new CniError(CNI_CODE.ioFailure, 'the Cable agent failed', "see the agent's log, then report the bug");
  const later = told.code === CNI_CODE.tryAgainLater || told.code === CNI_CODE.notAvailable;
  return { status: later ? 503 : 400, body: formatFailure(told, versionIn(body)) };
}

/** The version of the answer is the one asked for, also when that is not spoken here. */
function versionIn(body: string): string {
  return /"cniVersion"\s*:\s*"([0-9.]{1,20})"/.exec(body)?.[1] ?? '1.1.0';
}
