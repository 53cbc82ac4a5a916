import type { Logger } from '@cable/kit';
import { addPod } from './add.ts';
import { checkPod } from './check.ts';
import { deletePod } from './delete.ts';
import type { CniDeps } from './deps.ts';
import { CNI_CODE, CniError } from './errors.ts';
import { collectGarbage } from './gc.ts';
import { type CniHeaders, type CniRequest, parseCniRequest } from './request.ts';
import { formatFailure } from './result.ts';
import { asking } from './server-api.ts';

/** `body` is the JSON to print; the executable ends 0 exactly when `status` is 200. */
export type CniAnswer = { readonly status: 200 | 400 | 503; readonly body: string };

/** Answers `POST /cni`; never rejects. */
export type CniHandler = (headers: CniHeaders, body: string) => Promise<CniAnswer>;

/** The CNI plug-in's behaviour. Calls for one interface run one after the other, all others at once. */
export function createHandler(deps: CniDeps): CniHandler {
  const running = new Map<string, Promise<unknown>>();
  return async (headers, body) => {
    try {
      const request = parseCniRequest(headers, body);
      const key = `${request.containerId}:${request.interfaceName}`;
      const turn = (running.get(key) ?? Promise.resolve()).then(() => run(request, deps));
      const settled = turn.catch(() => undefined);
      running.set(key, settled);
      void settled.then(() => running.get(key) === settled && running.delete(key));
      return { status: 200, body: await turn };
    } catch (err) {
      return failure(deps.log, err, body);
    }
  };
}

async function run(request: CniRequest, deps: CniDeps): Promise<string> {
  const startedAt = performance.now();
  const answer = await runCommand(request, deps);
  const { command, containerId, interfaceName } = request;
  const durationMs = Math.round((performance.now() - startedAt) * 10) / 10;
  deps.log.debug({ command, containerId, interfaceName, durationMs }, 'cni call done');
  return answer;
}

async function runCommand(request: CniRequest, deps: CniDeps): Promise<string> {
  switch (request.command) {
    case 'ADD':
      return addPod(request, deps);
    case 'DEL':
      await deletePod(request, deps);
      return '';
    case 'CHECK':
      await checkPod(request, deps);
      return '';
    case 'GC':
      await collectGarbage(request, deps);
      return '';
    case 'STATUS':
      await reportStatus(deps);
      return '';
  }
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

function failure(log: Logger, err: unknown, body: string): CniAnswer {
  const known = err instanceof CniError ? err : undefined;
  if (known === undefined) log.error({ err }, 'cni call failed by surprise');
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
