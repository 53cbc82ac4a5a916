/** Debian packages: what each command of the repository needs, and installing those that lack. */
import { existsSync } from 'node:fs';
import { labNeeds } from './lab-needs.mjs';
import { capture, StepError, say, step } from './say.mjs';

/** Package -> what it is for. */
const BUILD = {
  clang: 'compiles the vrouter to eBPF',
  llvm: 'llvm-strip for eBPF objects',
  bpftool: 'reads the layouts (BTF) of the compiled vrouter',
  'libbpf-dev': 'eBPF helper headers',
  gcc: 'compiles cable-cni and the tap relay',
  'libjansson-dev': 'JSON in cable-cni',
  'libc6-dev': 'C headers',
  make: 'runs the C builds',
};

const HOST = {
  iproute2: 'links, routes and namespaces',
};

const LAB = {
  ...BUILD,
  ...HOST,
  'iputils-ping': 'ping',
  udhcpc: 'a DHCP client for a guest',
  'isc-dhcp-client': 'another DHCP client for a guest',
  'busybox-static': "small web server and client in guests, and the QEMU guest's user land",
};

const QEMU = { 'qemu-system-x86': 'runs a real virtual machine (software emulation)' };
const ETCD = { 'etcd-server': 'the store for several servers' };
const OVN = {
  'openvswitch-switch': 'the switch of hosts with OVN',
  'ovn-central': "OVN's databases and their translator",
  'ovn-host': "OVN's controller",
  ethtool: 'sets offloads of what is beside the switch',
  tcpdump: 'looks at packets',
};
const TEST = {
  'dhcpcd-base': 'a DHCPv4 and DHCPv6 client in tests',
  'bind9-dnsutils': 'a DNS client (dig) in tests',
  ndisc6: 'a client of router advertisements (rdisc6) in tests',
  iptables: 'a firewall of the host in tests',
  'clang-format': 'checks the layout of C sources',
  'etcd-client': 'looks into etcd in tests',
  conntrack: "looks at the kernel's connection tracking in tests",
  socat: 'moves bytes in tests',
  procps: 'sysctl in tests',
  curl: 'plain HTTP client in tests',
  openssl: 'certificates for a database in tests',
  frr: 'BGP in tests of L3VPNs',
};
const BENCH = {
  iperf3: 'TCP and UDP throughput',
  ethtool: 'reads and sets offloads',
  'containernetworking-plugins': 'the reference bridge plug-in to compare with',
  nftables: 'stateful rules to compare with',
  iptables: 'stateful rules to compare with',
  'openvswitch-switch': 'a switch to compare with',
};
/** Libraries and programs alone, not the packages with services: none of them is started, no user or file of /etc is made for it. */
const OPENSTACK = {
  'python3-keystone': 'a real Keystone',
  'uwsgi-core': 'serves Keystone',
  'uwsgi-plugin-python3': 'serves Keystone',
  'python3-openstackclient': 'the openstack command',
  'python3-neutronclient': 'more of the openstack command',
  'python3-neutron': 'a stock neutron-server to compare with',
  'mariadb-server-core': "the stock neutron-server's database",
  'mariadb-client-core': 'what mariadb-install-db calls',
  tempest: "OpenStack's own tests",
  'neutron-tempest-plugin': "OpenStack's own tests of networks",
};

/** As those of OPENSTACK: no services but those that `npm run lab:nova` starts. */
const NOVA = {
  'python3-keystone': OPENSTACK['python3-keystone'],
  'uwsgi-core': 'serves Keystone and Placement',
  'uwsgi-plugin-python3': 'serves Keystone and Placement',
  'python3-openstackclient': OPENSTACK['python3-openstackclient'],
  'mariadb-server-core': 'the database of Nova, Glance and Placement',
  'mariadb-client-core': OPENSTACK['mariadb-client-core'],
  'python3-pymysql': 'a client of MariaDB',
  'python3-nova': 'a real Nova',
  'python3-glance': 'a real Glance',
  'python3-placement': 'a real Placement',
  'libvirt-daemon': 'starts machines for Nova',
  'libvirt-daemon-driver-qemu': 'starts machines for Nova',
  'libvirt-clients': 'asks libvirt',
  'python3-libvirt': 'libvirt for Nova',
  'qemu-utils': 'images for Nova',
  ...Object.fromEntries(
    [
      ...['base', 'crypto', 'eldap', 'inets', 'mnesia', 'os-mon', 'parsetools', 'public-key', 'runtime-tools', 'ssl'],
      ...['syntax-tools', 'tools', 'xmerl'],
    ].map((name) => [`erlang-${name}`, 'runs RabbitMQ']),
  ),
  curl: 'asks the agent',
};

