import type { Client } from '@cable/api';
import type { CniDeps } from './deps.ts';
import { type CniHandler, createHandler } from './handler.ts';
import { createKernelPodLinks, type KernelPodLinksDeps } from './kernel-pod-links.ts';
import { createCniApi } from './server-api.ts';

export type { CniAnswer, CniHandler } from './handler.ts';
export type { LocalFacts } from './local-facts.ts';
export type { PluggedDevice } from './pod-link.ts';

export type CniHandlerDeps = Omit<CniDeps, 'api' | 'links'> & {
  readonly client: Pick<Client, 'list' | 'create' | 'delete'>;
  readonly kernel: KernelPodLinksDeps;
};

/**
 * The CNI plug-in of this host, over the agent's API client and the kernel: what `POST /cni` on the agent's socket answers. What an interrupted ADD
 * has left of a link is removed first.
 */
export async function createCniHandler(deps: CniHandlerDeps): Promise<CniHandler> {
  const { client, kernel, ...rest } = deps;
  const links = createKernelPodLinks(kernel);
  await links.sweep();
  return createHandler({ ...rest, api: createCniApi(client), links });
}
