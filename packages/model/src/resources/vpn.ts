/** What VPNs of protons on the vrouter need besides their networks: written with the proton's own objects, by nobody else. */
export const vpnTargetResource = {
  name: 'vpn_target',
  plural: 'vpn_targets',
  label: 'VpnTarget',
  prefix: '/cable/v1',
  path: 'vpn-targets',
  description: 'What a route target is used for by VPNs of a proton. One that has none is taken and given out.',
  verbs: ['list', 'show'],
  standard: false,
  stored: true,
  adminOnly: true,
  columns: ['id', 'proton', 'target', 'direction'],
  command: 'vpn target',
  attributes: {
    id: { type: 'uuid', example: '7d3f5b21-0a9c-4e8d-b6f7-1c2d3e4f5a6b', description: 'Follows from what it is of.' },
    proton: { type: 'string', example: 'net-l3vpn', description: 'The proton.' },
    target: { type: 'string', indexed: true, maxLength: 32, example: '65000:1', description: 'The route target.' },
    direction: {
      type: 'string',
      values: ['import', 'export', 'both'],
      example: 'both',
      description: 'Whether routes with it are taken, given out with it, or both.',
    },
  },
} as const;

/** A router that hosts exchange routes of VPNs with. */
export const vpnPeeringResource = {
  name: 'vpn_peering',
  plural: 'vpn_peerings',
  label: 'VpnPeering',
  prefix: '/cable/v1',
  path: 'vpn-peerings',
  description: 'A router of the provider that hosts exchange routes of VPNs with, by BGP.',
  verbs: ['list', 'show'],
  standard: false,
  stored: true,
  adminOnly: true,
  columns: ['id', 'proton', 'local_as', 'local_address', 'peer_as', 'peer_address'],
  command: 'vpn peering',
  attributes: {
    id: { type: 'uuid', example: '7d3f5b21-0a9c-4e8d-b6f7-1c2d3e4f5a6b', description: 'Follows from what it is of.' },
    proton: { type: 'string', indexed: true, example: 'net-l3vpn', description: 'The proton whose VPNs it is for.' },
    local_as: { type: 'integer', example: 65000, description: 'The autonomous system of this cloud.' },
    local_address: {
      type: 'ip',
      nullable: true,
      default: null,
      example: '192.0.2.11',
      description: 'The underlay address of the one host that speaks to it; null: each host of a VPN does.',
    },
    peer_as: { type: 'integer', example: 65001, description: 'Its autonomous system.' },
    peer_address: { type: 'ip', indexed: true, example: '192.0.2.1', description: 'Its address.' },
  },
} as const;
