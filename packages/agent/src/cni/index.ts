import type { Client } from '@cable/api';
import type { CniDeps } from './deps.ts';
import { type CniHandler, createHandler } from './handler.ts';
import { HostPorts, type HostPortsDeps } from './host-ports.ts';
import { createKernelPodLinks, type KernelPodLinksDeps } from './kernel-pod-links.ts';
import { createCniApi } from './server-api.ts';
import { WayKeeper } from './way-keeper.ts';

export { BesideServices } from './beside-services.ts';
export type { CniAnswer, CniHandler } from './handler.ts';
export { hostPortsView } from './host-port-store.ts';
export type { LocalFacts } from './local-facts.ts';
export { networkWays } from './network-ways.ts';
export type { PluggedDevice } from './pod-link.ts';
export { concernsWays } from './way-keeper.ts';

export type CniOptions = Omit<CniDeps, 'api' | 'links' | 'hostPorts'> & {
  readonly client: Pick<Client, 'list' | 'create' | 'delete'>;
  readonly kernel: KernelPodLinksDeps;
  readonly hostPorts: HostPortsDeps;
  readonly signal: AbortSignal;
};

export type Cni = {
  readonly handle: CniHandler;
  /** What the host was sent of what VPCs lead to has changed: pods that run follow. */
  waysChanged(): void;
};

/**
 * The CNI plug-in of this host, over the agent's API client and the kernel: what `POST /cni` on the agent's socket answers. What an interrupted ADD
 * has left of a link is removed first, and what was kept of host ports for containers that are gone.
 */
export async function createCni(deps: CniOptions): Promise<Cni> {
  const { client, kernel, hostPorts: ports, signal, ...rest } = deps;
  const links = createKernelPodLinks(kernel);
  await links.sweep();
  const hostPorts = new HostPorts(ports, links);
  hostPorts.prune();
  const ways = new WayKeeper({ links, localFacts: rest.localFacts, log: rest.log, signal });
  ways.changed();
  // What changes between an ADD's look and its link would be missed.
  const devicePlugged: CniDeps['devicePlugged'] = (device) => {
    rest.devicePlugged(device);
    ways.changed();
  };
  return {
    handle: createHandler({ ...rest, devicePlugged, api: createCniApi(client), links, hostPorts }),
    waysChanged: () => ways.changed(),
  };
}
