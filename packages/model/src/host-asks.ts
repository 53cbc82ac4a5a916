/**
 * What a server asks a host's agent about a port, and what the agent answers: lines `ask` and `answer` of the host stream. Ids are the store's; names are the
 * server's to add, as far as the caller may know them.
 */

import type { FrameFilter } from './frame-filter.ts';

/** What is asked. An agent answers one of a kind that it does not know with `AskFault` `unknown`. */
export type HostAsk =
  | { readonly kind: 'drops'; readonly portId: string }
  | ({ readonly kind: 'flows'; readonly portId: string } & FlowQuery)
  | ({ readonly kind: 'follow'; readonly portId: string } & FollowQuery)
  | ({ readonly kind: 'capture'; readonly portId: string } & CaptureQuery)
  | ({ readonly kind: 'trace' } & TraceAsk);

/** `unknown`: the agent is of an older build; `no-port`: the host does not carry the port; `busy`: ask again; `failed`: see `message`. */
export type AskFault = { readonly code: 'unknown' | 'no-port' | 'busy' | 'failed'; readonly message: string };

/** Answers by kind. */
export type HostAnswers = {
  readonly drops: PortDrops;
  readonly flows: PortFlows;
  readonly follow: FollowedFlows;
  readonly capture: CapturedFrames;
  readonly trace: TraceHop;
};

/** Asks that one host may have open at a time. */
export const MAX_ASKS_A_HOST = 32;

/** A server waits so long for an answer, and an agent gives none after that. */
export const ASK_WAIT_MS = 10_000;

/** Why a packet was dropped: the name counts, the rest is for people. */
export type DropReason = { readonly name: string; readonly meaning: string; readonly remedy: string };

/** What was dropped of what a port sent and received, since it came to this host. */
export type PortDrops = {
  readonly rxPackets: number;
  readonly txPackets: number;
  /** Those that occurred. */
  readonly drops: readonly {
    readonly reason: DropReason;
    readonly packets: number;
    /** Seconds since the last; null: not known, for a full queue does not say when. */
    readonly lastSecondsAgo: number | null;
  }[];
};

/** Most flows in one answer. */
export const MAX_FLOWS_AN_ANSWER = 500;

/** Which flows. What is absent is any. */
export type FlowQuery = {
  /** 1..`MAX_FLOWS_AN_ANSWER` */
  readonly limit: number;
  /** Number of the last flow that was shown; 0: from the beginning. */
  readonly after: number;
  /** IANA number. */
  readonly protocol?: number;
  /** Of either end. */
  readonly address?: string;
  /** TCP, UDP or SCTP port of either end. */
  readonly port?: number;
  readonly state?: FlowState;
};

export const FLOW_STATES = ['new', 'established', 'closing', 'closed', 'picked-up'] as const;
export type FlowState = (typeof FLOW_STATES)[number];

export type PortFlows = {
  /** In the order of their numbers, from the first behind `after`. */
  readonly flows: readonly FlowView[];
  /** All that fit the query, shown or not. */
  readonly total: number;
  /** `after` of the next page; null: this is the last. */
  readonly next: number | null;
};

/** One flow, as its first packet was. */
export type FlowView = {
  readonly flow: number;
  /** True: the port began it. */
  readonly isBegun: boolean;
  /** In which its first packets enter the host. */
  readonly networkId: string | null;
  readonly protocol: number;
  readonly source: string;
  readonly destination: string;
  /** Of TCP, UDP and SCTP; else null. */
  readonly sourcePort: number | null;
  readonly destinationPort: number | null;
  /** Of ICMP queries; else null. */
  readonly icmpType: number | null;
  readonly state: FlowState;
  readonly packets: number;
  readonly bytes: number;
  readonly replyPackets: number;
  readonly replyBytes: number;
  readonly ageSeconds: number;
  /** Until it ends if nothing more comes. */
  readonly expiresSeconds: number;
  /** The other end, if it is on this host. */
  readonly peerPortId: string | null;
  /** Underlay address of the host that the other end is on; null: this one, or not known. */
  readonly peerUnderlay: string | null;
  /** First 8 hexadecimal digits of the id of the rule that allowed it; null: none was needed, or not known. */
  readonly rule: string | null;
  /** What its source and destination become; null: they stay; absent: the agent is of an older build. */
  readonly becomes?: TraceEnds | null;
  /** A load balancer gave it to a member of its pool, or a Service to an endpoint. Absent: none did, or an older build. */
  readonly isBalanced?: boolean;
};

