import { DocumentError, DocumentReader, wholeNumber } from './document.ts';
import { LEVELS } from './level.ts';
import { type Outbreak, STAGES } from './outbreak.ts';
import type { TallySummary } from './tally.ts';
import type { Count, TopNames } from './top-list.ts';

/** Bodies of the alarms that are outbreaks. */
export function encodeOutbreak(outbreak: Outbreak): string {
  return JSON.stringify(outbreak);
}

/** Throws DocumentError. */
export function decodeOutbreak(body: string): Outbreak {
  const document = DocumentReader.parse(body);
  const event = document.record('event');
  const ack = document.recordOrNull('ack');
  return {
    level: document.choice('level', LEVELS),
    subject: document.text('subject'),
    id: document.text('id'),
    openedAt: document.whole('openedAt'),
    firstAt: document.whole('firstAt'),
    endedAt: document.wholeOrNull('endedAt'),
    label: document.text('label'),
    customer: document.textOrNull('customer'),
    ack: ack === null ? null : { by: ack.text('by'), at: ack.whole('at') },
    event: { number: event.whole('number'), stage: event.choice('stage', STAGES), at: event.whole('at'), count: event.whole('count') },
    tally: tally(document.record('tally')),
    savedAt: document.whole('savedAt'),
  };
}

function tally(document: DocumentReader): TallySummary {
  return {
    count: document.whole('count'),
    lastAt: document.whole('lastAt'),
    signatures: names(document.record('signatures')),
    devices: names(document.record('devices')),
    clients: names(document.record('clients')),
    destinations: names(document.record('destinations')),
    reporters: names(document.record('reporters')),
  };
}

function names(document: DocumentReader): TopNames {
  return { top: document.list('top', count), others: document.whole('others') };
}

function count(value: unknown): Count {
  if (!Array.isArray(value) || value.length !== 2) throw new DocumentError('a count is a name and a number');
  const [name, number] = value as unknown[];
  if (typeof name !== 'string') throw new DocumentError('a count has a name');
  return [name, wholeNumber(number, 'a count')];
}
