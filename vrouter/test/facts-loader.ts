/** An agent of the facts' own, to be killed: pins the maps below argv[2], fills the slot, starts the timer, says so, and waits. */
import { loadFacts, program, run, word } from './facts.ts';

const object = loadFacts({ pinnedMaps: process.argv[2] ?? '' });
object.maps.get('fact_slot')?.update(word(0), word(program(object, 'leaf').fd));
const { verdict } = run(object, 'arm');
process.stdout.write(`${JSON.stringify({ leaf: program(object, 'leaf').info.id, verdict })}\n`);
setInterval(() => undefined, 60_000);
