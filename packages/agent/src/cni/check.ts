import { attachmentOf } from './attachment.ts';
import type { CniDeps } from './deps.ts';
import { CNI_CODE, CniError, invalidConfig } from './errors.ts';
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
  const { prevResult } = request.conf;
  if (prevResult === undefined) throw invalidConfig('prevResult', 'is missing', 'pass the result of ADD');
  const made = await wantedAttachment(request, deps);
  comparePrevResult(made, prevResult);
  const netns = deps.links.open(made.netns);
  try {
    const state = deps.links.inspect(netns, made.hostName, made.interfaceName);
    if (typeof state === 'string') throw mismatch(state);
    compareLink(made, prevResult, state);
  } finally {
    netns.close();
  }
}

async function wantedAttachment(request: CniRequest, deps: CniDeps): Promise<Attachment> {
  const [port] = await findPorts(deps.api, request, deps.host);
  if (port === undefined) throw mismatch('the port is not on the server');
  const [networks, subnets] = await asking(
    'read the network',
    Promise.all([deps.api.networks({ id: port.network_id }), deps.api.subnets({ network_id: port.network_id })]),
  );
  const [network] = networks;
  if (network === undefined) throw mismatch('the network is not on the server');
  await plugged(port.id, deps);
  return attachmentOf(request, { port, network, subnets });
}

async function plugged(portId: string, deps: CniDeps): Promise<void> {
  const signal = AbortSignal.timeout(PLUGGED_TIMEOUT_MS);
  try {
    await deps.waitPlugged({ portId }, signal);
  } catch (err) {
    if (!signal.aborted) throw err;
    throw mismatch(`port ${portId} is not programmed on this host`);
  }
}

function comparePrevResult(made: Attachment, prev: PrevResult): void {
  const own = prev.interfaces.find((one) => one.name === made.interfaceName && one.sandbox !== '');
  if (own === undefined) throw mismatch(`prevResult has no interface ${made.interfaceName}`);
  if (own.mac.toLowerCase() !== made.macAddress)
    throw mismatch(`the MAC was ${own.mac}, the port's is ${made.macAddress}`);
  for (const { address } of made.addresses) {
    if (!prev.addresses.includes(address)) throw mismatch(`address ${address} of the port is not in prevResult`);
  }
}

/** Of the routes those that ADD made: the container may have had others before. */
function compareLink(made: Attachment, prev: PrevResult, state: PodLinkState): void {
  if (!state.hostUp) throw mismatch(`${made.hostName} is down`);
  if (!state.up) throw mismatch(`${made.interfaceName} is down`);
  if (state.macAddress !== made.macAddress) throw mismatch(`the MAC is ${state.macAddress}, not ${made.macAddress}`);
  if (state.mtuBytes !== made.mtuBytes) throw mismatch(`the MTU is ${state.mtuBytes}, not ${made.mtuBytes}`);
  for (const { address } of made.addresses) {
    if (!state.addresses.includes(address)) throw mismatch(`address ${address} is missing`);
  }
  const has = (routes: readonly PodRoute[], route: PodRoute): boolean =>
    routes.some((one) => one.destination === route.destination && one.gateway === route.gateway);
  for (const route of made.routes) {
    const { destination, gateway } = route;
    if (has(prev.routes, route) && !has(state.routes, route))
      throw mismatch(`route ${destination} by ${gateway} is missing`);
  }
}

function mismatch(difference: string): CniError {
  return new CniError(CNI_CODE.checkFailed, `CHECK: ${difference}`, 'recreate the pod');
}
