import { existsSync, rmdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Logger } from '@cable/kit';
import { handAnnouncedOver } from './announced/hand-over.ts';
import { kernelGroups, leaveAllGroups } from './announced/solicited-groups.ts';
import { bgpDirectory, isBgpdRunning, stopBgpd } from './bgp/bgpd.ts';
import { removePins } from './bpf/pin.ts';
import { removeTcxProgram } from './bpf/tcx.ts';
import { removeHostPorts } from './cni/host-port-store.ts';
import { removeEntrances } from './devices/entrance-keeper.ts';
import { FRAGMENTER_LINK, removeFragmenterNamespace } from './devices/fragmenter.ts';
import { removeGuard } from './devices/guard.ts';
import { isHostLink } from './devices/host-links.ts';
import { LinkRemover } from './devices/link-remover.ts';
import { removeServiceNamespace, SERVICE_PEER_NAME } from './devices/service-namespace.ts';
import { isTapBridge } from './devices/tap-bridges.ts';
import { absentOn } from './ffi/errno.ts';
import { removeHostPolicies } from './host-policies/host-policies.ts';
import { JOINED_DIRECTORY, JOINED_FILES } from './joining/host-files.ts';
import { FROM_LSP } from './labels/label-programs.ts';
import { removeIngressFilter } from './net/filter.ts';
import { IFF_PROMISC, type Link, listLinks, setPromiscuous } from './net/link.ts';
import { NETLINK, NetlinkSocket } from './net/socket.ts';
import type { AgentOptions } from './options.ts';
import { LOG_FILES } from './packet-log/open.ts';
import { VPN_DEVICE } from './plan/label-rows.ts';
import { WIRE_DEVICE, WIRE_QUEUE } from './plan/pseudowire-rows.ts';
import { removeGuarantees } from './pseudowires/guarantees.ts';
import { WIRE_PROGRAMS } from './pseudowires/pseudowire-programs.ts';
import { ENTRY } from './reconcile/program-slots.ts';
import { TOLD_FILES } from './told/told-file.ts';

/** The links to the services and to the fragmenter, which go by either end, that of builds that had the services in the host's namespace, the queues of limits, mirrors, the uplink of VPNs, and the queue of pseudowires. */
const SERVICE_LINKS: readonly string[] = [
  SERVICE_PEER_NAME,
  'cable0',
  FRAGMENTER_LINK,
  'cableq0',
  'cablem0',
  VPN_DEVICE,
  WIRE_QUEUE,
];
/** VIF ends of pods and of host-owned ports; `cn-`: of pods, in the making, by agents of before. Taps are the hypervisor's. */
const OWN_VIF = /^(cv[0-9a-f-]{11}|cn-[0-9a-f]{10})$/;

/** What agents keep in `--state`: directories, what is in each of them, and files beside them. */
const STATE_DIRECTORIES = ['state', 'state.unusable'] as const;
const STATE_FILES = ['data.mdb', 'lock.mdb', 'loading'] as const;
const OLD_STATE_FILES = ['state.json', '.draft'] as const;
/** What they keep in `--run`. */
const RUN_FILES = ['agent.sock'] as const;

/**
 * Removes whatever carries the mark of this host's agents: maps, links, programs on devices, the guard's tables, state and sockets. The directories of
 * `--state` and `--run` may be shared, and that of the pins of all hosts is: they go only when nothing else is in them.
 */
