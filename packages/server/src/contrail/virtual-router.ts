/** `virtual_router`: what the plug-in wants to know of a host. */
import { CableError } from '@cable/model';
import type { EngineDeps } from '../engine/context.ts';
import { readerOf, sees } from '../engine/reader.ts';
import type { UserCaller } from '../http/auth.ts';
import { unknownOperation } from './call.ts';
import type { PluginRequest } from './envelope.ts';

/** Name of the type. */
export const VIRTUAL_ROUTER = 'virtual_router';

/** Answers of a host, named by its name or by the last part of a name in parts. Throws `NotFound`. */
export function answerVirtualRouter(
  deps: EngineDeps,
  { credentials }: UserCaller,
  { operation, id }: PluginRequest,
): { readonly name: string; readonly dpdk_enabled: boolean } {
  if (operation !== 'READ') throw unknownOperation(VIRTUAL_ROUTER, operation);
  const name = (typeof id === 'string' ? id : id?.at(-1)) ?? '';
  const host = deps.tables.of('host').get(name);
  if (host === undefined || !sees(readerOf(deps, credentials), deps.resources.named('host'), host)) {
    throw new CableError('NotFound', `Virtual router ${name.slice(0, 300)} could not be found.`, {
      label: 'VirtualRouter',
      fields: { id: name.slice(0, 300) },
    });
  }
  // Ports are network devices of the host's kernel on every host.
  return { name, dpdk_enabled: false };
}
