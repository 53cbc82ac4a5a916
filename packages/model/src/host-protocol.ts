/**
 * The stream between a server and a host's agent, protocol 2 (protocol 1: `slices-v1.ts`). How it fits together: `docs/design/host-plane.md`.
 *
 * 1. `PUT /cable/v1/hosts/{host}` with a `HostRegistration`; answered with a `HostWelcome` (protocol 1: 204 without a body).
 * 2. `GET /cable/v1/hosts/{host}/watch` with `Connection: Upgrade` and `Upgrade: cable-host/2`; answered `101`, then lines of JSON both ways,
 *    one each: `AgentLine` up, `ServerLine` down. A server that answers `200` speaks protocol 1, and so does an agent that asks for no upgrade.
 *
 * A reader passes over a line of an unknown `type`, an unknown slice kind and unknown fields: they come from a newer peer.
 */
import type { AskFault, HostAsk } from './host-asks.ts';
import type { SliceHeader, SliceItem, SliceKey } from './slices.ts';

/** A day and what it brought. */
type ProtocolChange = { readonly date: string; readonly change: string };

/**
 * What each protocol of the host stream brought, newest last. A change that an older peer would misread raises the number; one that it passes over, and is
 * right all the same, is among the `additions` of the number that it came with.
 */
export const HOST_PROTOCOLS: readonly (ProtocolChange & {
  readonly number: number;
  readonly additions?: readonly ProtocolChange[];
})[] = [
  { number: 1, date: '2026-11-20', change: 'Whole slices over GET watch?since=REVISION; reports by POST status.' },
  {
    number: 2,
    date: '2026-11-26',
    change:
      'Slices by item over an upgraded connection; digests; identity of the store and of the agent; paced acknowledgements.',
    additions: [
      {
        date: '2026-11-26',
        change:
          'A full report of more devices than a line may have is in parts. An older server takes them for reports of some devices, and forgets none.',
      },
      {
        date: '2026-11-26',
        change:
          'A large slice is compared by buckets with an agent whose resume says that it compares; of an older one all of it is sent anew.',
      },
      {
        date: '2026-11-26',
        change:
          'A registration says how large a packet the uplink takes, and is repeated when that changes. Of an older agent it is not known; an older server passes it over.',
      },
      {
        date: '2026-11-26',
        change:
          'A network may say its dnsDomain, a port its extraDhcpOpts, publicKeys and vendorData; slices names tell the names of ports. An older agent passes them over: its guests do not get them.',
      },
      {
        date: '2026-11-26',
        change:
          'An endpoint may say its pairs: allowed address pairs that are one address, which a router of an older agent does not find; and pairs that are prefixes are no addresses of a group. An older agent passes the first over.',
      },
      {
        date: '2026-11-26',
        change:
          'Subnets, and addresses everywhere, may be of IPv6; a subnet says what router advertisements tell guests, and how these get their addresses. An older agent passes the modes over, and drops IPv6.',
      },
      {
        date: '2026-11-26',
        change: 'A policy may be stateless. An older agent takes it for one that is not: answers need no rule there.',
      },
      {
        date: '2026-11-26',
        change:
          'A port may say its qosPolicyId; slices qos tell what such a policy limits and marks. An older agent passes both over: its guests are not limited.',
      },
      {
        date: '2026-11-26',
        change:
          'A registration says on which physical networks the host is, and a network which of them carries it (wire). An older agent passes that over: it tunnels such a network by its vni, so its ports are not on the physical network.',
      },
      {
        date: '2026-11-26',
        change:
          'A router may say its gateway, and slices gateways and floating tell its host what it passes outside. An older agent passes them over: its guests do not reach outside, and it must not be the host of a gateway, for it does not say that it is on a physical network.',
      },
      {
        date: '2026-11-27',
        change:
          'A port may be a trunk’s sub-port: it says its parent and its VLAN tag. An older agent waits for a device of the port’s own, and says that it is down.',
      },
      {
        date: '2026-11-27',
        change:
          'Slices standby have ports that a host programs before they come to it, or after they have left it; endpoints say such hosts. An older agent passes both over: a port that moves from or to it is without traffic until all hosts know.',
      },
      {
        date: '2026-11-27',
        change:
          'Slices balancers and pool tell of load balancers. An older agent passes them over: there nobody answers for their virtual addresses.',
      },
      {
        date: '2026-11-27',
        change:
          'A server may ask about a port (ask, answer), an agent whose resume says that it answers. Of an older one nothing is asked: the caller is told so.',
      },
      {
        date: '2026-11-27',
        change:
          'Slices forwards tell the host of a gateway which ports of floating IPs lead where. An older agent passes them over: there these ports lead nowhere.',
      },
      {
        date: '2026-11-27',
        change:
          'A pool may say how its members are probed, a member how it is; an agent tells what it finds (health). An older agent passes both over: its members are not probed, and its clients get connections to members that are down. An older server passes over what it is told.',
      },
      {
        date: '2026-11-27',
        change:
          'A router’s gateway may say its standbys, and slices spares tell a host of which gateways it is one. An older agent passes both over: it follows the gateway’s host alone. A report may say gateways whose place the host has taken; an older server passes that over.',
      },
      {
        date: '2026-11-27',
        change:
          'A router’s gateway may say that ports of its address are leased, where its host has the feature blocks; slices leases and blocks tell hosts with it which blocks whose are. An older agent passes them over: its guests go by the gateway’s host.',
      },
      {
        date: '2026-11-27',
        change:
          'A registration says the features of the agent. Slices floats tell a host with the feature floats of the floating IPs that it answers for itself; those of an older agent’s ports stay with the host of their gateway. A floating IP says its macAddress; an older agent passes that over, and answers with the gateway’s.',
      },
      {
        date: '2026-11-27',
        change:
          'A port may say of its mirrors, which copy what it sends and receives, and of taps, by which copies come to it. An older agent passes both over: it makes no copies, and drops those that come.',
      },
      {
        date: '2026-11-27',
        change:
          'A pool may say that it is of UDP: flows leave its members that are down. An older agent passes that over: there they keep them.',
      },
      {
        date: '2026-11-27',
        change:
          'A router’s gateway, a floating IP and its ports may say their qosPolicyId. An older agent passes that over: what passes by these addresses is not limited.',
      },
      {
        date: '2026-11-27',
        change:
          'A router may say its policies: policy routes. An older agent passes them over: there its packets go by the routes alone, also those that a policy route drops.',
      },
      {
        date: '2026-11-27',
        change:
          'A port may say that its flows are exported. An older agent passes that over: it tells no collector of them.',
      },
      {
        date: '2026-11-27',
        change:
          'An underlay address may be of IPv6. An older agent with an IPv4 address finds no way to such a host; servers take hosts of one IP version, and refuse the others.',
      },
      {
        date: '2026-11-27',
        change:
          'A status says which leases of ports need more blocks, and which have some that nothing uses. An older server passes that over: leases stay as they are; so do those of an older agent.',
      },
      {
        date: '2026-11-27',
        change:
          'A registration may say the bandwidth that ports may be promised. Of an older agent it is not known; an older server passes it over: it promises without bound.',
      },
      {
        date: '2026-11-27',
        change:
          'Slices peerings tell of the peerings of routers. An older agent passes them over: what its guests send to a peer goes by the routes of their own router, or nowhere, and what comes from one it refuses.',
      },
      {
        date: '2026-11-27',
        change:
          'The answer to an ask for a trace may say what the packet would begin, and as what it comes to a port; an ask about its answer gives the former back. Of an older agent it is not known, and answers of what is translated are not traced; an older server passes it over.',
      },
      {
        date: '2026-11-27',
        change:
          'A server may ask to follow a port. An older agent says that it does not know the ask, and the caller is told so.',
      },
      {
        date: '2026-11-27',
        change:
          'A trace may begin at a machine outside, and a packet that leaves by an uplink is told as it is then. An older agent refuses the former, and the caller is told so; an older server passes the latter over.',
      },
      {
        date: '2026-11-27',
        change:
          'Who asks to follow a port may ask for packets. An agent that does not know of them counts none in its answer, and the caller is told so.',
      },
      {
        date: '2026-11-27',
        change:
          'A lease says whether its port leaves by the gateway (leavesBy), and slices blocks the same, and which port that is: a host that takes the place of the gateway’s has their rows then. An older agent passes both over, and an older server says neither: connections by leased ports end when another host becomes the gateway’s.',
      },
      {
        date: '2026-11-27',
        change:
          'A server may ask for a capture of a port. An older agent says that it does not know the ask, and the caller is told so. Who follows or captures may say that he asks for the last time; an older agent passes that over, and waits for its lease to run out.',
      },
      {
        date: '2026-11-27',
        change:
          'Feature flows: a status says of a port that comes from another host that its flows are here. An older server passes it over, and waits for no flows when a port moves; nor does any for an older agent.',
      },
      {
        date: '2026-11-27',
        change:
          'Slices blocks say the addresses of the ports that have the blocks. An older agent passes them over, and an older server does not say them: there guests of other hosts who leave by their own do not reach what is on the external network itself.',
      },
      {
        date: '2026-11-28',
        change:
          'A registration may say the availability zone of the host. Of an older agent it is nova; an older server passes it over.',
      },
      {
        date: '2026-11-28',
        change:
          'A group may say its addresses: it is an address group then, and they count wherever the packet comes from. An older agent passes them over: what rules allow of such a group is not let in, nor out, there.',
      },
      {
        date: '2026-11-28',
        change:
          'Feature bridges: devices of VMs of the host are made by libvirt, in a bridge for each. An older server passes it over, and shows vif_type tap.',
      },
      {
        date: '2026-11-28',
        change:
          'The slice logs says of which ports packets are written down. An older agent passes it over, and writes nothing.',
      },
      {
        date: '2026-11-29',
        change:
          'Slices services and backends tell of Services of Kubernetes. An older agent passes them over: what its guests send to a ClusterIP goes by the routes of their router, or nowhere.',
      },
      {
        date: '2026-11-29',
        change:
          'A Service may say addresses that hosts announce on their links (announcedIps); a report says which a host announces. An older agent passes them over, and is no host for that; an older server passes over what it is told.',
      },
      {
        date: '2026-11-30',
        change:
          'A peer of a rule of a whole cluster may be names (domains), and its slice says what no name means (domainExcept). An older agent passes them over: there such a rule allows nothing by names.',
      },
      {
        date: '2026-11-30',
        change:
          'Slices private_subnets and private_legs tell of subnets that keep to themselves; network_policies name them (privateIn). A server does not ask it of an older agent: ports in such a subnet pass nothing there but with their node.',
      },
      {
        date: '2026-11-30',
        change:
          'A port may say whether its pod has its default routes by it (defaultRoute). An older agent passes that over: the interface that came first has them.',
      },
      {
        date: '2026-11-30',
        change:
          'An endpoint of a Service that is a host may say at which of its own addresses it listens (hostAddress). An older agent passes that over: there who listens at that address alone is not reached.',
      },
      {
        date: '2026-11-30',
        change:
          'The port of a node may say the zone of its host, and its endpoint that the host announces nothing (announces). An older agent passes both over: hints of zones count there as its availability zone says, and it announces what it would.',
      },
      {
        date: '2026-11-30',
        change:
          'Slices network_policies and cluster_policies name policies of which hosts write down what they decide (logged). An older agent writes nothing.',
      },
      {
        date: '2026-11-30',
        change:
          'Feature host-policies: slices host_policies tell what reaches and leaves the host itself, and its slice names them (policies); what the kernel refused may be of these (hostPolicies). A server does not ask it of an older agent: there nothing is refused, and the policy says so. An older server passes the report over.',
      },
    ],
  },
];

