import { eventually } from '../eventually.ts';
import { mustRun } from '../exec.ts';
import type { LabHost } from '../names.ts';
import type { Guest } from './guest.ts';

export type MachineOptions = {
  readonly name: string;
  readonly host: LabHost;
  readonly portId: string;
  readonly macAddress: string;
  readonly ip: string;
};

type LinkAddresses = { readonly ifname: string; readonly addr_info: readonly { readonly local?: string }[] };

/**
 * The physical machine that runs the agent, whose port is bound to it: the agent makes the link, gives it the port's address,
 * and it is up when this resolves. `startedAt`: when the port was asked for.
 */
export async function awaitMachine(options: MachineOptions, startedAt: number): Promise<Guest> {
  const { name, host, portId, macAddress, ip } = options;
  const device = `cb${portId.slice(0, 11)}`;
  await eventually({ what: `the agent on ${host.name} to make ${device} with ${ip}`, deadlineMs: 10_000 }, async () => {
    const links = JSON.parse(
      await mustRun(['ip', '-json', '-netns', host.netns, 'addr', 'show', 'dev', device]),
    ) as readonly LinkAddresses[];
    return links[0]?.addr_info.some((address) => address.local === ip) ? true : undefined;
  });
  const tookMs = performance.now() - startedAt;
  const common = { name, kind: 'machine', netns: host.netns, host, portId, macAddress, ip, device } as const;
  return { ...common, lease: undefined, tookMs, dhcp: undefined, remove: async () => undefined };
}
