import type { Lab } from './lab.ts';
import { LAUNCHER, type LabNames } from './names.ts';

/** How to use a lab that was left up. */
export function describeUse(lab: Lab): string {
  const guests = [...Object.values(lab.guests), ...lab.added.values()].map(
    (guest) => `    nsenter --net=/run/netns/${guest.netns}   # ${guest.name}: ${guest.kind} at ${guest.ip}`,
  );
  const hosts = Object.values(lab.hosts).map(
    (host) => `    nsenter --net=/run/netns/${host.netns}   # ${host.underlay}`,
  );
  return [
    'the lab stays up.',
    ...(guests.length === 0 ? [] : ['  enter a guest:', ...guests]),
    '  enter a host:',
    ...hosts,
    '  the command line client:',
    `    ${LAUNCHER} --server ${lab.control.url} port list`,
    `  logs: ${lab.names.dir}/logs`,
    `  remove it: ${downCommand(lab.names)}`,
  ].join('\n');
}

/** The command that removes a lab. */
export function downCommand(names: LabNames): string {
  return `${LAUNCHER} lab down --name ${names.lab}`;
}