/** Devices of which a server keeps a state for one host, and that a full report may name: what a host is designed for (`CB_MAX_VIF`). */
export const MAX_VIFS_A_HOST = 8192;

/** Devices that one report, or one part of one, may name. */
export const MAX_VIFS_A_REPORT = 4096;

/** Ports of gateways that one report may name: the others come with the next. */
export const MAX_GATEWAYS_A_REPORT = 1024;

/** The protocol this code speaks when the peer does too. */
export const HOST_PROTOCOL = 2;

/** The token of the `Upgrade` header that asks for protocol 2. */
export const HOST_UPGRADE = 'cable-host/2';

/** What this agent says that it can do. `floats`: it answers for floating IPs of its own ports (slices `floats`). `flows`: it says when flows of a port that comes are here (`VifStatus`). `network-policies`: it knows these (slices `network_policies`); `network-policy-tiers`: those of a whole cluster, too (slices `cluster_policies`); `private-subnets`: and these (slices `private_subnets`, `private_legs`), of any port; `host-policies`: those for the host itself (slices `host_policies`). */
export const AGENT_FEATURES: readonly string[] = [
  'blocks',
  'floats',
  'flows',
  'host-policies',
  'network-policies',
  'network-policy-tiers',
  'private-subnets',
  'pseudowires',
];

