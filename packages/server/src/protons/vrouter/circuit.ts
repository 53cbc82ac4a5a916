/** Lines between two ports, as pseudowires (docs/design/proton-backends.md): one of each direction, and what is guaranteed booked where both ends are. */
import { type AnyObject, CableError, type PortOwner } from '@cable/model';
import type { DeclaredObject } from '@cable/proton';
import { asService, type Planning } from '../../engine/context.ts';
import type { Look } from '../../engine/view.ts';
import { planUpdate } from '../../engine/write.ts';
import { placesOf } from '../../resources/minimum-bandwidth.ts';
import { PORT_OWNER } from '../owners.ts';
import { madeUpId, statusOf } from '../port-view.ts';
import type { BackendModel, BackendPart } from './backends.ts';
import { invalid } from './refusals.ts';
import { attributeOf, objectWith, refsTo } from './shape.ts';
import { bookPlaces, PSEUDOWIRE, refusingBindings, touchPort, unableHost, type Wire, writeWires } from './wires.ts';

/** What of a model makes lines. */
type Shape = {
  readonly proton: string;
  readonly line: DeclaredObject;
};

/** Objects that say which interface an end is at. */
type Binding = {
  readonly own: DeclaredObject;
  readonly line: DeclaredObject;
  readonly toInterface: string;
  readonly interface: DeclaredObject;
  readonly toPort: string;
  readonly toLine: string;
};

const ENDS = ['a_port_id', 'z_port_id'] as const;

/** What a model lacks for lines. */
export function circuitProblems(declared: readonly DeclaredObject[]): readonly string[] {
  const port = objectWith(declared, 'port');
  if (port === undefined) return ['no object is a port'];
  const line = lineOf(declared);
  if (line === undefined) return [`no service refers to two ports of ${port.object.name} by ${ENDS.join(' and ')}`];
  const frames = attributeOf(line, 'frames')?.schema;
  const kinds = typeof frames === 'object' && Array.isArray(frames['enum']) ? frames['enum'] : [];
  const other = kinds.find((one) => one !== 'any');
  return [
    ...(attributeOf(port, 'status') === undefined ? [`${port.object.name} has no status`] : []),
    ...(frames !== undefined && (other !== undefined || kinds.length === 0)
      ? [`${line.object.name}.frames may be any alone: a line carries every frame`]
      : []),
  ];
}

function lineOf(declared: readonly DeclaredObject[]): DeclaredObject | undefined {
  const port = objectWith(declared, 'port');
  const line = objectWith(declared, 'service', ...ENDS);
  const refs = line === undefined ? [] : refsTo(line, port);
  return ENDS.every((name) => refs.includes(name)) ? line : undefined;
}

/** What objects of one of the model's types do. */
export function circuitPart({ proton, declared }: BackendModel, own: DeclaredObject): BackendPart {
  const line = lineOf(declared);
  if (line === undefined) return {};
  const binding = bindingOf(declared, line);
  if (own === line) return ofLines({ proton, line });
  if (own.object.kind === 'port') return ofEnds({ proton, line }, own);
  if (own === binding?.own) return ofBindings(binding);
  return own === binding?.interface ? ofInterfaces(binding) : {};
}

function ofLines(shape: Shape): BackendPart {
  return {
    created: (planning, line) => {
      for (const id of ENDS.map((end) => String(line[end]))) {
        refuseLed(planning.plan, id);
        touchPort(planning, id);
      }
      write(planning, shape, line);
    },
    changed: (planning, _before, line) => write(planning, shape, line),
    removed: (planning, line) => writeWires(planning, { proton: shape.proton, object: line }, []),
  };
}

/** Throws for a host that knows of no wires. The ports stay where they are until the line is written. */
function refuseHosts({ plan }: Planning, line: AnyObject): void {
  for (const end of ENDS) {
    for (const host of placesOf(plan.rely(PORT_OWNER, String(line[end])))) {
      const reason = unableHost(plan, host);
      if (reason === undefined) continue;
      throw new CableError('HTTPConflict', `Port ${String(line[end])} can be no end of a line: ${reason}.`, {
        ...{ fields: { attribute: end }, detail: 'Bring its agent up to date, or the port to another host.' },
      });
    }
  }
}

/** Wires, bookings and status of a line that is new or has changed. */
function write(planning: Planning, shape: Shape, line: AnyObject): void {
  writeWires(planning, { proton: shape.proton, object: line }, wiresOf(line));
  refuseHosts(planning, line);
  const refusal = bookPlaces(planning, String(line[ENDS[0]]));
  if (refusal !== undefined) {
    throw new CableError(refusal.code, `Invalid input for guaranteed_kbps. Reason: ${refusal.message}`, {
      fields: { ...refusal.fields, attribute: 'guaranteed_kbps' },
    });
  }
  tellStatus(planning, shape, line);
}

