/** A networking API that was installed from a model file. */

export const protonResource = {
  name: 'proton',
  plural: 'protons',
  label: 'Proton',
  prefix: '/cable/v1',
  path: 'protons',
  key: 'name',
  description: 'A networking API that was installed from a model file.',
  verbs: ['list', 'show', 'delete'],
  standard: false,
  stored: true,
  adminOnly: true,
  columns: ['name', 'storage_version', 'served_versions', 'backend', 'objects', 'unmigrated', 'loaded'],
  command: 'proton',
  actions: [
    {
      name: 'install',
      on: 'collection',
      method: 'POST',
      noCommand: true,
      description:
        'Installs a model, or another version of one that is there, on all servers, or replaces a version. Answers when the servers that are alive serve it.',
      body: {
        files: {
          type: 'list',
          items: {
            type: 'object',
            properties: {
              name: {
                type: 'string',
                required: true,
                minLength: 1,
                maxLength: 255,
                description: 'Its path, for messages.',
              },
              text: { type: 'string', required: true, maxLength: 1_048_576, description: 'Its content.' },
              import: {
                type: 'boolean',
                description: 'True: the others import it, by its name. Absent: it is one of the model’s files.',
              },
            },
          },
          required: true,
          maxLength: 100,
          description: 'Its files.',
        },
        served: { type: 'boolean', description: 'Whether its paths answer; absent: as the model says, else true.' },
        storage: {
          type: 'boolean',
          description: 'Whether objects are stored as it has them; absent: as the model says, else true.',
        },
        backend: {
          type: 'string',
          maxLength: 64,
          example: 'vrouter-l3vpn',
          description:
            'What makes packets of its objects; empty: nothing here, controllers bind its ports. Absent: as it is; of a new proton as the model says.',
        },
        breaking: {
          type: 'boolean',
          default: false,
          description: 'True: what breaks clients is no reason to refuse it.',
        },
        dry_run: { type: 'boolean', default: false, description: 'True: only says what would be.' },
      },
      answer: {
        proton: { type: 'string', example: 'net-l3vpn', description: 'Its name.' },
        version: { type: 'string', example: '1.0', description: 'The version.' },
        state: {
          type: 'string',
          values: ['installed', 'unchanged', 'would be installed'],
          example: 'installed',
          description: 'What became of it.',
        },
        changes: { type: 'list', items: { type: 'dict' }, description: 'What differs from the version before.' },
        warnings: { type: 'list', items: { type: 'string' }, description: 'What works, but hardly as it is meant.' },
        servers: { type: 'list', items: { type: 'dict' }, description: 'Which servers serve it.' },
      },
    },
    {
      name: 'migrate',
      noCommand: true,
      description:
        'Writes objects that are stored as an older version has them as the storage version has them, some hundred at a time. Again, it goes on.',
      body: {
        to: {
          type: 'string',
          example: '1.1',
          description: 'Makes this version that of the store first; absent: it stays.',
        },
        dry_run: { type: 'boolean', default: false, description: 'True: only counts them.' },
      },
      answer: {
        migrated: { type: 'integer', example: 200, description: 'Objects that were written.' },
        left: { type: 'integer', example: 0, description: 'Objects that are left.' },
      },
    },
    {
      name: 'set_version',
      path: 'versions/{version}',
      noCommand: true,
      description: 'Says whether the paths of a version answer, and whether clients should leave it.',
      body: {
        served: { type: 'boolean', description: 'Absent: as before.' },
        deprecated: { type: 'boolean', description: 'Absent: as before.' },
      },
    },
    {
      name: 'remove_version',
      method: 'DELETE',
      path: 'versions/{version}',
      noCommand: true,
      description: 'Removes a version as which no object is stored.',
    },
    {
      name: 'set_quota',
      path: 'quota',
      noCommand: true,
      description: 'Says how many objects of one type a project may have: every project, or one.',
      body: {
        object: { type: 'string', required: true, maxLength: 255, example: 'vpn', description: 'As explain has it.' },
        quota: {
          type: 'integer',
          required: true,
          minimum: -1,
          maximum: 10_000_000,
          example: 100,
          description: 'So many; -1: any number.',
        },
        project_id: {
          type: 'string',
          minLength: 1,
          maxLength: 255,
          description: 'The project; absent: every one that has no own limit.',
        },
      },
    },
    {
      name: 'model',
      method: 'GET',
      noCommand: true,
      description: 'The files of its versions.',
      answer: { versions: { type: 'list', items: { type: 'dict' }, description: 'Version and files of each.' } },
    },
  ],
  attributes: {
    name: {
      type: 'string',
      required: true,
      write: 'create',
      example: 'net-l3vpn',
      description: 'As the model has it.',
    },
    description: { type: 'string', maxLength: 4096, default: '', description: 'Of the storage version.' },
    digest: { type: 'string', example: '9f86d081884c7d65', description: 'Of everything that servers load of it.' },
    storage_version: { type: 'string', example: '1.0', description: 'The version as which objects are stored.' },
    served_versions: {
      type: 'list',
      items: { type: 'string' },
      default: [],
      description: 'Versions whose paths answer.',
    },
    versions: {
      type: 'list',
      items: {
        type: 'object',
        properties: {
          version: { type: 'string', example: '1.0', description: 'As the model has it.' },
          file_version: { type: 'string', example: '1.0', description: 'Format of the model.' },
          digest: { type: 'string', example: '9f86d081884c7d65', description: 'Of the files.' },
          served: { type: 'boolean', description: 'True: its paths answer.' },
          storage: { type: 'boolean', description: 'True: objects are stored as it has them.' },
          deprecated: { type: 'boolean', description: 'True: clients should leave it.' },
          installed_at: { type: 'timestamp', example: '2026-11-30T12:00:00Z', description: 'Time (UTC).' },
        },
      },
      default: [],
      description: 'All of them, the oldest first.',
    },
    backend: {
      type: 'string',
      nullable: true,
      default: null,
      example: 'vrouter-l3vpn',
      description: 'What makes packets of its objects; null: nothing here, controllers bind its ports.',
    },
    quotas: {
      type: 'dict',
      default: {},
      example: { 'proton.net-l3vpn.vpn_service': 100 },
      description: 'How many objects of a type each project may have; of others a tenant has 1000.',
    },
    project_quotas: { type: 'dict', default: {}, example: {}, description: 'The same of single projects.' },
    objects: {
      type: 'integer',
      computed: true,
      sort: false,
      filter: false,
      example: 12,
      description: 'How many there are of its types.',
    },
    unmigrated: {
      type: 'integer',
      computed: true,
      sort: false,
      filter: false,
      example: 0,
      description: 'Objects that are stored as an older version has them.',
    },
    loaded: {
      type: 'list',
      items: { type: 'string' },
      computed: true,
      sort: false,
      filter: false,
      example: ['server-1'],
      description: 'Servers that serve it as it is now.',
    },
  },
  hidden: {
    /** By version. */
    files: { type: 'dict', default: {} },
    /** Names of claims, by object and attribute, where they are others than the attribute's. */
    born: { type: 'dict', default: {} },
    /** By which rules its back end makes rows of its objects: servers that know others write none. 0: it has no back end. */
    derivation: { type: 'integer', default: 0 },
    /** What is being done to it, meanwhile nothing is written to its types: `id`, `until` (UTC); null: nothing. */
    change: { type: 'dict', nullable: true, default: null },
  },
} as const;
