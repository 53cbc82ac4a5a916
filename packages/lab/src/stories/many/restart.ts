import { existsSync, writeFileSync } from 'node:fs';
import { untilSynced } from '../../checks/agent-status.ts';
import { type Check, duration, expect } from '../../checks/check.ts';
import { duringPings } from '../../checks/during.ts';
import { eventually } from '../../eventually.ts';
import type { Guest } from '../../guests/guest.ts';
import { inGuest } from '../../traffic/in-guest.ts';
import { OPEN_PORT } from '../../traffic/protocol.ts';
import { expectToMeet } from './meet.ts';
import { ovnPart } from './ovn.ts';
import { vpnPart } from './vpn.ts';
import type { ManyLab, ManyWorld } from './world.ts';

type Pair = readonly [Guest, Guest];

/** The VM at each of its cards that there is, and whom it meets there. */
export const RESTART_CHECKS: readonly Check<ManyWorld>[] = [
  {
    group: 'restart',
    name: 'the agent of the VM’s host is killed and started: all of its networks go on, new connections too',
    concerns: ['agent'],
    run: async (lab) => {
      const { agent } = lab.hosts.h1;
      expect(agent !== undefined, 'the host has no agent');
      const pairs = pairsOf(lab);
      const idle = await openIdle(lab, pairs);
      let took = 0;
      const pings = await duringAll(pairs, async () => {
        await agent.kill();
        for (const [from, to] of pairs) await expectToMeet(from, to);
        took = await agent.start();
        await untilSynced(lab.hosts.h1);
        for (const [from, to] of pairs) await expectToMeet(from, to);
      });
      await idle.end();
      return `${pings} pings on ${pairs.length} networks, none lost; idle connections went on; agent back after ${duration(took)}`;
    },
  },
];

function pairsOf(lab: ManyLab): readonly Pair[] {
  const { vm, desk } = lab.guests;
  const [ovn, vpn] = [ovnPart.of(lab), vpnPart.of(lab)];
  return [
    [vm, desk],
    [ovn.vm, ovn.far],
    [vpn.vm, vpn.site],
  ];
}

/** Pings on all of them until the work is done; how many were answered. */
async function duringAll([first, ...others]: readonly Pair[], work: () => Promise<void>): Promise<number> {
  if (first === undefined) {
    await work();
    return 0;
  }
  const { result, pings } = await duringPings(...first, () => duringAll(others, work));
  return result + pings;
}

/** Connections on which nothing is said until the end, when each is answered. */
async function openIdle({ names }: ManyLab, pairs: readonly Pair[]): Promise<{ end(): Promise<void> }> {
  const go = `${names.dir}/go-restart`;
  const open: Promise<string>[] = [];
  for (const [from, to] of pairs) {
    const heard = `${names.dir}/heard-${from.device}`;
    const answer = inGuest<string>(from, 'when', { ip: to.ip, port: OPEN_PORT }, { heard, go });
    answer.catch(() => undefined);
    open.push(answer);
    await eventually(
      { what: `${to.name} to have a connection`, deadlineMs: 10_000 },
      () => existsSync(heard) || undefined,
    );
  }
  return {
    end: async () => {
      writeFileSync(go, '');
      await Promise.all(open);
    },
  };
}
