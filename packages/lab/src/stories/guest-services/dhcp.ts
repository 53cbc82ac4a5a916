import { chmodSync, writeFileSync } from 'node:fs';
import { type Check, duration, expect, pingFrom } from '../../checks/check.ts';
import { eventually } from '../../eventually.ts';
import { run } from '../../exec.ts';
import { bareAddress, type Guest, parseLease } from '../../guests/guest.ts';
import { dhclientCopy } from '../../guests/vm.ts';
import { DOMAIN, type GuestServicesLab, type GuestServicesWorld } from './world.ts';

const ROUTES = 40;
const OPTIONS = [
  { opt_name: 'server-ip-address', opt_value: '10.10.0.9' },
  { opt_name: 'tftp-server', opt_value: '10.10.0.9' },
  { opt_name: 'bootfile-name', opt_value: 'pxelinux.0' },
  { opt_name: 'ntp-server', opt_value: '10.10.0.123' },
];

/** What DHCP tells of ports and subnets, to clients as they are. */
export const DHCP_CHECKS: readonly Check<GuestServicesWorld>[] = [
  {
    group: 'dhcp',
    name: 'udhcpc hears domain, name server and 40 host routes',
    concerns: ['agent-h1', 'server'],
    run: async (lab) => {
      const { network, subnet } = lab.networks.blue;
      const { blue } = lab.tenants;
      await blue.update('network', network.id, { dns_domain: DOMAIN });
      await blue.update('subnet', subnet.id, { dns_nameservers: [], host_routes: hostRoutes() });
      const mtu = String(network.mtu);
      const wanted = { domain: 'corp.example', search: 'corp.example', dns: '169.254.169.254', mtu };
      const heard = await untilHeard(lab, wanted);
      const routes = (heard.get('staticroutes') ?? '').split(' ').length / 2;
      expect(routes === ROUTES + 2, `it has ${routes} routes, not ${ROUTES + 2}`);
      return `${Object.keys(wanted).length} values, ${routes} routes`;
    },
  },
  {
    group: 'dhcp',
    name: 'udhcpc hears a port’s own options, and what the next boot stage needs in its old fields',
    concerns: ['agent-h1', 'server'],
    run: async (lab) => {
      const { vm1, vm2 } = lab.guests;
      for (const { portId } of [vm1, vm2]) await lab.tenants.blue.update('port', portId, { extra_dhcp_opts: OPTIONS });
      const boot = { siaddr: '10.10.0.9', boot_file: 'pxelinux.0', sname: '10.10.0.9' };
      await untilHeard(lab, { ntpsrv: '10.10.0.123', ...boot });
      return Object.values(boot).join(', ');
    },
  },
  {
    group: 'dhcp',
    name: 'dhclient hears them too, as options',
    concerns: ['agent-h2', 'server'],
    run: async (lab) => {
      const heard = await eventually({ what: 'vm2 to hear all of it', deadlineMs: 15_000, everyMs: 100 }, async () => {
        const now = await askByDhclient(lab, lab.guests.vm2);
        return now.get('new_filename') === 'pxelinux.0' || now.has('new_bootfile_name') ? now : undefined;
      });
      const wanted: Readonly<Record<string, string>> = {
        new_domain_name: 'corp.example',
        new_domain_search: 'corp.example.',
        new_domain_name_servers: '169.254.169.254',
        new_ntp_servers: '10.10.0.123',
        new_tftp_server_name: '10.10.0.9',
      };
      for (const [name, value] of Object.entries(wanted)) {
        expect(heard.get(name) === value, `${name} is ${heard.get(name)}, not ${value}`);
      }
      const bytes = (heard.get('new_classless') ?? '').split(' ').length;
      expect(bytes === 9 + 5 + ROUTES * 8, `option 121 has ${bytes} bytes`);
      return `${Object.keys(wanted).length} values, ${ROUTES} host routes`;
    },
  },
  {
    group: 'dhcp',
    name: 'DHCP off is off: no answer, and the address by metadata; on again, a lease',
    concerns: ['agent-h1', 'server'],
    run: async (lab) => {
      const { vm1 } = lab.guests;
      const { subnet } = lab.networks.blue;
      await lab.tenants.blue.update('subnet', subnet.id, { enable_dhcp: false });
      await eventually({ what: 'DHCP to be off', deadlineMs: 10_000 }, async () =>
        (await askByUdhcpc(lab, vm1)).size === 0 ? true : undefined,
      );
      const { networks } = await networkData(vm1);
      const [first] = networks;
      const found = `${first?.['type']} ${first?.['ip_address']} ${first?.['netmask']}`;
      expect(found === `ipv4 ${vm1.ip} 255.255.255.0`, `network_data.json says ${found}`);
      const routes = first?.['routes'] as readonly { readonly network: string; readonly gateway: string }[];
      expect(routes.length === ROUTES + 2, `network_data.json has ${routes.length} routes`);
      expect(
        routes.some((one) => one.network === '0.0.0.0' && one.gateway === '10.10.0.1'),
        'there is no default route',
      );
      await lab.tenants.blue.update('subnet', subnet.id, { enable_dhcp: true });
      await eventually({ what: 'DHCP to be on', deadlineMs: 10_000 }, async () =>
        (await askByUdhcpc(lab, vm1)).get('ip') === vm1.ip ? true : undefined,
      );
      return `${found}, ${routes.length} routes`;
    },
  },
  {
    group: 'dhcp',
    name: 'a port’s address changed: NAK at the renewal, and the new one at once; and back',
    concerns: ['agent-h1', 'server'],
    run: async (lab) => {
      const { vm1 } = lab.guests;
      const took = await renumber(lab, vm1, '10.10.0.200');
      await renumber(lab, vm1, vm1.ip);
      return `after ${duration(took)}`;
    },
  },
];

