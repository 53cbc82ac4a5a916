/** Anti-spoofing, switched by port. */
export const portSecurityExtension = {
  alias: 'port-security',
  name: 'Port Security',
  description: 'Anti-spoofing of ports, and its default on networks.',
  updated: '2026-01-01T00:00:00-00:00',
  attributes: {
    network: {
      port_security_enabled: {
        type: 'boolean',
        write: 'both',
        default: true,
        description: 'Default of the attribute of the same name of new ports.',
      },
    },
    port: {
      port_security_enabled: {
        type: 'boolean',
        write: 'both',
        derive: 'port-security',
        description: 'False: no anti-spoofing and no security groups; by default as the network has it.',
      },
    },
  },
} as const;
