import type { Client } from '@cable/api';
import { type CableBed, createGroup } from '../lib/cable.ts';
import {
  bridgePlugin,
  type CniTimes,
  callAll,
  clusterPlugin,
  makeSandboxes,
  type Plugin,
  plainPlugin,
  removeSandboxes,
  type Sandbox,
} from '../lib/cni.ts';
import { type Controller, createController } from './controller.ts';
import type { Options } from './options.ts';

export const COMMANDS = ['ADD', 'DEL'] as const;

/** `launch`: what a call costs whatever the plug-in does. */
export const PLUGINS = ['cluster', 'plain', 'bridge', 'launch'] as const;

export type PluginName = (typeof PLUGINS)[number];

/** Calls of one round, ms. */
export type Round = { readonly ADD: readonly number[]; readonly DEL: readonly number[] };

/** What was measured at so many calls at a time, a round after the other. */
export type Level = { readonly parallel: number; readonly rounds: readonly Readonly<Record<PluginName, Round>>[] };

type Contestant = { readonly plugin: Plugin; readonly controller: Controller | undefined };

const WARM_UP_CALLS = 16;
/** A Linux bridge has 1,024 ports (BR_MAX_PORTS); some stay free for the calls that are timed. */
const MOST_ON_BRIDGE = 900;

/** Each plug-in in turn, in each round, so that what else the machine does meets all. What stands on the host goes at the end. `cluster`: asks as its controller, in the project of the bed. */
export async function measureCalls(
  bed: CableBed,
  cluster: Client,
  { levels, rounds, calls, pods }: Options,
  say: (line: string) => void,
): Promise<readonly Level[]> {
  const groupId = await createGroup(bed.client, 10);
  const contestants: Readonly<Record<PluginName, Contestant>> = {
    cluster: { plugin: clusterPlugin(bed), controller: createController(bed, cluster, groupId) },
    plain: { plugin: plainPlugin(bed, groupId), controller: undefined },
    bridge: { plugin: bridgePlugin(`${bed.names.dir}/host-local`), controller: undefined },
    launch: { plugin: { ...plainPlugin(bed, groupId), command: 'VERSION' }, controller: undefined },
  };
  const host = bed.names.h1.name;
  const standing: (() => Promise<void>)[] = [];
  try {
    for (const name of pods === 0 ? [] : (['cluster', 'plain', 'bridge'] as const)) {
      const count = name === 'bridge' ? Math.min(pods, MOST_ON_BRIDGE) : pods;
      say(`putting ${count} pods on the host by ${name}`);
      standing.push(await stand(host, contestants[name], count));
    }
    for (const name of PLUGINS) await measureRound(host, contestants[name], WARM_UP_CALLS, 1);
    const found: Level[] = [];
    for (const parallel of levels) {
      const all: Record<PluginName, Round>[] = [];
      for (let round = 1; round <= rounds; round += 1) {
        say(`round ${round} of ${rounds}: ${calls} ADDs and DELs of each plug-in, ${parallel} at a time`);
        const one: Partial<Record<PluginName, Round>> = {};
        for (const name of PLUGINS) one[name] = await measureRound(host, contestants[name], calls, parallel);
        all.push(one as Record<PluginName, Round>);
      }
      found.push({ parallel, rounds: all });
    }
    return found;
  } finally {
    for (const remove of standing) await remove();
  }
}

async function measureRound(host: string, contestant: Contestant, count: number, parallel: number): Promise<Round> {
  const sandboxes = makeSandboxes(count);
  const timed = async (command: 'ADD' | 'DEL'): Promise<CniTimes> =>
    callAll(host, contestant.plugin, command, sandboxes, parallel);
  try {
    await contestant.controller?.bind(sandboxes);
    const ADD = await timed('ADD');
    const DEL = await timed('DEL');
    return { ADD: ADD.samples, DEL: DEL.samples };
  } finally {
    await contestant.controller?.release(sandboxes);
    removeSandboxes(sandboxes);
  }
}

/** Puts pods on the host; answers what removes them. */
async function stand(host: string, { plugin, controller }: Contestant, count: number): Promise<() => Promise<void>> {
  const sandboxes: readonly Sandbox[] = makeSandboxes(count);
  const remove = async (): Promise<void> => {
    await callAll(host, plugin, 'DEL', sandboxes, 8);
    await controller?.release(sandboxes);
    removeSandboxes(sandboxes);
  };
  try {
    await controller?.bind(sandboxes);
    await callAll(host, plugin, 'ADD', sandboxes, 8);
    return remove;
  } catch (err) {
    removeSandboxes(sandboxes);
    throw err;
  }
}
