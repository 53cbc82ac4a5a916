import { ALL_AGENTS, type Check, duration, expect, expectAnswers, expectPings } from '../../checks/check.ts';
import type { Guest } from '../../guests/guest.ts';
import type { Restartable } from '../../restartable.ts';
import { inGuest } from '../../traffic/in-guest.ts';
import { OPEN_PORT, type TransferResult } from '../../traffic/protocol.ts';
import { expectWhole } from './transfer.ts';
import type { DemoLab, DemoWorld } from './world.ts';

const FLOOD_INTERVAL_MS = 2;
/** Long enough for the agents to end, come back and reconcile meanwhile. */
const FLOOD_COUNT = 3_000;
const FLOOD_SECONDS = 90;
const STREAM_SECONDS = 6;
/** How long agents took to come back in the flood: on a busy machine the stream must last longer. */
let slowestMs = 0;
/** Slow enough to leave the processor to the agents, fast enough that a pause would be seen. */
const STREAM_RATE = 40_000_000;

/** The data plane goes on while agents are killed and come back. */
export const AGENT_RESTART_CHECKS: readonly Check<DemoWorld>[] = [
  {
    group: 'agent-restart',
    name: 'agents killed and restarted in a flood of pings: none lost',
    concerns: ALL_AGENTS,
    run: async (lab) => {
      const { vm1, pod1 } = lab.guests;
      const flood = expectAnswers(vm1, pod1, {
        ...{ count: FLOOD_COUNT, intervalMs: FLOOD_INTERVAL_MS, deadlineSeconds: FLOOD_SECONDS },
      });
      const took = await restartDuring(lab, flood);
      slowestMs = Math.max(...took);
      await flood;
      return `${FLOOD_COUNT} of ${FLOOD_COUNT} answered; agents back after ${took.map(duration).join(', ')}`;
    },
  },
  {
    group: 'agent-restart',
    name: 'agents killed and restarted in a TCP stream: whole',
    concerns: ALL_AGENTS,
    run: async (lab) => {
      const { vm1, vm2 } = lab.guests;
      const seconds = Math.max(STREAM_SECONDS, Math.ceil((2 * slowestMs) / 1000) + 2);
      const options = { seconds, rate: STREAM_RATE, seed: 'agent restart' };
      const stream = inGuest<TransferResult>(vm1, 'put', { ip: vm2.ip, port: OPEN_PORT }, options);
      await restartDuring(lab, stream);
      const result = await stream;
      expectWhole(result, 'stream');
      return `${(result.bytes / 1e6).toFixed(0)} MB in ${duration(result.ms)}`;
    },
  },
  {
    group: 'agent-restart',
    name: 'new connections while an agent is away',
    concerns: ALL_AGENTS,
    run: (lab) => whileAway(lab, lab.hosts.h1.agent, [lab.guests.vm1, lab.guests.machine]),
  },
];

/** Kills the agents of both hosts while `traffic` runs, and starts them again. Throws if the traffic ended before they were back. */
async function restartDuring(lab: DemoLab, traffic: Promise<unknown>): Promise<readonly number[]> {
  let running = true;
  const over = (): void => {
    running = false;
  };
  traffic.then(over, over);
  await new Promise((resolve) => setTimeout(resolve, 500));
  const agents = [lab.hosts.h1, lab.hosts.h2].map((host) => host.agent).filter((agent) => agent !== undefined);
  const took = await Promise.all(agents.map(restart));
  expect(running, `the traffic was over before the agents were back (${took.map(duration).join(', ')})`);
  return took;
}

async function restart(agent: Restartable): Promise<number> {
  await agent.kill();
  return agent.start();
}

/** Flows that are new, in both directions, while the agent of the first guest's host is dead. */
async function whileAway(
  lab: DemoLab,
  agent: Restartable | undefined,
  [here, there]: readonly [Guest, Guest],
): Promise<string> {
  expect(agent !== undefined, 'the host has no agent');
  await agent.kill();
  try {
    await expectPings(here, there);
    await expectPings(there, here);
    const met = await inGuest<string>(there, 'who', { ip: here.ip, port: OPEN_PORT });
    expect(met === here.name, `${there.name} asked ${here.ip} and met ${met}`);
  } finally {
    await agent.start();
  }
  await expectPings(lab.guests.vm1, lab.guests.pod1);
  return `${here.name} ↔ ${there.name}: pings and TCP`;
}
