import type { Guest } from './guests/guest.ts';
import type { Lab } from './lab.ts';
import { LAUNCHER } from './names.ts';

/** How to use a lab that was left up. */
export function describeUse(lab: Lab): string {
  const { qemu: _, ...namespaced } = lab.guests;
  const guests = Object.values(namespaced).map(
    (guest: Guest) => `    nsenter --net=/run/netns/${guest.netns}   # ${guest.name}: ${guest.kind} at ${guest.ip}`,
  );
  const hosts = lab.names.hosts.map((host) => `    nsenter --net=/run/netns/${host.name}   # ${host.underlay}`);
  return [
    'the lab stays up.',
    '  enter a guest:',
    ...guests,
    '  enter a host:',
    ...hosts,
    '  the command line client:',
    `    ${LAUNCHER} --server ${lab.control.url} port list`,
    `  logs: ${lab.names.dir}/logs`,
    `  remove it: ${LAUNCHER} lab down${lab.names.lab === 'lab' ? '' : ` --name ${lab.names.lab}`}`,
  ].join('\n');
}