/**
 * Thousands of bits a second, by physical network or `TUNNELLED`, and direction; of `PACKETS` thousands of packets a second, of which `any` are sent and received
 * together. What is absent is not known.
 */
export type HostBandwidth = Readonly<
  Record<string, { readonly egress?: number; readonly ingress?: number; readonly any?: number }>
>;

/** Most of them. */
export const MAX_KBPS: number = 2 ** 40;

/** Stands for all tunnelled networks where physical ones are named: Neutron's name, which no physical network has there. */
export const TUNNELLED = 'rp_tunnelled';

/** Stands for the packets that the host can process, of whatever network, where physical networks are named. */
export const PACKETS = 'rp_packets';

/** Body of `PUT /cable/v1/hosts/{host}`: an agent makes itself known (idempotent), before it watches. */
export type HostRegistration = {
  /** Address other hosts tunnel to. */
  readonly underlay: string;
  readonly agentVersion: string;
  /** Largest packet, in bytes, that the device with the underlay address takes (68..65535); absent: not known. */
  readonly underlayMtuBytes?: number;
  /** Interface of each physical network that the host is on (`--bridge-mappings`), by the network's name; absent: none. */
  readonly bridgeMappings?: Readonly<Record<string, string>>;
  /** What ports may be promised of the host's bandwidth (`--bandwidth`), by physical network; absent: it does not say. */
  readonly bandwidth?: HostBandwidth;
  /** Availability zone that the host is in (`--availability-zone`), 1 to 255 characters; absent: `nova`. */
  readonly availabilityZone?: string;
  /** Kubernetes cluster whose controller may bind ports there (`--cluster`); absent: none. */
  readonly cluster?: string;
  /** What the agent can do that must not be asked of an older one (`AGENT_FEATURES`), sorted; absent: nothing of that. */
  readonly features?: readonly string[];
  /** UUID that the agent made at its first start on this machine and keeps; absent: an agent of protocol 1. */
  readonly agentId?: string;
  /** UUID of this run of the agent. */
  readonly session?: string;
  /** The session of the run before this one, as the machine remembers it: a copy of the machine's disk does not know later ones. Null: none. */
  readonly previousSession?: string | null;
  /** Highest protocol that the agent speaks; absent: 1. */
  readonly protocol?: number;
  /** As in `resume`: a host that must not follow this store is refused before it counts as alive. */
  readonly since?: number;
  readonly history?: StoreHistory | null;
};

