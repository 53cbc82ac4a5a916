/** What to do about each drop, by the reason's name. The generator refuses a reason without one, and one without a reason. */
export const DROP_REMEDIES: Readonly<Record<string, string>> = {
  not_programmed:
    'Wait a moment: the agent has seen the device but not yet programmed its port. If it lasts, look at `cable status`.',
  admin_down: 'Set `admin_state_up` of the port, and of its network, to true.',
  malformed: 'Capture on the device and look for what sends broken frames.',
  spoofed_mac: 'Let the guest use the MAC address of its port, or add an allowed address pair.',
  spoofed_ip: 'Let the guest use an address of its port, or add an allowed address pair.',
  spoofed_arp: 'Let the guest use an address of its port, or add an allowed address pair.',
  unsupported_ethertype: 'Nothing: only ARP, IPv4 and IPv6 are carried.',
  network_policy_egress:
    'cable trace says whether a policy of the cluster denies it. Else add an egress rule to a NetworkPolicy that selects the pod, or take away the one that isolates it: kubectl describe networkpolicy.',
  network_policy_ingress:
    'cable trace says whether a policy of the cluster denies it. Else add an ingress rule to a NetworkPolicy that selects the pod, or take away the one that isolates it: kubectl describe networkpolicy.',
  private_subnet:
    'cable trace names the subnet. Add the other end’s prefix to its cable:allow_subnets, or set its cable:private to false (of a Subnet of kubectl: allowSubnets, private).',
  policy_egress: "Add an egress rule to a security group of the sender's port.",
  policy_ingress: "Add an ingress rule to a security group of the receiver's port.",
  no_route: "Attach the destination's subnet to the router, or add a route to it.",
  no_endpoint: 'See that a bound port has the destination address.',
  no_router: 'Attach the subnet to a router, or remove the gateway from the subnet.',
  ttl_exceeded: 'Nothing after a traceroute; otherwise look for a routing loop.',
  unknown_peer: 'See that both hosts are registered with the underlay address that they send from (`cable host list`).',
  unknown_vni: 'Wait a moment: the other host has not yet learnt that the port is gone or has moved.',
  unknown_mac: 'Wait a moment: the other host has not yet learnt that the port is gone or has moved.',
  fragment: 'Nothing for a few: fragments came out of order. Else let the sender use a smaller MTU.',
  too_big: "Let the guest use its network's MTU (it is in the DHCP answer).",
  service: 'See that DHCP is on in a subnet of the port.',
  redirect: "See that the receiver's device is up and the machine is not short of memory.",
  invalid_state: 'Nothing for a few: a connection outlived its entry in the flow table. Else look at the sender.',
  broadcast_limit: 'Spread the ports over more networks.',
  rate_service:
    'Let the guest ask for DHCP, DNS and metadata less often: it may send 200 packets a second, 400 at once, and a new TCP connection counts as 10.',
  port_disabled_dhcp: 'Nothing: a guest runs a DHCP server. With port security off it may.',
  unknown_vlan: 'Let the guest send the tag of a sub-port of its trunk, or none.',
  flow_share:
    'Look which guest opens so many connections (`cable flows`): a port may hold a third of the flow table, a project half of it, and less while others need it.',
  flow_table:
    'Look which guests open so many connections (`cable flows`): the host has no room for more at this moment.',
  tcp_window:
    'Nothing for a few: they came late or twice. Else somebody guesses at the connections of others: look at the sender.',
  reverse_path:
    'Let the guest use an address of its own network, or send into the network that its address belongs to. Of what comes from outside: somebody there forges addresses, or a route of the router leads inside to machines that are outside.',
  spoofed_peer:
    'Look for the host that sends with the addresses of another host’s guests; for a moment after a guest has moved: nothing.',
  ip_options: 'Let the guest send without a source route.',
  tiny_fragment: 'Nothing: no honest sender makes such fragments.',
  icmp_redirect: 'Nothing: routers of the network are virtual, and guests do not redirect others.',
  spoofed_nd: 'Let the guest use an address of its port, or add an allowed address pair.',
  rogue_ra: 'Nothing: a guest advertises itself as a router. With port security off it may.',
  rate_flood:
    'Look what the guest sends to all (`tcpdump`): its broadcasts, multicasts and packets to unknown MACs may make 20,000 copies a second, 40,000 at once.',
  nat_ports:
    'Spread the connections over more destinations, or give the guest a floating IP: behind one external address a port may hold an eighth of the ports to one destination. Who uses a floating IP (or virtual address) and the address behind it at once needs other source ports.',
  no_neighbour:
    'Nothing for the first packet. Else see that the next hop on the external network is up and answers ARP (`tcpdump` on the uplink).',
  blackhole: 'Look at the routes of the router: one of them drops packets to this destination.',
  no_member:
    'See that the load balancer has a listener at this port, and its pool members that are up (`openstack loadbalancer status show`); that the Service has this port, and endpoints that are ready (`cable endpoint set list`).',
  no_service:
    'Ask for the name of the Service anew: no Service has that address (`cable service list`), or has it no more.',
  no_local: 'The Service has internal_traffic_policy Local: run an endpoint of it on this host, or set it to Cluster.',
  nat_gone:
    'Nothing: the floating IP, router gateway or port forwarding of the connection was taken away. Let the guest connect anew.',
  rate_qos:
    'Look at the port (`openstack port show`): the QoS policy that it or its network has limits what it may send or receive. Raise the limit or its burst (`openstack network qos rule set`), or have the guest send less.',
  rate_query:
    'Look what asks the guest’s neighbours for their groups (`tcpdump igmp`): a router of multicast asks some times a minute, and a VIF may five times a second.',
  rate_outside:
    'Look at the floating IP of the port (`openstack floating ip show`), or at the gateway of its router (`openstack router show`): the QoS policy limits what passes by that address. Raise the limit or its burst (`openstack network qos rule set`).',
  foreign_vip: 'Add the address to the allowed address pairs of the port, alone and not as a part of a prefix.',
  mirror_rate:
    'Nothing was lost but copies: a mirror of the port copies no more than its `cable:max_kbps`. Raise that, or have the mirror copy less (`cable:filter`).',
  mirror_lost:
    'Nothing was lost but copies: see that the port that a tap service leads to is up and its device takes what comes, and that the host has a route to the collector and the collector answers ARP.',
  snat_blocks:
    'The blocks of the guest (`cable snat lease list --router-id ROUTER-ID`) have no port left for this destination. It gets more within seconds, up to 32, while a quarter of the address is free. Beyond that: spread the connections over more destinations, give the guest a floating IP, or set `cable:snat` of the router to `shared`.',
  snat_no_block:
    'Nothing for a moment after the port has come to its host. Else look at the blocks of the router (`cable snat lease list --router-id ROUTER-ID`): give it another external address when all are leased, or the guest a floating IP. An address that is none of the port’s fixed ones, and comes from another host, has none.',
  probe: 'Nothing, unless it grows: then somebody in the underlay sends in the name of another host.',
  policy_route:
    'Look at the policy routes of the router (`cable router policy list ROUTER`): the first that matches the packet drops it, or its next hop is in no subnet of the router.',
  peering:
    'Look at the peerings of the sender’s router (`cable router peering list ROUTER`): add the sender’s subnet to `subnet_ids`, and have the other side take it (`accepted_prefixes`).',
  stale_piece: 'Nothing: the connection ended while a packet of it was cut.',
};
