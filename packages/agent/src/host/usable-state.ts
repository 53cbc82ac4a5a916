import type { Logger } from '@cable/kit';
import { CB_SERVICE_SLOT_MIN } from '../bpf/abi.gen.ts';
import { createPlanner } from '../plan/plan.ts';
import { type HostState, NO_STATE } from '../stream/host-state.ts';
import { hostSlice } from './host-loop.ts';

/**
 * The saved state if a plan can be made of it, as if every port had its device; else the empty one. An agent of another version may have
 * left slices of another form: kept, they would stop every round, and the server, asked for what is newer, would never send them again.
 */
export function usableState(saved: HostState, host: string, log: Logger): HostState {
  try {
    const ids = (hostSlice(saved, host)?.ports ?? []).map((port) => port.id);
    createPlanner(host)(saved.slices, {
      host,
      slots: new Map(ids.map((id, i) => [id, CB_SERVICE_SLOT_MIN + i])),
      devices: new Map(ids.map((id, i) => [id, { name: `device${i}`, ifindex: i + 1 }])),
    });
    return saved;
  } catch (err) {
    log.warn({ err }, 'no plan can be made of the saved state, starting without');
    return NO_STATE;
  }
}
