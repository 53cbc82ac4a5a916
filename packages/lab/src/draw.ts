import { describeGuest } from './guests/start.ts';
import { controlAddress, SERVER_PORT, socketAddress, UNDERLAY_MTU, underlayAddress } from './names.ts';
import type { World } from './world.ts';

/** Boxes stand side by side up to this width. */
const WIDTH = 120;
const GAP = '  ';

/** A world as a drawing: hosts with their guests, the underlay, networks and routers. */
export function drawWorld(world: World): string {
  const boxes = Object.keys(world.hosts).map((host, index) => hostBox(world, host, index));
  const rows = intoRows(boxes).map(sideBySide);
  const width = Math.max(...rows.flat().map((line) => line.length));
  return [
    drawControl(world),
    ...rows.flat(),
    `${' underlay, MTU '.padStart(18, '═')}${UNDERLAY_MTU} `.padEnd(width, '═'),
    '',
    ...world.projects.flatMap((project) => drawProject(world, project)),
  ].join('\n');
}

function drawControl({ servers, stores }: World): string {
  const many = servers === 1 ? 'server' : `${servers} servers behind a balancer`;
  const place = socketAddress(controlAddress(0), SERVER_PORT);
  return `${many} at https://${place}, a router away from the hosts, store: ${stores.join(' or ')}`;
}

/** One host's lines, all of one width: name, guests, and the uplink's address at the bottom. */
function hostBox(world: World, host: string, index: number): readonly string[] {
  const poses = world.hosts[host]?.posesAs;
  const title = poses === undefined ? host : `${host}, with an agent that calls it ${poses}`;
  const guests = guestLines(world, host);
  const foot = `up0 ${underlayAddress(index + 1)}`;
  const inner = Math.max(title.length + 2, foot.length + 3, ...guests.map((line) => line.length)) + 1;
  return [
    `┌ ${`${title} `.padEnd(inner, '─')}┐`,
    ...guests.map((line) => `│ ${line.padEnd(inner)}│`),
    `└ ${`${foot} `.padEnd(inner, '─')}┘`,
    `${' '.repeat(4)}║`.padEnd(inner + 3),
  ];
}

function guestLines(world: World, host: string): readonly string[] {
  const guests = Object.entries(world.guests)
    .filter(([, guest]) => guest.host === host)
    .map(([name, guest]) => {
      const like =
        guest.kind === 'vm' && guest.sameAddressAs !== undefined ? `, at the address of ${guest.sameAddressAs}` : '';
      return [name, `${describeGuest(guest)}${like}`, guest.network] as const;
    });
  const machines = Object.entries(world.realMachines ?? {})
    .filter(([, machine]) => machine.host === host)
    .map(([name, machine]) => [name, 'QEMU', machine.network] as const);
  const rows = [...guests, ...machines];
  const widths = [0, 1].map((column) => Math.max(0, ...rows.map((row) => (row[column] ?? '').length)));
  return rows.map(
    ([name, what, network]) => `${name.padEnd(widths[0] ?? 0)}  ${what.padEnd(widths[1] ?? 0)}  ${network}`,
  );
}

function intoRows(boxes: readonly (readonly string[])[]): readonly (readonly (readonly string[])[])[] {
  const rows: (readonly string[])[][] = [];
  let used = WIDTH;
  for (const box of boxes) {
    const width = (box[0] ?? '').length + GAP.length;
    if (used + width > WIDTH) {
      rows.push([]);
      used = 0;
    }
    rows.at(-1)?.push(box);
    used += width;
  }
  return rows;
}

/** Boxes are made equally high: the lines before the foot are repeated empty. */
function sideBySide(boxes: readonly (readonly string[])[]): readonly string[] {
  const height = Math.max(...boxes.map((box) => box.length));
  const even = boxes.map((box) => {
    const blank = `│${' '.repeat((box[0] ?? '').length - 2)}│`;
    return [...box.slice(0, -2), ...Array<string>(height - box.length).fill(blank), ...box.slice(-2)];
  });
  return Array.from({ length: height }, (_, line) =>
    even
      .map((box) => box[line] ?? '')
      .join(GAP)
      .trimEnd(),
  );
}

/** Its networks, with the routers that join each to others, and its groups. */
function drawProject(world: World, project: string): readonly string[] {
  const networks = Object.entries(world.networks).filter(([, network]) => network.project === project);
  const width = Math.max(0, ...networks.map(([name]) => name.length));
  const groups = Object.entries(world.groups).filter(([, group]) => group.project === project);
  return [
    `project ${project}`,
    ...networks.map(([name, { cidr }]) =>
      `  network ${name.padEnd(width)}  ${cidr.padEnd(18)}  ${routersOf(world, name)}`.trimEnd(),
    ),
    ...groups.map(
      ([name, { allow }]) => `  group ${name}: ${allow.length === 0 ? 'allows nothing' : `allows ${allow.join(', ')}`}`,
    ),
  ];
}

function routersOf(world: World, network: string): string {
  const routers = Object.entries(world.routers ?? {}).filter(([, router]) => router.networks.includes(network));
  return routers
    .map(([name, router]) => `── ${name} ── ${router.networks.filter((other) => other !== network).join(', ')}`)
    .join('; ');
}