function hostRoutes(): readonly object[] {
  return Array.from({ length: ROUTES }, (_, n) => ({ destination: `10.200.${n}.0/24`, nexthop: '10.10.0.254' }));
}

/** What vm1 hears by udhcpc once all of this is among it. */
function untilHeard(
  lab: GuestServicesLab,
  wanted: Readonly<Record<string, string>>,
): Promise<ReadonlyMap<string, string>> {
  return eventually({ what: 'vm1 to hear all of it', deadlineMs: 15_000, everyMs: 100 }, async () => {
    const heard = await askByUdhcpc(lab, lab.guests.vm1);
    const others = Object.entries(wanted).filter(([name, value]) => heard.get(name) !== value);
    const told = others.map(([name, value]) => `${name} is ${heard.get(name)}, not ${value}`);
    if (told.length > 0) throw new Error(told.join('; '));
    return heard;
  });
}

/** Gives the port another address, and has the client renew until it has it. How long that took from the first NAK on (ms). */
async function renumber(lab: GuestServicesLab, guest: Guest, ip: string): Promise<number> {
  const { dhcp } = guest;
  expect(dhcp !== undefined, `${guest.name} has no DHCP client`);
  const { subnet } = lab.networks.blue;
  // A renewal goes to the server alone: the guest must know its MAC, for with an address that is lost it cannot ask.
  await pingFrom(guest, subnet.gateway_ip ?? '', { count: 1 });
  await lab.tenants.blue.update('port', guest.portId, { fixed_ips: [{ subnet_id: subnet.id, ip_address: ip }] });
  const from = dhcp.log.position();
  const startedAt = performance.now();
  await eventually({ what: `${guest.name} to have ${ip}`, deadlineMs: 20_000, everyMs: 500 }, () => {
    const lease = parseLease(dhcp.log.read(from), 0, 'bound');
    if (lease !== undefined && bareAddress(lease.ip) === ip) return true;
    dhcp.signal('SIGUSR1');
    return undefined;
  });
  const said = dhcp.log.read(from);
  expect(/nak/i.test(said), `the client heard no NAK: ${said.slice(-300)}`);
  return performance.now() - startedAt;
}

/** What a client that asks once hears, by the names that it gives it; empty: no answer. The guest’s own lease stays as it is. */
async function askByUdhcpc(lab: GuestServicesLab, guest: Guest): Promise<ReadonlyMap<string, string>> {
  const script = writeScript(lab, 'udhcpc-once', '[ "$1" = bound ] && env\ntrue\n');
  const asked = ['mtu', 'staticroutes', 'ntpsrv', 'search'].flatMap((name) => ['-O', name]);
  const command = ['udhcpc', '-i', guest.device, '-n', '-q', '-f', '-t', '2', '-T', '1', '-s', script, ...asked];
  return variables(await run(command, { netns: guest.netns, timeoutMs: 15_000 }));
}

async function askByDhclient(lab: GuestServicesLab, guest: Guest): Promise<ReadonlyMap<string, string>> {
  const script = writeScript(
    lab,
    'dhclient-once',
    '[ "$reason" = BOUND ] && env\n[ "$reason" = REBOOT ] && env\nexit 0\n',
  );
  const place = `${lab.names.dir}/dhclient-once`;
  writeFileSync(
    `${place}.conf`,
    'option classless code 121 = array of unsigned integer 8;\n' +
      'request subnet-mask, routers, domain-name, domain-search, domain-name-servers, ntp-servers, tftp-server-name, bootfile-name, classless;\n',
  );
  const files = ['-cf', `${place}.conf`, '-lf', `${place}.leases`, '-pf', `${place}.pid`, '-sf', script];
  writeFileSync(`${place}.leases`, '');
  const ended = await run([dhclientCopy(), '-4', '-1', '-d', '--no-pid', ...files, guest.device], {
    netns: guest.netns,
    timeoutMs: 3_000,
  });
  return variables(ended);
}

function writeScript(lab: GuestServicesLab, name: string, body: string): string {
  const path = `${lab.names.dir}/${name}.sh`;
  writeFileSync(path, `#!/bin/sh\n${body}`);
  chmodSync(path, 0o755);
  return path;
}

function variables({ stdout }: { readonly stdout: string }): ReadonlyMap<string, string> {
  const lines = stdout.split('\n').flatMap((line) => /^([A-Za-z_0-9]+)=(.*)$/.exec(line) ?? []);
  const pairs = new Map<string, string>();
  for (let at = 0; at + 2 < lines.length; at += 3) pairs.set(lines[at + 1] ?? '', lines[at + 2] ?? '');
  return pairs.has('ip') || pairs.has('new_ip_address') ? pairs : new Map();
}

/** Nova’s `network_data.json` of a guest. */
export async function networkData(guest: Guest): Promise<{
  readonly links: readonly Readonly<Record<string, unknown>>[];
  readonly networks: readonly Readonly<Record<string, unknown>>[];
}> {
  return JSON.parse(await curl(guest, '/openstack/latest/network_data.json'));
}

/** What curl prints of a document of 169.254.169.254. */
export async function curl(guest: Guest, path: string, ...more: readonly string[]): Promise<string> {
  const url = `http://169.254.169.254${path}`;
  const result = await run(['curl', '-sS', '-f', '-m', '10', ...more, url], { netns: guest.netns, timeoutMs: 12_000 });
  expect(result.code === 0, `${guest.name}: ${url}: ${result.stderr.trim()}`);
  return result.stdout;
}