export async function teardown(
  options: Pick<AgentOptions, 'host' | 'pinDir' | 'stateDir' | 'runDir'>,
  log: Logger,
): Promise<void> {
  const { host, pinDir, stateDir, runDir } = options;
  await handAnnouncedOver(pinDir, log);
  const spoke = isBgpdRunning(bgpDirectory(runDir));
  await stopBgpd(bgpDirectory(runDir));
  const found = [
    spoke,
    removePins(pinDir),
    await removeLinks(),
    removeTables(),
    removeServiceNamespace(runDir),
    removeFragmenterNamespace(runDir),
    ...STATE_DIRECTORIES.map((name) => removeOwnFiles(join(stateDir, name), STATE_FILES)),
    removeOwnFiles(join(stateDir, JOINED_DIRECTORY), JOINED_FILES),
    removeHostPorts(stateDir),
    removeOwnFiles(stateDir, [...OLD_STATE_FILES, ...LOG_FILES, ...TOLD_FILES]),
    removeOwnFiles(runDir, RUN_FILES),
  ];
  removeIfEmpty(dirname(pinDir));
  if (found.includes(true)) log.info({ host }, 'removed everything of this host');
  else log.warn({ host, stateDir, runDir, pinDir }, 'nothing of this host is here: nothing was removed');
}

/** False: there were none, and no programs. */
async function removeLinks(): Promise<boolean> {
  const socket = new NetlinkSocket();
  const remover = new LinkRemover({ gatherMs: 0 });
  try {
    const links = listLinks(socket);
    const programs = [
      ...links.filter(({ ifindex }) => removeIngressFilter(socket, ifindex)),
      ...links.filter((link) => removeUplinkProgram(socket, link)),
      ...links.filter(({ ifindex }) => removeWirePrograms(socket, ifindex)),
    ];
    const hadGroups = leaveAllGroups(kernelGroups(socket));
    const own = links.filter(isOwn).map(({ ifindex }) => ifindex);
    await remover.remove(own);
    return programs.length > 0 || own.length > 0 || hadGroups;
  } finally {
    await remover.close();
    socket.close();
  }
}

/** And what a device has for provider networks. False: there was none. */
function removeUplinkProgram(socket: NetlinkSocket, { ifindex, flags }: Link): boolean {
  const hadLabels = removeTcxProgram(ifindex, FROM_LSP);
  if (!removeTcxProgram(ifindex, ENTRY.uplink.dispatcher)) return hadLabels;
  if ((flags & IFF_PROMISC) !== 0) setPromiscuous(socket, ifindex, false);
  return true;
}

/** And what it keeps free. False: there was no program. */
function removeWirePrograms(socket: NetlinkSocket, ifindex: number): boolean {
  removeGuarantees(socket, ifindex);
  const { sent, delivered } = WIRE_PROGRAMS;
  return [removeTcxProgram(ifindex, sent), removeTcxProgram(ifindex, delivered, 'egress')].includes(true);
}

/** False: there were none, as where the kernel has no nf_tables. */
function removeTables(): boolean {
  const removed = absentOn(['EOPNOTSUPP', 'EAFNOSUPPORT', 'EPROTONOSUPPORT'], () => {
    using socket = new NetlinkSocket({ protocol: NETLINK.netfilter });
    return [removeGuard(socket), removeEntrances(socket), removeHostPolicies(socket)].includes(true);
  });
  return removed ?? false;
}

/** A device of another kind that has such a name is somebody else's. */
function isOwn(link: Link): boolean {
  if (link.kind === 'vxlan') return link.name === 'cablevx' || link.name === WIRE_DEVICE;
  if (isTapBridge(link)) return true;
  return isHostLink(link) || (link.kind === 'veth' && (SERVICE_LINKS.includes(link.name) || OWN_VIF.test(link.name)));
}

/** Then the directory, if that was all. False: none of the files was there. */
function removeOwnFiles(directory: string, names: readonly string[]): boolean {
  const there = names.map((name) => join(directory, name)).filter((path) => existsSync(path));
  for (const path of there) rmSync(path, { force: true });
  removeIfEmpty(directory);
  return there.length > 0;
}

function removeIfEmpty(directory: string): void {
  absentOn(['ENOENT', 'ENOTDIR', 'ENOTEMPTY', 'EEXIST', 'EBUSY', 'EINVAL'], () => rmdirSync(directory));
}
