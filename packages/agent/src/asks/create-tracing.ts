import type { AgentDeps } from '../deps.ts';
import type { Devices } from '../devices/open-devices.ts';
import type { OwnLinks } from '../devices/own-links.ts';
import type { FlowExport } from '../flow-export/flow-export.ts';
import type { Host } from '../host/create-host.ts';
import type { ChosenOptions } from '../options.ts';
import type { KernelDataPlane } from '../reconcile/kernel-data-plane.ts';
import type { Answer } from '../stream/connection.ts';
import type { HostState } from '../stream/host-state.ts';
import { openTrace } from '../vrouter.ts';
import { createAnswers } from './answers.ts';
import { openFollows, openLentCaptures } from './open-follows.ts';
import { Tracer } from './tracer.ts';

/** Answers to what the server asks about ports, traces among them. */
export function createTracing(
  options: ChosenOptions,
  parts: {
    readonly devices: Pick<Devices, 'own'>;
    readonly plane: KernelDataPlane;
    readonly state: HostState;
    readonly host: Host;
    readonly flows: Pick<FlowExport, 'listen'>;
  },
  deps: AgentDeps,
): { readonly answer: Answer; readonly remade: (own: OwnLinks) => void; close(): void } {
  const { plane, state, host, flows } = parts;
  const log = deps.log.child('asks');
  let { own } = parts.devices;
  const known = { slices: state.slices, planner: host.planner, log };
  const tracer = new Tracer({ ...known, host: options.host, load: () => openTrace(options, own) });
  const follows = openFollows(options, { ...known, plane, watched: host.watched, flows });
  const captures = openLentCaptures(options, { ...known, watched: host.watched });
  return {
    answer: createAnswers({ ...known, plane, tracer, follows, captures, monotonicMs: () => performance.now() }),
    remade: (next) => {
      own = next;
      tracer.close();
    },
    close: () => {
      tracer.close();
      follows.close();
      captures.close();
    },
  };
}
