/** Names of ports, which the DNS of their network answers for. */
export const dnsIntegrationExtension = {
  alias: 'dns-integration',
  name: 'DNS Integration',
  description: 'Names of ports, and the domains of networks.',
  updated: '2026-11-28T00:00:00-00:00',
  requires: ['router'],
  attributes: {
    floatingip: {
      dns_name: {
        type: 'string',
        write: 'create',
        default: '',
        maxLength: 255,
        filter: false,
        sort: false,
        example: '',
        description: 'Empty: there is no name server outside that would be told of one.',
      },
      dns_domain: {
        type: 'string',
        write: 'create',
        default: '',
        maxLength: 255,
        filter: false,
        sort: false,
        example: '',
        description: 'Empty, as dns_name is.',
      },
    },
    network: {
      dns_domain: {
        type: 'string',
        write: 'both',
        default: '',
        maxLength: 255,
        example: 'example.org.',
        description:
          'Domain of the network’s ports, with a dot at its end; empty: openstacklocal. Only the network itself is asked for names of it.',
      },
    },
    port: {
      dns_name: {
        type: 'string',
        write: 'both',
        default: '',
        maxLength: 255,
        indexed: true,
        example: 'web-1',
        description:
          'Name of the port, or with a dot at its end the whole name with the domain; empty: host- and the address.',
      },
      dns_assignment: {
        type: 'list',
        computed: true,
        filter: false,
        items: {
          type: 'object',
          properties: { ip_address: { type: 'ip' }, hostname: { type: 'string' }, fqdn: { type: 'string' } },
        },
        example: [{ ip_address: '10.0.0.5', hostname: 'web-1', fqdn: 'web-1.example.org.' }],
        description: 'The name of each address.',
      },
    },
  },
} as const;

/** A port's own domain. */
export const dnsDomainPortsExtension = {
  alias: 'dns-domain-ports',
  name: 'dns_domain for ports',
  description: 'Ports may have a domain of their own.',
  updated: '2026-11-26T00:00:00-00:00',
  requires: ['dns-integration'],
  attributes: {
    port: {
      dns_domain: {
        type: 'string',
        write: 'both',
        default: '',
        maxLength: 255,
        example: 'example.org.',
        description: 'Domain of the port, with a dot at its end; empty: that of its network.',
      },
    },
  },
} as const;
