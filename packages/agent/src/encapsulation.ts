import type { AgentDeps } from './deps.ts';
import { isSentByIpsec } from './net/ipsec.ts';
import { watchIpsecPolicies } from './net/watch.ts';
import type { AgentOptions, ChosenOptions, Encapsulation } from './options.ts';

/**
 * Runs an agent until the signal aborts. Who makes VXLAN where that is left to the host: the vrouter itself, unless the kernel's IPsec is to have what is sent from the underlay
 * address, which the vrouter would send past it. When policies come that say so the agent ends and is run again, with the kernel's; they may go for a moment and come back, so it
 * stays so.
 */
export async function runChosen(
  options: AgentOptions,
  { log, signal }: AgentDeps,
  run: (options: ChosenOptions, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const { underlay, encapsulation } = options;
  const runWith = (chosen: Encapsulation, until: AbortSignal): Promise<void> =>
    run({ ...options, encapsulation: chosen }, until);
  if (encapsulation === 'kernel') return runWith('kernel', signal);
  const seen = new AbortController();
  const ended = AbortSignal.any([signal, seen.signal]);
  const look = (): void => {
    if (ended.aborted || !isSentByIpsec(underlay)) return;
    seen.abort();
    const what =
      encapsulation === 'auto'
        ? 'the kernel makes VXLAN'
        : 'with --encapsulation own tunnelled packets are sent past them';
    log.warn({ underlay }, `IPsec policies are about the underlay address: ${what}`);
  };
  watchIpsecPolicies({ onMessage: () => undefined, onBurst: look, onLoss: look, signal: ended });
  look();
  if (encapsulation === 'own') return runWith('own', signal);
  if (!ended.aborted) await runWith('own', ended);
  if (!signal.aborted) await runWith('kernel', signal);
}
