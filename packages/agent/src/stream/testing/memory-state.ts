import { type Logger, silentLogger } from '@cable/kit';
import { HostState } from '../host-state.ts';
import { SliceState } from '../slice-state.ts';
import { NO_STANDING, type Position } from '../state-files.ts';

/** For tests: a host's state that is kept nowhere. */
export function memoryState(options: { readonly position?: Position; readonly log?: Logger } = {}): HostState {
  return new HostState({
    host: 'h1',
    slices: new SliceState(),
    standing: { ...NO_STANDING, position: options.position ?? NO_STANDING.position },
    disk: {
      save: async () => undefined,
      note: () => undefined,
      saveSession: async () => undefined,
      status: { ok: true, reason: null, remedy: null, since: null },
      agentId: 'agent-1',
      previousSession: 'session-0',
    },
    log: options.log ?? silentLogger(),
    now: () => new Date(0),
  });
}