/** A host is told of what a port's flows do as long as somebody asks at least so often. */
export const FOLLOW_LEASE_MS = 15_000;

/** Records that wait for who follows a port; what comes when there are more pushes out the first. */
export const MAX_FOLLOWED = 512;

/** Ports that may be followed on a host at a time, and of one project. */
export const MAX_FOLLOWS = 8;
export const MAX_FOLLOWS_A_PROJECT = 4;

/** What is told of a port's flows. What is absent is any. */
export type FollowQuery = {
  /** As the answer before gave it; null: it begins. One that the host does not know, or that is of another port or query, is a new one. */
  readonly lease: string | null;
  /** Number of the last record that was taken; 0: none. */
  readonly after: number;
  /** As in `FlowQuery`. */
  readonly protocol?: number;
  readonly address?: string;
  readonly port?: number;
  /** Packets, too, and of flows those alone that they are of; without the three before. */
  readonly packets?: PacketQuery;
  /** Nothing more will be asked: the lease ends when it is answered, and none begins. An older agent has it run out. */
  readonly isLast?: true;
};

/** Packets of a port that are shown, at most so many a second. */
export const MAX_PACKET_RATE = 100;

/** Packets that a port exchanges with one peer. */
export type PacketQuery = {
  /** Address of the other end, as the port meets it. */
  readonly peer: string;
  /** IANA number. */
  readonly protocol: number;
  /** Of TCP, UDP and SCTP; null: any. */
  readonly peerPort: number | null;
  readonly ownPort: number | null;
  /** So many a second are shown: 1..`MAX_PACKET_RATE`. */
  readonly rate: number;
};

/** What came behind `after`. */
export type FollowedFlows = {
  /** 1..64 letters and digits. */
  readonly lease: string;
  /** In the order of their numbers. */
  readonly records: readonly (FlowEvent | PacketEvent)[];
  /** How many are missing since the lease began: nobody asked in time, or more came than the host tells of a port. */
  readonly lost: number;
  /** With `packets`, since the lease began. */
  readonly counted?: PacketCounts;
};

export type PacketCounts = {
  /** Of the query, shown or not: that the port sent, that it was given. A packet that is cut into segments only later is one. */
  readonly sent: number;
  readonly received: number;
  /** Dropped of all that the port sent and received, shown or not: those that occurred. */
  readonly drops: readonly { readonly reason: DropReason; readonly packets: number }[];
};

/** A packet as it passed the port's device: before anything was decided about what the port sends, after it about what it is given. */
export type PacketEvent = Pick<
  FlowView,
  'protocol' | 'source' | 'destination' | 'sourcePort' | 'destinationPort' | 'icmpType'
> & {
  readonly number: number;
  readonly kind: 'packet';
  readonly atMs: number;
  /** True: the port sent it. */
  readonly isSent: boolean;
  /** The sixth byte of flags of TCP's header (RFC 9293); null: it is none of TCP. */
  readonly tcpFlags: number | null;
  /** Of the IP packet. */
  readonly bytes: number;
  /** The flow that it is of, right after it passed; null: there is none, or none any more. */
  readonly flow: FlowView | null;
};

/** A flow of the port began or ended, or one of its packets was dropped when it was decided. */
export type FlowEvent = Pick<
  FlowView,
  | 'isBegun'
  | 'networkId'
  | 'protocol'
  | 'source'
  | 'destination'
  | 'sourcePort'
  | 'destinationPort'
  | 'icmpType'
  | 'packets'
  | 'bytes'
  | 'replyPackets'
  | 'replyBytes'
  | 'peerPortId'
> & {
  /** 1, 2, ... since the lease began. */
  readonly number: number;
  readonly kind: 'begin' | 'end' | 'drop';
  /** By the host's clock, in ms since 1970. */
  readonly atMs: number;
  /** What its source and destination become; null: they stay. */
  readonly becomes: TraceEnds | null;
  /** At least the first 8 hexadecimal digits of the id of the rule that allowed it; null: none was needed, or not known. */
  readonly rule: string | null;
  /** Why it ended: nothing came any more; TCP was closed; rules, an end that went, or a new connection over it. Null: it has not, or not known. */
  readonly ended: 'idle' | 'closed' | 'forced' | null;
  /** Of a drop. */
  readonly reason: DropReason | null;
};

/** Captures that run on a host for who asks a server, of one project's ports, and of a port. */
export const MAX_CAPTURES = 8;
export const MAX_CAPTURES_A_PROJECT = 4;
export const MAX_CAPTURES_A_PORT = 2;

