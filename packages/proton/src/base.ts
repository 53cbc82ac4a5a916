/** What models import: the base objects of both formats, by the path under which a model names them. */

const BASE_1 = `file_version: "1.0"
objects:
  BaseObject:
    attributes:
      id: { type: uuid, primary: true, description: Key of the object }
      tenant_id: { type: uuid, required: true, description: Project that owns the object }
      name: { type: string, length: 64, description: Name that people give it }
    policies:
      create: { role: "rule:admin_or_owner" }
      delete: { role: "rule:admin_or_owner" }
      get: { role: "rule:admin_or_owner" }
      list: { role: "rule:admin" }
      update: { role: "rule:admin_or_owner" }

  BasePort:
    extends: BaseObject
    attributes:
      mac_address: { type: string, length: 18, format: mac, required: true, description: Address of the port on its link }
      admin_state_up: { type: boolean, required: true, description: Whether the port is to work }
      status: { type: enum, values: [ACTIVE, DOWN], required: true, description: Whether it works }
      vnic_type:
        type: enum
        values: [normal, virtual, direct, macvtap, sriov, whole-dev]
        required: true
        description: How the port is joined to its machine
      mtu: { type: integer, required: true, description: Largest packet in bytes }
      vlan_transparency: { type: boolean, required: true, description: Whether tagged frames pass }
      profile: { type: string, length: 128, format: json, description: What the host needs to bind it }
      device_id: { type: uuid, description: The machine that has the port }
      device_owner: { type: string, length: 128, description: What kind of machine that is }
      host_id: { type: string, length: 64, description: Host on which the port is bound }
      vif_details: { type: string, length: 128, format: json, description: What the controller says of the interface on the host }
      vif_type: { type: string, length: 32, description: How the port is plugged on the host }

  BaseInterface:
    extends: BaseObject
    attributes:
      port_id: { type: uuid, required: true, description: Port of which this is a part }
      segmentation_type:
        type: enum
        values: [none, vlan, tunnel_vxlan, tunnel_gre, mpls]
        required: true
        description: What tells its frames from others of the port
      segmentation_id: { type: integer, required: true, description: Number of the segment }

  BaseService:
    extends: BaseObject
    attributes:
      description: { type: string, length: 256, description: What it is for }

  BaseServiceBinding:
    attributes:
      tenant_id: { type: uuid, required: true, description: Project that owns the binding }
      interface_id: { type: uuid, required: true, primary: true, description: Interface that is bound }
      service_id: { type: uuid, required: true, description: Service to which it is bound }
      ipaddress: { type: string, length: 16, format: ipv4, description: Address of the interface in the service }
    policies:
      create: { role: "rule:admin_or_owner" }
      delete: { role: "rule:admin_or_owner" }
      get: { role: "rule:admin_or_owner" }
      list: { role: "rule:admin" }
      update: { role: "rule:admin_or_owner" }
`;

/** Spec and status are apart: who binds a port writes where it is, and only its controller how it is plugged. */
const BASE_2 = `file_version: "2.0"
objects:
  BaseObject:
    attributes:
      id: { type: string, format: uuid, primary: true, immutable: true, description: Key of the object }
      project_id:
        type: string
        maxLength: 64
        alias: tenant_id
        immutable: true
        description: Project that owns the object, by default that of who makes it
      name: { type: string, maxLength: 255, default: "", description: Name that people give it }
      description: { type: string, maxLength: 1024, default: "", description: What it is for }
    policies:
      create: rule:admin_or_owner
      delete: rule:admin_or_owner
      get: rule:admin_or_owner
      list: rule:admin_or_owner
      update: rule:admin_or_owner

  BasePort:
    extends: BaseObject
    attributes:
      mac_address: { type: string, format: mac, immutable: true, description: "Address of the port on its link, by default one that is made" }
      admin_state_up: { type: boolean, default: true, description: Whether the port is to work }
      mtu: { type: integer, minimum: 68, maximum: 65535, default: 1500, description: Largest packet in bytes }
      vnic_type:
        enum: [normal, virtual, direct, macvtap, sriov, whole-dev]
        default: normal
        description: How the port is joined to its machine
      vlan_transparency: { type: boolean, default: false, description: Whether tagged frames pass }
      profile:
        type: object
        maxProperties: 64
        default: {}
        description: What the host needs to bind it
        policies: &binds { write: "rule:context_is_admin or role:service" }
      host_id: { type: string, maxLength: 255, description: Host on which it is to be bound; null unbinds it, policies: *binds }
      device_id: { type: string, maxLength: 255, description: The machine that has the port, policies: *binds }
      device_owner: { type: string, maxLength: 255, description: What kind of machine that is, policies: *binds }
      status: { enum: [ACTIVE, DOWN], default: DOWN, readOnly: true, description: Whether it works }
      vif_type: { type: string, maxLength: 64, readOnly: true, description: How the port is plugged on its host; null while it is not bound }
      vif_details: { type: object, maxProperties: 64, default: {}, readOnly: true, description: What the controller says of the interface on the host }

  BaseInterface:
    extends: BaseObject
    attributes:
      port_id: { type: string, format: uuid, required: true, immutable: true, description: Port of which this is a part }
      segmentation_type:
        enum: [none, vlan, tunnel_vxlan, tunnel_gre, mpls]
        default: none
        description: What tells its frames from others of the port
      segmentation_id: { type: integer, minimum: 0, maximum: 16777215, default: 0, description: Number of the segment }

  BaseService:
    extends: BaseObject

  BaseServiceBinding:
    attributes:
      interface_id:
        type: string
        format: uuid
        primary: true
        required: true
        immutable: true
        description: "Interface that is bound; it has one binding at most"
      service_id: { type: string, format: uuid, required: true, immutable: true, description: Service to which it is bound }
      project_id:
        type: string
        maxLength: 64
        alias: tenant_id
        immutable: true
        description: Project that owns the binding, by default that of who makes it
      addresses:
        type: array
        maxItems: 32
        uniqueItems: true
        items:
          anyOf:
            - { type: string, format: ipv4 }
            - { type: string, format: ipv6 }
        default: []
        description: Addresses of the interface in the service, of both versions of IP
    policies:
      create: rule:admin_or_owner
      delete: rule:admin_or_owner
      get: rule:admin_or_owner
      list: rule:admin_or_owner
      update: rule:admin_or_owner
`;

/** Text by path relative to the directory of models. */
export const BUILT_IN_IMPORTS: Readonly<Record<string, string>> = {
  'base/base.yaml': BASE_1,
  'base/v2.yaml': BASE_2,
};
