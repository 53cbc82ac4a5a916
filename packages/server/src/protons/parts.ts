/** What a server has besides while there is a proton. */
import type { Logger } from '@cable/kit';
import type { Arbiter } from '../engine/arbiter.ts';
import type { EngineDeps } from '../engine/context.ts';
import type { WriteStatus } from '../hosts/status-writer.ts';
import { createArbiter } from './arbiter.ts';
import { BindingKeeper } from './binding-keeper.ts';
import { ChangeRings } from './change-rings.ts';

export type ProtonParts = {
  readonly rings: ChangeRings;
  readonly arbiter: Arbiter;
  readonly writeStatus: WriteStatus;
  readonly done: Promise<void>;
};

/** They stay until the signal aborts. */
export function startParts(
  deps: EngineDeps,
  { log, signal }: { readonly log: Logger; readonly signal: AbortSignal },
): ProtonParts {
  const { tables, resources } = deps;
  const keeper = new BindingKeeper(deps, { log, signal });
  return {
    ...{ rings: new ChangeRings({ tables, resources, signal }), arbiter: createArbiter(deps), done: keeper.done },
    writeStatus: (portId, status) => keeper.writeStatus(portId, status),
  };
}
