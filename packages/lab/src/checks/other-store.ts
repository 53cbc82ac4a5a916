import type { LabHost, LabNames } from '../names.ts';
import { logFile } from '../processes.ts';
import { untilLogged, untilRefused } from './agent-status.ts';

const CODE = 'OtherHistory';

/** How long the agents' logs are now. */
export function logSizes(names: LabNames, hosts: readonly LabHost[]): ReadonlyMap<LabHost, number> {
  return new Map(hosts.map((host) => [host, logFile(`${names.dir}/logs/agent-${host.short}.log`).position()]));
}

/** Waits until every agent refuses the store, in status and log (after so many bytes of it). Returns what the first says. */
export async function untilStoreRefused(
  names: LabNames,
  hosts: readonly LabHost[],
  logged: ReadonlyMap<LabHost, number>,
): Promise<string> {
  const reasons = await Promise.all(hosts.map((host) => untilRefused(host, CODE)));
  for (const host of hosts) await untilLogged(names, `agent-${host.short}`, [CODE], logged.get(host));
  return reasons[0] ?? '';
}
