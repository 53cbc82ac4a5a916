/** Which host carries a port, and how the hypervisor plugs it. */
export const bindingExtension = {
  alias: 'binding',
  name: 'Port Binding',
  description: 'Which host carries a port, and how it is plugged there.',
  updated: '2026-01-01T00:00:00-00:00',
  attributes: {
    port: {
      'binding:host_id': {
        type: 'string',
        write: 'both',
        writeBy: 'admin',
        seeBy: 'admin',
        nullable: true,
        default: '',
        maxLength: 255,
        indexed: true,
        description: 'The host that carries the port; empty: none.',
      },
      'binding:vnic_type': {
        type: 'string',
        values: ['normal', 'baremetal'],
        write: 'both',
        default: 'normal',
        description: 'baremetal: the host itself owns the port; for admins only.',
      },
      'binding:profile': {
        type: 'dict',
        nullable: true,
        write: 'both',
        writeBy: 'admin',
        seeBy: 'admin',
        default: {},
        description: 'Kept and shown unchanged, for the hypervisor’s driver.',
      },
      'binding:vif_type': {
        type: 'string',
        values: ['unbound', 'tap', 'other', 'binding_failed'],
        computed: true,
        seeBy: 'admin',
        description: 'How the hypervisor plugs the interface.',
      },
      'binding:vif_details': {
        type: 'dict',
        computed: true,
        seeBy: 'admin',
        description: 'Details for the hypervisor’s driver.',
      },
    },
  },
} as const;
