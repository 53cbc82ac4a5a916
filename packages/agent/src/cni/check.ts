import { attachmentOf } from './attachment.ts';
import type { CniDeps } from './deps.ts';
import { checkFailed, invalidConfig } from './errors.ts';
import type { PrevResult } from './netconf.ts';
import type { PodLinkState, PodRoute } from './pod-link.ts';
import { findPorts } from './pod-port.ts';
import type { CniRequest } from './request.ts';
import type { Attachment } from './result.ts';
import { asking } from './server-api.ts';

/** The programs are there at once or not at all. */
const PLUGGED_TIMEOUT_MS = 2_000;

/** Compares the port, the link, its addresses and routes, and the programs with what ADD had made. Throws CniError 102 with the difference. */
export async function checkPod(request: CniRequest, deps: CniDeps): Promise<void> {
  requireResult(request);
  const [port] = await findPorts(deps.api, request, deps.host);
  if (port === undefined) throw checkFailed('the port is not on the server');
  const [networks, subnets] = await asking(
    'read the network',
    Promise.all([deps.api.networks({ id: port.network_id }), deps.api.subnets({ network_id: port.network_id })]),
  );
  const [network] = networks;
  if (network === undefined) throw checkFailed('the network is not on the server');
  await requireProgrammed(port.id, deps);
  const made = attachmentOf(request, { port, network, subnets });
  compareWithResult(request, made, deps);
  deps.hostPorts.check(request, made);
}

/** Throws CniError 7 without it. */
function requireResult({ conf }: CniRequest): PrevResult {
  if (conf.prevResult !== undefined) return conf.prevResult;
  throw invalidConfig('prevResult', 'is missing', 'pass the result of ADD');
}

/** Compares what is in the container, and the earlier result, with what shall be. Throws CniError 102 with the difference. */
export function compareWithResult(request: CniRequest, made: Attachment, deps: Pick<CniDeps, 'links'>): void {
  const prevResult = requireResult(request);
  comparePrevResult(made, prevResult);
  const netns = deps.links.open(made.netns);
  try {
    const state = deps.links.inspect(netns, made.hostName, made.interfaceName, made.answers);
    if (typeof state === 'string') throw checkFailed(state);
    compareLink(made, prevResult, state);
  } finally {
    netns.close();
  }
}

/** Throws CniError 102 where the port does not have its programs. */
export async function requireProgrammed(portId: string, deps: Pick<CniDeps, 'waitPlugged'>): Promise<void> {
  const signal = AbortSignal.timeout(PLUGGED_TIMEOUT_MS);
  try {
    await deps.waitPlugged({ portId }, signal);
  } catch (err) {
    if (!signal.aborted) throw err;
    throw checkFailed(`port ${portId} is not programmed on this host`);
  }
}

function comparePrevResult(made: Attachment, prev: PrevResult): void {
  const own = prev.interfaces.find((one) => one.name === made.interfaceName && one.sandbox !== '');
  if (own === undefined) throw checkFailed(`prevResult has no interface ${made.interfaceName}`);
  if (own.mac.toLowerCase() !== made.macAddress)
    throw checkFailed(`the MAC was ${own.mac}, the port's is ${made.macAddress}`);
  for (const { address } of made.addresses) {
    if (!prev.addresses.includes(address)) throw checkFailed(`address ${address} of the port is not in prevResult`);
  }
}

/** Of the routes those that ADD made: the container may have had others before. */
function compareLink(made: Attachment, prev: PrevResult, state: PodLinkState): void {
  if (!state.hostUp) throw checkFailed(`${made.hostName} is down`);
  if (!state.up) throw checkFailed(`${made.interfaceName} is down`);
  if (state.macAddress !== made.macAddress) throw checkFailed(`the MAC is ${state.macAddress}, not ${made.macAddress}`);
  if (state.mtuBytes !== made.mtuBytes) throw checkFailed(`the MTU is ${state.mtuBytes}, not ${made.mtuBytes}`);
  for (const { address } of made.addresses) {
    if (!state.addresses.includes(address)) throw checkFailed(`address ${address} is missing`);
  }
  const has = (routes: readonly PodRoute[], route: PodRoute): boolean =>
    routes.some((one) => one.destination === route.destination && one.gateway === route.gateway);
  for (const route of made.routes) {
    const { destination, gateway } = route;
    if (has(prev.routes, route) && !has(state.routes, route))
      throw checkFailed(`route ${destination} by ${gateway} is missing`);
  }
}