function wiresOf(line: AnyObject): readonly Wire[] {
  const kbps = (name: string): number | null => (typeof line[name] === 'number' ? line[name] : null);
  const ports = ENDS.map((end) => String(line[end]));
  return ENDS.map((end, at) => ({
    ...{ id: madeUpId(`wire ${line.id} ${end}`), name: String(line['name'] ?? '') },
    port_ids: at === 0 ? ports : [...ports].reverse(),
    ...{ admitted_kbps: kbps('admitted_kbps'), guaranteed_kbps: kbps('guaranteed_kbps') },
  }));
}

/** A line carries all that its ports send: nothing is left that a chain could lead. */
function refuseLed(look: Pick<Look, 'by'>, portId: string): void {
  const [led] = look.by(PSEUDOWIRE, 'at_port_id', portId);
  if (led === undefined) return;
  throw new CableError('HTTPConflict', `Port ${portId} has the classifier ${led.object_id} of ${led.proton}.`, {
    detail: 'Delete that first, or give another port.',
  });
}

/** ACTIVE when both of its ports are. */
function tellStatus(planning: Planning, { line: { type, object } }: Shape, line: AnyObject): void {
  const { plan, deps } = planning;
  if (!object.attributes.some(({ name }) => name === 'status')) return;
  const isUp = ENDS.every((end) => {
    const owner = plan.get(PORT_OWNER, String(line[end])) as unknown as PortOwner | undefined;
    return owner !== undefined && statusOf(owner) === 'ACTIVE';
  });
  const status = isUp ? 'ACTIVE' : 'DOWN';
  if (line['status'] !== status) planUpdate(asService(planning), deps.resources.named(type), line, { status });
}

/** Of ports: what they bring to their hosts is booked there, or their binding fails; their lines say whether both are up. */
function ofEnds(shape: Shape, own: DeclaredObject): BackendPart {
  return {
    change: refusingBindings(own, (planning, owner) => bookPlaces(planning, owner.id)?.message),
    changed: (planning, _before, port) => {
      for (const line of linesAt(planning, shape, port.id)) tellStatus(planning, shape, line);
    },
  };
}

function linesAt({ plan }: Planning, { line }: Shape, portId: string): readonly AnyObject[] {
  return ENDS.flatMap((end) => plan.by(line.type, end, portId) as readonly AnyObject[]);
}

function bindingOf(declared: readonly DeclaredObject[], line: DeclaredObject): Binding | undefined {
  const part = declared.find(({ object }) => object.kind === 'interface');
  for (const own of declared.filter(({ object }) => object.kind === 'binding')) {
    const [toLine, toInterface, toPort] = [refsTo(own, line)[0], refsTo(own, part)[0], part?.object.parent?.key];
    if (part === undefined || toLine === undefined || toInterface === undefined || toPort === undefined) continue;
    return { own, line, interface: part, toInterface, toPort, toLine };
  }
  return undefined;
}

function ofBindings(binding: Binding): BackendPart {
  const refuse = ({ plan }: Planning, row: AnyObject): void => refuseElsewhere(plan, binding, row);
  return { created: refuse, changed: (planning, _before, after) => refuse(planning, after) };
}

/** Throws unless the interface is the whole of the port at that end. */
function refuseElsewhere(look: Pick<Look, 'get'>, binding: Binding, row: AnyObject): void {
  const part = look.get(binding.interface.type, String(row[binding.toInterface])) as AnyObject | undefined;
  const line = look.get(binding.line.type, String(row[binding.toLine])) as AnyObject | undefined;
  if (part === undefined || line === undefined) return;
  refuseTagged(part, binding.toInterface);
  const end = `${String(row['side'] ?? '')}_port_id`;
  const ports = ENDS.filter((one) => !(end in line) || one === end).map((one) => line[one]);
  if (ports.includes(part[binding.toPort])) return;
  throw invalid(binding.toInterface, `interface ${part.id} is not of the port at that end of line ${line.id}`);
}

/** An interface at the end of a line stays the whole of its port. */
function ofInterfaces({ own, toInterface }: Binding): BackendPart {
  return {
    changed: ({ plan }, _before, part) => {
      if (plan.by(own.type, toInterface, part.id).length > 0) refuseTagged(part, 'segmentation_type');
    },
  };
}

function refuseTagged({ id, segmentation_type: type = 'none' }: AnyObject, attribute: string): void {
  if (type === 'none' || type === null) return;
  throw invalid(attribute, `interface ${id} has a tag, and lines are of whole ports: segmentation_type must be none`);
}
