import type { ActionDeclaration, Attribute } from '../declaration.ts';

/** Which host carries a port, and how the hypervisor plugs it. */
export const bindingExtension = {
  alias: 'binding',
  name: 'Port Binding',
  description: 'Which host carries a port, and how it is plugged there.',
  updated: '2026-01-01T00:00:00-00:00',
  columns: { port: ['binding:host_id'] },
  attributes: {
    port: {
      'binding:host_id': {
        ruleOfDefault: true,
        type: 'string',
        write: 'both',
        writeBy: 'admin',
        seeBy: 'admin',
        nullable: true,
        default: '',
        maxLength: 255,
        indexed: true,
        example: 'node-1',
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
        ruleOfDefault: true,
        type: 'dict',
        nullable: true,
        write: 'both',
        writeBy: 'admin',
        seeBy: 'admin',
        default: {},
        example: { trusted: 'true' },
        description: 'Kept and shown unchanged, for the hypervisor’s driver.',
      },
      'binding:vif_type': {
        type: 'string',
        values: ['unbound', 'tap', 'bridge', 'other', 'ovs', 'binding_failed'],
        computed: true,
        seeBy: 'admin',
        description: 'How the hypervisor plugs the interface.',
      },
      'binding:vif_details': {
        type: 'dict',
        computed: true,
        seeBy: 'admin',
        example: { port_filter: true },
        description: 'Details for the hypervisor’s driver.',
      },
    },
  },
} as const;

type Actions = Readonly<Record<string, readonly ActionDeclaration[]>>;

const HOST: Attribute = {
  type: 'string',
  required: true,
  minLength: 1,
  maxLength: 255,
  example: 'node-2',
  description: 'The host.',
};

const GIVEN: Readonly<Record<string, Attribute>> = {
  vnic_type: {
    type: 'string',
    values: ['normal', 'baremetal'],
    example: 'normal',
    description: 'As binding:vnic_type.',
  },
  profile: { type: 'dict', nullable: true, example: {}, description: 'As binding:profile; null: empty.' },
};

const BINDING: Readonly<Record<string, Attribute>> = {
  host: HOST,
  ...GIVEN,
  vif_type: { type: 'string', example: 'tap', description: 'As binding:vif_type.' },
  vif_details: { type: 'dict', example: { port_filter: true }, description: 'As binding:vif_details.' },
  status: {
    type: 'string',
    values: ['ACTIVE', 'INACTIVE'],
    example: 'INACTIVE',
    description: 'ACTIVE: the host carries the port. INACTIVE: it is prepared for it, or has carried it before.',
  },
};

/**
 * Bindings of a port to further hosts: for live migration. A host with an INACTIVE binding programs the port before the switch; one that was active goes on to
 * forward to the new host until its binding is deleted.
 */
export const bindingsExtension = {
  alias: 'binding-extended',
  name: 'Port Bindings Extended',
  description: 'Bindings of a port to several hosts, of which one is active: for live migration.',
  updated: '2026-11-27T00:00:00-00:00',
  requires: ['binding'],
  actions: {
    port: [
      {
        name: 'create_port_binding',
        description: 'Prepares another host for the port.',
        method: 'POST',
        path: 'bindings',
        body: { host: HOST, ...GIVEN },
        bodyKey: 'binding',
        answer: BINDING,
        answerKey: 'binding',
        status: 201,
      },
      {
        name: 'get_port_bindings',
        description: 'Lists the bindings of the port.',
        method: 'GET',
        path: 'bindings',
      },
      {
        name: 'get_port_binding',
        description: 'Shows the binding to a host.',
        method: 'GET',
        path: 'bindings/{host}',
        answer: BINDING,
        answerKey: 'binding',
      },
      {
        name: 'update_port_binding',
        description: 'Changes the binding to a host.',
        path: 'bindings/{host}',
        body: GIVEN,
        bodyKey: 'binding',
        answer: BINDING,
        answerKey: 'binding',
      },
      {
        name: 'activate_port_binding',
        description: 'Lets that host carry the port; the binding that was active is INACTIVE then, in one step.',
        path: 'bindings/{host}/activate',
        answer: BINDING,
        answerKey: 'binding',
      },
      {
        name: 'delete_port_binding',
        description: 'Ends the binding to a host; of the active one, the port is unbound.',
        method: 'DELETE',
        path: 'bindings/{host}',
        status: 204,
      },
    ],
  } as Actions,
} as const;
