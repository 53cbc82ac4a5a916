import { isUuid, type Network, type Port } from '@cable/model';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { EngineDeps } from '../engine/context.ts';
import { currentRow, notFound } from '../engine/read.ts';
import { readerOf } from '../engine/reader.ts';
import { userOf } from '../http/asked.ts';
import { refusal } from '../policy/authorize.ts';
import type { AskHost } from './ask-host.ts';
import { showCaptured } from './captured.ts';
import { type FaultDeps, showDrops, showFlows } from './counted.ts';
import { Eyes } from './eyes.ts';
import { showFollowed } from './followed.ts';
import { showLive } from './live.ts';
import { traceFromOutside } from './outside-trace.ts';
import {
  parseCaptureQuery,
  parseFlowQuery,
  parseFollowQuery,
  parseLiveQuery,
  parseOutsideQuery,
  parsePacket,
  parseTraceQuery,
  parseWhyQuery,
  readQuery,
} from './queries.ts';
import { trace } from './trace.ts';
import { explainPair, explainPort } from './why.ts';

type OneRoute = { Params: { id: string } };

/** Who may look into a port: see what becomes of its packets, or the packets themselves. */
const RULE = { inspect: 'inspect_port', capture: 'capture_port' } as const;

/** Adds `GET /cable/v1/ports/{id}/capture|drops|flows|follow|live|trace|why`, what the port's host knows of its packets, and `GET /cable/v1/networks/{id}/trace`. Errors are thrown as `CableError`. */
export function addFaultRoutes(scope: FastifyInstance, deps: EngineDeps, ask: AskHost): void {
  const faults: FaultDeps = { tables: deps.tables, addresses: deps.addresses, ask };
  const add = (name: string, show: (of: Inspected, request: FastifyRequest) => Promise<unknown>): void => {
    scope.get<OneRoute>(`/cable/v1/ports/:id/${name}`, async (request) =>
      show(await inspected(deps, request, request.params.id), request),
    );
  };
  add('drops', ({ port, eyes }, { url }) => {
    readQuery(url, []);
    return showDrops(faults, port, eyes);
  });
  add('flows', ({ port, eyes }, { url }) => showFlows(faults, port, parseFlowQuery(url), eyes));
  add('follow', ({ port, eyes }, { url }) => showFollowed(faults, port, parseFollowQuery(url), eyes));
  scope.get<OneRoute>('/cable/v1/ports/:id/capture', async (request) => {
    const { port, eyes } = await inspected(deps, request, request.params.id, RULE.capture);
    return showCaptured(faults, port, parseCaptureQuery(request.url), eyes);
  });
  add('live', (of, { url }) => showLive(faults, of, parseLiveQuery(url)));
  add('trace', ({ port, eyes }, { url }) => trace(faults, port, parseTraceQuery(url), eyes));
  add('why', async ({ port, eyes }, request) => {
    const { to, values } = parseWhyQuery(request.url);
    if (to === null) return explainPort(faults, port, eyes);
    const { port: other } = await inspected(deps, request, to);
    const version = port.fixed_ips.some(({ ip_address: ip }) => !ip.includes(':')) ? 4 : 6;
    return explainPair(faults, [port, other], parsePacket(values, version), eyes);
  });
  scope.get<OneRoute>('/cable/v1/networks/:id/trace', async (request) => {
    const { row, eyes, may } = await seen(deps, request, 'network', request.params.id);
    const mayInspect = (port: Port): boolean => may(RULE.inspect, port);
    return traceFromOutside(faults, { network: row as Network, eyes, mayInspect }, parseOutsideQuery(request.url));
  });
}

/** A port that the caller may look into, and which others he may. */
type Inspected = { readonly port: Port; readonly eyes: Eyes; readonly mayInspect: (port: Port) => boolean };

/** Throws `NotFound` for one that he may not know of, and `PolicyNotAuthorized`. */
async function inspected(
  deps: EngineDeps,
  request: FastifyRequest,
  id: string,
  rule: string = RULE.inspect,
): Promise<Inspected> {
  const { row, eyes, may } = await seen(deps, request, 'port', id);
  const port = row as Port;
  if (!may(rule, port)) throw refusal([rule]);
  return { port, eyes, mayInspect: (other) => may(RULE.inspect, other) };
}

type Seen = {
  readonly row: unknown;
  readonly eyes: Eyes;
  /** Does the rule let the caller do it with the port? */
  readonly may: (rule: string, port: Port) => boolean;
};

/** An object that the caller may know of. Throws `NotFound`. */
async function seen(deps: EngineDeps, request: FastifyRequest, type: 'port' | 'network', id: string): Promise<Seen> {
  const model = deps.resources.named(type);
  const reader = readerOf(deps, userOf(request).credentials);
  if (!isUuid(id)) throw notFound(model, id);
  const row: unknown = await currentRow(deps, model, id, reader);
  const may = (rule: string, object: Port): boolean =>
    reader.view.allows(rule, { type: 'port', object, row: reader.row });
  return { row, eyes: new Eyes(deps, reader), may };
}