/** Answer to a registration. */
export type HostWelcome = {
  /** The protocol to be spoken: the highest of both. */
  readonly protocol: number;
  readonly history: StoreHistory;
};

/**
 * Which store this is, and which of its histories. `cluster` is made once and survives a restore of a snapshot; `mark` is a random text that
 * the servers write when they start and regularly, each naming its predecessor: a store that does not know a mark lost what followed it.
 */
export type StoreHistory = { readonly cluster: string; readonly mark: string };

/** A line from an agent. The first is `resume`. */
export type AgentLine =
  /** What the agent holds. */
  | {
      readonly type: 'resume';
      readonly session: string;
      /** Revision of the last `sync` or `bookmark` that it took; 0: none. */
      readonly since: number;
      /** Where that was; null: nowhere yet, or an operator told it to take this store over. */
      readonly history: StoreHistory | null;
      /** Digest of each slice it holds. */
      readonly slices: Readonly<Record<string, number>>;
      /** It answers `compare`. Absent: it is not asked. */
      readonly compares?: true;
      /** It answers `ask`. Absent: it is not asked. */
      readonly answers?: true;
    }
  /** Answer to the `ask` with that number: a value of `HostAnswers`, or why there is none. */
  | { readonly type: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly type: 'answer'; readonly id: number; readonly fault: AskFault }
  /** Answer to `compare`: digests of the slice's items as held, not as staged, by bucket (`bucketOf`), as many as it asks for; 0: nothing is in it. */
  | { readonly type: 'buckets'; readonly key: string; readonly digests: readonly number[] }
  /** The heartbeat: every 5 s; and within `ackWithinMs` of a bookmark; and at once when a port's state changed. */
  | ({ readonly type: 'status' } & HostStatusReport)
  /** What the agent finds of members that it probes. */
  | ({ readonly type: 'health' } & MemberReport)
  /** Everything is to be sent anew: the digest of `sync` is not that of what the agent holds. */
  | { readonly type: 'refresh' };