/** So much is taken of a port at the most; what comes faster is counted. */
export const MAX_CAPTURE_RATE = 1000;
export const CAPTURE_BYTES_A_SECOND: number = 192 << 10;

/** Of each frame: what is asked for is between. The largest has what is cut into segments only later. */
export const MIN_SNAPLEN = 64;
export const MAX_SNAPLEN = 65_549;

/** Frames of one answer, as text. */
export const MAX_CAPTURE_ANSWER_BYTES: number = 256 << 10;

/** Frames of a port, as they pass its device. A lease ends as that of who follows. */
export type CaptureQuery = {
  /** As in `FollowQuery`. */
  readonly lease: string | null;
  /** Number of the last frame that was taken; 0: none. */
  readonly after: number;
  readonly filter: FrameFilter;
  /** So many bytes of each: `MIN_SNAPLEN`..`MAX_SNAPLEN`. */
  readonly snaplen: number;
  /** As in `FollowQuery`. */
  readonly isLast?: true;
};

/** What came behind `after`. */
export type CapturedFrames = {
  /** 1..64 letters and digits. */
  readonly lease: string;
  /** In the order of their numbers. */
  readonly frames: readonly CapturedFrame[];
  /** Frames of the query that are missing since the lease began: they came faster than they are taken, or nobody asked in time. */
  readonly lost: number;
  /** More than these wait. */
  readonly hasMore: boolean;
};

export type CapturedFrame = {
  readonly number: number;
  /** By the host's clock, in µs since 1970. */
  readonly atUs: number;
  /** That it had, as far as it says so itself. */
  readonly bytes: number;
  /** Its beginning (base64). */
  readonly frame: string;
};

/** Largest packet that is traced, in bytes: what the kernel takes in a test run. */
export const MAX_TRACE_BYTES = 3400;

/** A packet on its way through one host. */
export type TraceAsk = {
  readonly from: TraceStart;
  /** True: it answers a packet that passed: rules are asked as they were for that. */
  readonly isAnswer: boolean;
  /** Of an answer: `began` of the hops that the packet had at this host, at most `MAX_TRACE_FLOWS`. Absent: none. */
  readonly flows?: readonly string[];
};

/** Flows that an answer may be of on one host. */
export const MAX_TRACE_FLOWS = 4;

export type TraceStart =
  /** The port sends it, to `nextHop`: the destination itself, or a gateway. `isOutside`: that is a machine on the physical network of the port's own, whose MAC the port knows. */
  | {
      readonly kind: 'port';
      readonly portId: string;
      readonly nextHop: string;
      readonly isOutside?: boolean;
      readonly packet: TracePacket;
    }
  /** Another host sent the frame (base64), with this VNI. */
  | { readonly kind: 'host'; readonly underlay: string; readonly vni: number; readonly frame: string }
  /** A machine on the physical network of the network sends it, to `nextHop`, whose MAC it asks for from `asker`, an address on that link. */
  | {
      readonly kind: 'outside';
      readonly networkId: string;
      readonly asker: string;
      readonly nextHop: string;
      readonly packet: TracePacket;
    };

export type TracePacket = {
  readonly source: string;
  readonly destination: string;
  /** IANA number. */
  readonly protocol: number;
  /** Of TCP, UDP and SCTP; of ICMP the identifier is `sourcePort`. */
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly icmpType: number;
  readonly icmpCode: number;
  /** Bytes of the IP packet; at least its headers; at most `MAX_TRACE_BYTES`. */
  readonly bytes: number;
};

/** Whence a packet comes and whither it goes, as in `TracePacket`. */
export type TraceEnds = Pick<TracePacket, 'source' | 'destination' | 'sourcePort' | 'destinationPort'>;

/** What became of it at one host. */
export type TraceHop = {
  /** How the sender learns the next hop's MAC (ARP or neighbour discovery; `mac` null: nobody answers here); null: of a packet from another host. */
  readonly neighbour: { readonly address: string; readonly mac: string | null; readonly end: TraceEnd } | null;
  /** Empty when no MAC was learnt. */
  readonly steps: readonly TraceStep[];
  /** Null: it was not sent, no MAC was learnt. */
  readonly end: TraceEnd | null;
  /** The flow that it would begin at this host, in the host's own numbers (base64): for `flows` of its answer's trace there. Null, absent: none. */
  readonly began?: string | null;
};

