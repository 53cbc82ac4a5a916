import { type Logger, silentLogger } from '@cable/kit';
import { HostState } from '../host-state.ts';
import { SliceState } from '../slice-state.ts';
import { NO_POSITION, type Position } from '../state-files.ts';

/** For tests: a host's state that is kept nowhere. */
export function memoryState(options: { readonly position?: Position; readonly log?: Logger } = {}): HostState {
  return new HostState({
    host: 'h1',
    slices: new SliceState(),
    position: options.position ?? NO_POSITION,
    disk: { save: async () => undefined, status: { ok: true, reason: null, since: null }, agentId: 'agent-1' },
    log: options.log ?? silentLogger(),
    now: () => new Date(0),
  });
}
