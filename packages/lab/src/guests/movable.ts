import { appendFileSync } from 'node:fs';
import { eventually } from '../eventually.ts';
import { ipBatch, mustRun, run } from '../exec.ts';
import type { LabHost } from '../names.ts';
import { logFile } from '../processes.ts';
import type { GuestDeps } from './card.ts';
import { type Guest, tapName } from './guest.ts';
import { startVm, type VmOptions } from './vm.ts';

/** A VM that can go to another host while it runs, as a hypervisor moves it: its memory and its connections go with it. */
export type MovableVm = {
  readonly guest: Guest;
  /** Makes its tap on another host. */
  prepare(host: LabHost): Promise<void>;
  /** The guest does not run: what it sends or is sent waits in the queues of its taps. */
  pause(): Promise<void>;
  /** It runs on at the host that was prepared last; the tap of before goes. */
  resume(): Promise<void>;
};

/** Starts one. */
export async function startMovableVm(options: VmOptions, deps: GuestDeps): Promise<MovableVm> {
  const control = `${deps.names.dir}/${options.name}.control`;
  await mustRun(['mkfifo', control]);
  const guest = await startVm({ ...options, control }, deps);
  const log = logFile(`${deps.names.dir}/logs/relay-${options.name}.log`);
  const tap = tapName(options.portId);
  let [at, next] = [options.host, options.host];
  const tell = async (line: string, answer: string): Promise<void> => {
    const from = log.position();
    appendFileSync(control, `${line}\n`);
    await eventually({ what: `the card of ${options.name} to be ${answer}`, deadlineMs: 5_000, everyMs: 1 }, () =>
      log.read(from).includes(answer) ? true : undefined,
    );
  };
  return {
    guest,
    prepare: async (host) => {
      await tell(`open /run/netns/${host.netns} ${tap}`, 'opened');
      await ipBatch(host.netns, [`link set ${tap} mtu ${options.mtuBytes} up`]);
      next = host;
    },
    pause: () => tell('pause', 'paused'),
    resume: async () => {
      await tell('resume', 'resumed');
      await run(['ip', '-netns', at.netns, 'link', 'delete', tap]);
      at = next;
    },
  };
}
