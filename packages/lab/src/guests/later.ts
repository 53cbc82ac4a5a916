import type { Lab } from '../lab.ts';
import { startServices } from '../traffic/in-guest.ts';
import type { Pod } from './pod.ts';
import { addPod } from './start.ts';

/** Makes a pod in a lab that is up, with the lab's small server in it. */
export async function addPodTo(
  lab: Lab,
  name: string,
  place: { readonly host: string; readonly network: string; readonly group: string },
): Promise<Pod> {
  const { names, processes, ledger, hosts, tenants, networks, routers, groups } = lab;
  const pod = await addPod(name, place, {
    names,
    processes,
    ledger,
    hosts,
    tenants,
    cloud: { networks, routers, groups },
  });
  lab.added.set(name, pod);
  await startServices(processes, [pod]);
  return pod;
}

/** A pod that an earlier check made. */
export function addedPod(lab: Pick<Lab, 'added'>, name: string): Pod {
  const pod = lab.added.get(name);
  if (pod === undefined) throw new Error(`${name} was not made: an earlier check failed, or was left out`);
  return pod;
}
