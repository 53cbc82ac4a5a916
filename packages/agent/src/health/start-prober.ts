import { onAbort } from '@cable/kit';
import type { AgentDeps } from '../deps.ts';
import type { Devices } from '../devices/open-devices.ts';
import { probeFrom } from './probe.ts';
import { Prober } from './prober.ts';

/** Probes members of pools until the signal aborts. */
export function startProber(
  { netns }: Pick<Devices, 'netns'>,
  onChange: (memberIds: ReadonlySet<string>) => void,
  { log, signal }: AgentDeps,
): Prober {
  const clock = {
    now: () => performance.now(),
    after: (ms: number, call: () => void) => {
      const timer = setTimeout(call, ms);
      return () => clearTimeout(timer);
    },
  };
  const prober = new Prober({
    open: probeFrom(netns),
    clock,
    random: Math.random,
    onChange,
    log: log.child('health'),
  });
  onAbort(signal, () => prober.close());
  return prober;
}