export type TraceStep =
  /** May the port send from these addresses? `isAsked` false: it has no port security. */
  | { readonly kind: 'source'; readonly isAsked: boolean; readonly isAllowed: boolean }
  /** It is of a connection that is known. `holds`: what was decided for that counts, and nothing is asked again. */
  | { readonly kind: 'flow'; readonly holds: boolean; readonly isAnswer: boolean }
  | { readonly kind: 'router'; readonly routerId: string | null }
  /** `nextHop` null: the destination is in that network. `peeringId`: of the router's side of the peering by which it goes there; absent: by none. */
  | {
      readonly kind: 'route';
      readonly networkId: string | null;
      readonly nextHop: string | null;
      readonly peeringId?: string;
    }
  /** A policy route of the router matches. `policy`: first 8 hexadecimal digits of its id. `nextHop` null: it leads to none. */
  | {
      readonly kind: 'policy-route';
      readonly policy: string;
      readonly action: 'allow' | 'drop' | 'reroute';
      readonly nextHop: string | null;
    }
  | { readonly kind: 'receiver'; readonly portId: string | null }
  | { readonly kind: 'tunnel'; readonly underlay: string }
  /** `rule`: first 8 hexadecimal digits of its id; null: no rule allows it. `deniedBy`: the same of a policy of the cluster that denies it; absent: none does. */
  | {
      readonly kind: 'rule';
      readonly direction: 'ingress' | 'egress';
      readonly rule: string | null;
      readonly deniedBy?: string;
    }
  /** What its source or destination becomes; `port` (or identifier) null: it stays, or is chosen last. */
  | {
      readonly kind: 'translation';
      readonly of: 'source' | 'destination';
      readonly address: string;
      readonly port: number | null;
    }
  /** A Service of Kubernetes gives it to an endpoint. `service`: first 8 hexadecimal digits of its id. */
  | { readonly kind: 'service'; readonly service: string; readonly address: string; readonly port: number }
  /** A load balancer gives it to a member of its pool. */
  | { readonly kind: 'member' }
  /** To a machine on the physical network of the network. `isKnown`: its MAC is. */
  | { readonly kind: 'outside'; readonly networkId: string | null; readonly address: string; readonly isKnown: boolean }
  /** Several ports may have the address, and nobody is known to: it is asked for, and the packet is lost. */
  | { readonly kind: 'seek'; readonly networkId: string | null; readonly address: string }
  /** It waits for a limit of the port's QoS policy, and goes on. */
  | { readonly kind: 'limit'; readonly direction: 'ingress' | 'egress' }
  /** A copy goes to a mirror of the port, of what it sends (`egress`) or receives. */
  | {
      readonly kind: 'mirror';
      readonly mirrorId: string | null;
      readonly portId: string | null;
      readonly direction: 'ingress' | 'egress';
    }
  /** A copy of a packet to all. `isOutside`: to the physical network; with `portId` and `underlay` null, otherwise: to a host. */
  | {
      readonly kind: 'copy';
      readonly portId: string | null;
      readonly underlay: string | null;
      readonly passed: boolean;
      readonly isOutside?: boolean;
    }
  /** So many ports of the host get no copy: they have not joined the group, or (`isReport`) what it tells of groups is for routers of multicast alone. */
  | { readonly kind: 'passed-over'; readonly count: number; readonly isReport: boolean };

export type TraceEnd =
  /** Given to the port. `packet`: as it is then; absent: not known. */
  | { readonly kind: 'port'; readonly portId: string | null; readonly packet?: TraceEnds }
  /** Sent to another host, as the frame is now (base64). */
  | { readonly kind: 'host'; readonly underlay: string; readonly vni: number; readonly frame: string }
  /** It leaves by the uplink of a physical network. `packet`: as it is then; absent: not known. */
  | { readonly kind: 'outside'; readonly packet?: TraceEnds }
  /** It is cut into pieces for a smaller network, each of which goes on by the same way. */
  | { readonly kind: 'cut' }
  /** For the host's own services: DHCP, DNS, metadata. */
  | { readonly kind: 'service' }
  /** A router, or the host for others, has answered the sender. */
  | { readonly kind: 'answered' }
  /** Nobody is known to have the MAC, or it is a group's: to all of the network who get it. `frame`: what is copied (base64); absent: of an older build. */
  | { readonly kind: 'copies'; readonly count: number; readonly frame?: string }
  | { readonly kind: 'drop'; readonly reason: DropReason }
  /** Dropped, and the sender was told by an ICMP error. */
  | { readonly kind: 'refusal'; readonly reason: DropReason };
