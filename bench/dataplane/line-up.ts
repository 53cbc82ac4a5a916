import { type CableBed, createGroup } from '../lib/cable.ts';
import { addCableCrowd, addCableServices, addCableSnat } from '../lib/cable-paths.ts';
import type { Filter, LinuxPaths } from '../lib/linux.ts';
import { type MemoryRow, memoryOfEach, memoryOfFlow } from '../lib/memory.ts';
import type { Path } from '../lib/net.ts';
import type { Sample } from '../lib/traffic.ts';
import type { Options } from './options.ts';

/** A path, whom its figures are divided by, and its samples. `flows`: of how many the datagrams are, which alone are measured then. */
export type Contestant = {
  readonly path: Path;
  readonly against: readonly Contestant[];
  readonly flows?: number;
  readonly samples: Partial<Sample>[];
};

/** What paths are made of. `crowded`: a second cloud, so that what is many there does not burden the first. */
export type Beds = { readonly linux: LinuxPaths; readonly bed: CableBed; readonly crowded: CableBed };

const FEW_RULES = 10;
const FILTERS: readonly Filter[] = ['nftables', 'iptables'];

/** `all`: peers come before those who are compared with them. */
export type LineUp = { readonly all: readonly Contestant[]; readonly memory: readonly MemoryRow[] };

export async function lineUp(beds: Beds, options: Options, say: (line: string) => void): Promise<LineUp> {
  const { linux, bed, crowded } = beds;
  const all: Contestant[] = [];
  const enter = (path: Path, against: readonly Contestant[] = [], flows?: number): Contestant => {
    const one = { path, against, samples: [], ...(flows === undefined ? {} : { flows }) };
    all.push(one);
    return one;
  };
  enter(linux.direct);
  const [bridge, vxlan] = [enter(linux.bridge), enter(linux.vxlan)];
  const groups = new Map<number, { readonly group: string; readonly near: Contestant; readonly far: Contestant }>();
  for (const rules of [FEW_RULES, options.rules]) {
    const filters = FILTERS.map((by) => enter(linux.filtered(by, rules)));
    const ovs = enter(await linux.openVswitch(rules));
    say(`making pods whose security group has ${rules} rules`);
    const group = await createGroup(bed.client, rules);
    const { h1, h2 } = bed.names;
    const client = await bed.addPod(`a${rules}`, h1, group);
    const ends = { near: await bed.addPod(`b${rules}`, h1, group), far: await bed.addPod(`c${rules}`, h2, group) };
    const path = (name: string, to: { netns: string; address: string }): Path => ({
      ...{ name: `Cable, ${name}, ${rules} rules`, client: client.netns },
      ...{ server: to.netns, serverAddress: to.address },
    });
    const few = groups.get(FEW_RULES);
    const near = enter(path('same host', ends.near), [bridge, ...filters, ovs, ...(few ? [few.near] : [])]);
    const far = enter(path('two hosts', ends.far), [vxlan, ...(few ? [few.far] : [])]);
    groups.set(rules, { group, near, far });
    if (few !== undefined) continue;
    for (const flows of options.flows) {
      const peers = [bridge, ...filters].map((peer) => enter(peer.path, [], flows));
      enter(near.path, peers, flows);
      enter(far.path, [enter(linux.vxlan, [], flows)], flows);
    }
  }
  const few = groups.get(FEW_RULES);
  if (few === undefined) throw new Error('no group of few rules');
  const snat = enter(linux.snat());
  enter(await addCableSnat(bed, few.group), [snat]);
  const peersOf = (services: number): readonly Contestant[] => FILTERS.map((by) => enter(linux.services(by, services)));
  const one = enter(await addCableServices(bed, few.group, 1), peersOf(1));
  const crowd = await createGroup(crowded.client, FEW_RULES);
  const memory = [memoryOfFlow(bed.names.h1)];
  const weigh = async <T>(what: string, many: number, make: () => Promise<T>): Promise<T> => {
    say(`making ${many} times: ${what}`);
    const { made, row } = await memoryOfEach({ bed: crowded, what, many }, make);
    memory.push(row);
    return made;
  };
  const { services, endpoints, rules } = options;
  const peers = [...peersOf(services), one];
  enter(await weigh('service with four members', services, () => addCableServices(crowded, crowd, services)), peers);
  const many = await weigh('port on another host', endpoints, () => addCableCrowd(crowded, crowd, endpoints));
  enter(many, [vxlan, few.far]);
  await weigh('rule of a security group', rules, async () => {
    await crowded.addPod('ruled', crowded.names.h1, await createGroup(crowded.client, rules));
  });
  return { all, memory };
}

/** Those whose name has the text, and whom they are compared with. */
export function chosen(all: readonly Contestant[], only: string | undefined): readonly Contestant[] {
  if (only === undefined) return all;
  const wanted = all.filter((one) => nameOf(one).includes(only));
  if (wanted.length === 0) throw new Error(`--only: no contestant's name contains "${only}"`);
  return all.filter((one) => wanted.includes(one) || wanted.some(({ against }) => against.includes(one)));
}

export function nameOf({ path: { name }, flows }: Pick<Contestant, 'path' | 'flows'>): string {
  return flows === undefined ? name : `${name}, ${flows} flows`;
}
