/** What Nova asks ports about when it places their machines. It stands in the port; who obeys it is Nova. */

/** How near a machine's processors are to the device of its port. */
export const portNumaAffinityPolicyExtension = {
  alias: 'port-numa-affinity-policy',
  name: 'Port NUMA affinity policy',
  description: 'Ports say how near to them their machines’ processors must be; Nova obeys it.',
  updated: '2026-11-28T00:00:00-00:00',
  attributes: {
    port: {
      numa_affinity_policy: {
        type: 'string',
        values: ['required', 'preferred', 'legacy'],
        nullable: true,
        write: 'both',
        default: null,
        description: 'What Nova is to see to when it places the machine; null: what its own configuration says.',
      },
    },
  },
} as const;

/** The accelerator of a port. */
export const portDeviceProfileExtension = {
  alias: 'port-device-profile',
  name: 'Port device profile',
  description: 'Ports name a profile of Cyborg; Nova asks for the accelerator.',
  updated: '2026-11-28T00:00:00-00:00',
  attributes: {
    port: {
      device_profile: {
        type: 'string',
        nullable: true,
        emptyAsNull: true,
        write: 'create',
        default: null,
        maxLength: 255,
        example: 'fpga-1',
        description: 'Name of a device profile of Cyborg, which Nova asks for an accelerator with; null: none.',
      },
    },
  },
} as const;