/**
 * A line from a server. `hash` is a number of 48 bits made of key, item key and content; a slice's digest is the sum of the hashes of its header
 * and its items, modulo 2^48. An agent keeps hashes as it is told them, also of what it does not understand.
 *
 * What lines say counts from the next `sync` or `bookmark` on: together they are one change. Lines may repeat. Revisions of `sync` and `bookmark`
 * never fall on a connection.
 */
export type ServerLine =
  /** First line: who answers. */
  | { readonly type: 'hello'; readonly protocol: number; readonly history: StoreHistory; readonly revision: number }
  /** Last line before the server closes: why. `retry` false: only an operator can help. */
  | { readonly type: 'refused'; readonly code: string; readonly message: string; readonly retry: boolean }
  | {
      readonly type: 'header';
      readonly key: SliceKey;
      readonly revision: number;
      readonly hash: number;
      readonly value: SliceHeader;
    }
  | {
      readonly type: 'put';
      readonly key: SliceKey;
      readonly item: string;
      readonly revision: number;
      readonly hash: number;
      readonly value: SliceItem;
    }
  | { readonly type: 'delete'; readonly key: SliceKey; readonly item: string; readonly revision: number }
  /** What the client holds of the slice is void; its header and items follow before the next `sync` or `bookmark`. */
  | { readonly type: 'reset'; readonly key: SliceKey; readonly revision: number }
  /**
   * What the client holds of the slice's items in some buckets (`bucketOf`) of so many is void; the header and the items that are in them follow before
   * the next `sync` or `bookmark`. Only to a client that has compared the slice.
   */
  | {
      readonly type: 'reset-buckets';
      readonly key: SliceKey;
      readonly revision: number;
      /** 1..`MAX_SLICE_BUCKETS` */
      readonly of: number;
      readonly buckets: readonly number[];
    }
  /**
   * The client is to say what it holds of the slice, by so many buckets (1..`MAX_SLICE_BUCKETS`). No `sync` comes before it has. Once a connection for a slice
   * that `resume` names: a client ends the connection that asks otherwise.
   */
  | { readonly type: 'compare'; readonly key: SliceKey; readonly of: number }
  /** The client is to answer, whatever else comes. Numbers are not used again on a connection. At most `MAX_ASKS_A_HOST` wait for answers. */
  | { readonly type: 'ask'; readonly id: number; readonly ask: HostAsk }
  /** The host does not need the slice any more, or what it was about is gone. */
  | { readonly type: 'drop'; readonly key: SliceKey; readonly revision: number }
  /** The client has everything as of `revision`. `digest`: sum of the digests of all its slices, modulo 2^48. `mark`: the store's as of `revision`. */
  | { readonly type: 'sync'; readonly revision: number; readonly digest: number; readonly mark: string }
  /**
   * Everything up to `revision` has been sent. `ackWithinMs`: when it is in the kernel, say so by a `status` line after a random part of this time
   * (0: at once), unless one goes out sooner; absent: nothing was sent that needs one. `digest`: as in `sync`, when something was sent. `mark`: the
   * store's as of `revision`, when it is not that of the last line that had one.
   */
  | {
      readonly type: 'bookmark';
      readonly revision: number;
      readonly ackWithinMs?: number;
      readonly digest?: number;
      readonly mark?: string;
    };

