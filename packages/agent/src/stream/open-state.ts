import type { Logger } from '@cable/kit';
import { HostState } from './host-state.ts';
import { openStateDisk, type StateDisk } from './state-disk.ts';
import { readStateV1, removeStateV1 } from './state-v1.ts';

/** The host's state as it was left on disk, and what keeps it there; `disk` is to be closed at the end. */
export type OpenedHostState = { readonly state: HostState; readonly disk: StateDisk };

/** Opens the state of `host` in its state directory, in turns. Never throws: what cannot be understood is left out, and said in the log. */
export async function openHostState(
  options: { readonly host: string; readonly stateDir: string },
  deps: { readonly log: Logger; readonly signal: AbortSignal; readonly now?: () => Date },
): Promise<OpenedHostState> {
  const { host, stateDir } = options;
  const { log } = deps;
  const now = deps.now ?? (() => new Date());
  const { disk, slices, standing } = await openStateDisk(stateDir, { ...deps, now });
  const old = await readStateV1(stateDir, log);
  // A newer one is of an older agent that has run since: the maps are as it left them.
  if (old === undefined || old.revision <= standing.position.revision) {
    await removeStateV1(stateDir, log);
    return { state: new HostState({ host, slices, standing, disk, log, now }), disk };
  }
  const taken = { position: { revision: old.revision, history: null }, commit: standing.commit + 1, removal: null };
  slices.stageNothing();
  for (const line of old.lines) slices.stage(line);
  const prepared = await slices.prepare('remove');
  await disk.save(prepared.writes, taken);
  slices.apply(prepared);
  log.info({ revision: old.revision }, 'took over the state of an older agent');
  if (disk.status.ok) await removeStateV1(stateDir, log);
  return { state: new HostState({ host, slices, standing: taken, disk, log, now }), disk };
}