/** What a command needs: package -> why. */
export function packagesFor(command, args) {
  if (command === 'build' || command === 'gen' || command === 'images') return BUILD;
  if (command === 'check') return { ...BUILD, 'clang-format': TEST['clang-format'] };
  if (command === 'lab') {
    const { qemu, etcd, ovn } = labNeeds(args);
    return { ...LAB, ...(qemu ? QEMU : {}), ...(etcd ? ETCD : {}), ...(ovn ? OVN : {}) };
  }
  if (command === 'fuzz') return { ...BUILD, ...HOST, procps: TEST.procps };
  if (command === 'bench' && args[0] === 'api') return { ...BUILD, ...HOST, ...ETCD, ...OPENSTACK };
  if (command === 'bench') return { ...LAB, ...ETCD, ...BENCH };
  if (command === 'nova')
    return { ...BUILD, ...HOST, ...ETCD, ...QEMU, ...NOVA, 'busybox-static': LAB['busybox-static'] };
  if (command === 'openstack') return { ...BUILD, ...HOST, ...ETCD, ...OPENSTACK };
  if (command === 'kube') return { ...BUILD, ...ETCD };
  return { ...LAB, ...QEMU, ...ETCD, ...OVN, ...TEST };
}

/** Installs the packages that lack. Quick (one dpkg-query) when none does. */
export async function installPackages(wanted) {
  if (!existsSync('/usr/bin/dpkg-query') || !existsSync('/usr/bin/apt-get')) {
    say(`this is not Debian, so nothing is installed; needed: ${Object.keys(wanted).join(' ')}`);
    return;
  }
  const missing = await missingPackages(Object.keys(wanted));
  if (missing.length === 0) return;
  say(`installing ${missing.length} Debian package(s):`);
  for (const name of missing) say(`  ${name}: ${wanted[name]}`);
  if (process.getuid?.() !== 0) {
    throw new StepError(
      `Debian packages lack, and installing them needs root.\nwhat to do: sudo apt-get install ${missing.join(' ')}`,
    );
  }
  if (await lacksCandidate(missing)) await updateLists();
  if ((await aptInstall(missing)).code === 0) return;
  await updateLists();
  const second = await aptInstall(missing);
  if (second.code === 0) return;
  throw new StepError(
    [
      `failed: apt-get install ${missing.join(' ')}`,
      ...second.output
        .trimEnd()
        .split('\n')
        .slice(-20)
        .map((line) => `  | ${line}`),
      'what to do: see that this machine reaches its Debian mirror and that no other apt is running, then try again',
    ].join('\n'),
  );
}

async function missingPackages(names) {
  const { output } = await capture('dpkg-query', ['-W', '-f', `\${Package} \${db:Status-Status}\n`, ...names]);
  const installed = new Set(
    output
      .split('\n')
      .filter((line) => line.endsWith(' installed'))
      .map((line) => line.split(' ')[0]),
  );
  return names.filter((name) => !installed.has(name));
}

async function lacksCandidate(names) {
  const { output } = await capture('apt-cache', ['policy', ...names], { env: { LC_ALL: 'C' } });
  const known = output.split('\n').filter((line) => /^\s+Candidate: (?!\(none\))/.test(line)).length;
  return known < names.length;
}

/** Makes apt's lists current. */
export async function updateLists() {
  say('reading the Debian package lists (apt-get update)');
  await step('apt-get', ['update', '-q'], {
    remedy: 'see that /etc/apt/sources.list names a mirror that this machine reaches',
  });
}

/** Waits for another apt, such as the one that a new machine begins with. */
function aptInstall(names) {
  const options = ['-y', '-q', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=300'];
  return capture('apt-get', ['install', ...options, ...names], {
    env: { DEBIAN_FRONTEND: 'noninteractive' },
  });
}