/**
 * What an agent reports; with protocol 1 the body of `POST /cable/v1/hosts/{host}/status` (answer 204). `revision`: the last one that is in the
 * kernel; 0: none yet. `vifs`: those changed since the last report; with `full`, all of them: the server forgets the others.
 */
export type HostStatusReport = {
  readonly revision: number;
  readonly full: boolean;
  readonly vifs: readonly VifStatus[];
  /** This is one part of a full report; `full` is false. With the last of them the server forgets what none of them names. Absent: it is whole. */
  readonly part?: ReportPart;
  /** Of entries that are about none of the host's own ports, which say so themselves. Absent: none. */
  readonly refused?: RefusedEntries;
  /** Ports of gateways that are on other hosts as the server has it, and whose place the host has taken because they were dead; at most `MAX_GATEWAYS_A_REPORT`. Absent: none. */
  readonly gateways?: readonly string[];
  /** Leases of ports of routers' addresses that need more blocks, or have some that nothing uses; at most `MAX_LEASES_A_REPORT`. Absent: none. */
  readonly leases?: readonly LeaseUse[];
  /** Addresses of Services that the host announces on its links; at most `MAX_ANNOUNCED_A_REPORT`. Absent: it announces none whatever there is. */
  readonly announces?: readonly string[];
};

/** Addresses that one host is known to announce. */
export const MAX_ANNOUNCED_A_REPORT = 1024;

/** Blocks of ports that one lease has at the most. */
export const MAX_BLOCKS_A_LEASE = 32;

/** Leases of which one report tells. */
export const MAX_LEASES_A_REPORT = 256;

/**
 * How a lease's blocks are used on the host that has it. It speaks of so many `blocks`: where the lease has another number the host does not know that yet, and it says nothing.
 * `wanted`: its guest ran short of ports to some destination. `idle`: first ports of blocks that no connection has had a port of for ten minutes.
 */
export type LeaseUse = {
  readonly leaseId: string;
  readonly blocks: number;
  readonly wanted: boolean;
  readonly idle: readonly number[];
};

/** Members of which one report tells. */
export const MAX_MEMBERS_A_REPORT = 4096;

/** Members that changed since the last report, or, with `full`, all that the host probes: of others it has nothing to say any more. */
export type MemberReport = { readonly full: boolean; readonly members: readonly MemberHealth[] };

/** `unknown`: it is probed, and no probe has told yet. `gone`: this host probes it no more. `reason`: of `down`, else null. */
export type MemberHealth = {
  readonly memberId: string;
  readonly state: 'up' | 'down' | 'unknown' | 'gone';
  readonly reason: string | null;
};

/** Part `number` (from 1) of `of`. Protocol 2; the parts follow one another on the connection, with no other report between them. */
export type ReportPart = { readonly number: number; readonly of: number };

/** How many map entries the host's kernel has refused, and why one of them: what needs them does not pass there. The revision counts as programmed all the same. */
export type RefusedEntries = {
  readonly entries: number;
  readonly reason: string;
  /** Why policies for the host itself are not in force as they are now; absent: they are. */
  readonly hostPolicies?: string;
};

/** `up`: the device exists and its programs and map entries are in place; `down`: no device yet; `error`: see reason. */
export type VifStatus = {
  readonly portId: string;
  readonly state: 'up' | 'down' | 'error';
  readonly reason: string | null;
  /** The port comes from another host, and that one has handed over all flows that it had when it was asked. Absent: it does not, or has not. */
  readonly flows?: true;
};
