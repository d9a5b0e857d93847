import { printable } from '@sekisho/telemetry';
import type { Level } from '../core/level.ts';
import type { Outbreak, Stage } from '../core/outbreak.ts';
import type { TopNames } from '../core/top-list.ts';
import { countLevel, type Message, type News } from './news.ts';

/** Whom a mail is for: an administrator sees everything, a customer what is his. */
export type Reader = 'administrator' | 'customer';

/** Outbreaks that one mail describes; of the others it says how many there are. */
export const MAX_DESCRIBED = 20;
/** Characters of a stranger's word. */
const MAX_WORD_CHARS = 60;
/** Of a registered name in a subject. */
const MAX_SUBJECT_LABEL_CHARS = 40;
const INDENT = '    | ';

const TITLES: Readonly<Record<Stage, string>> = {
  alert: 'Virus outbreak',
  digest: 'Virus outbreak goes on',
  clear: 'Virus outbreak is over',
};

/** Made of our words, names from the configuration and the registry, and numbers: nothing that a stranger wrote. */
export function subjectOf(message: Message, site: string): string {
  const [first] = message.news;
  const what = message.news.length === 1 && first !== undefined ? `${title(first)}: ${heading(first.outbreak)}` : `${TITLES[message.stage]}: ${many(message)}`;
  return `[Sekisho ${site}] ${what}`;
}

/** The body: short lines of our own words; what strangers wrote stands indented behind a bar, one name a line. */
export function bodyOf(message: Message, { site, reader }: { readonly site: string; readonly reader: Reader }): string {
  const described = message.news.slice(0, MAX_DESCRIBED);
  const more = message.news.length - described.length;
  return [
    `Sekisho, site ${site}. This mail was made by a program; nobody reads`,
    'answers to it.',
    ...described.map((news) => section(news, reader)),
    ...(more > 0 ? ['', `And ${more} more: sekisho outbreak status`] : []),
    '',
  ].join('\n');
}

function section(news: News, reader: Reader): string {
  const { outbreak, stage, newSince, name } = news;
  const { tally } = outbreak;
  const mayShow = reader === 'administrator' || outbreak.level === 'device';
  return [
    '',
    '------------------------------------------------------------',
    title(news),
    '',
    fact('What', WHAT[outbreak.level]),
    ...where(outbreak, reader),
    fact('Since', time(outbreak.firstAt)),
    fact('Last', time(tally.lastAt)),
    ...(outbreak.endedAt === null ? [] : [fact('Over', time(outbreak.endedAt))]),
    fact('Number', `${tally.count} detections${stage === 'alert' ? '' : `, ${newSince} of them new`}`),
    ...list('Viruses', tally.signatures),
    ...(mayShow ? [...list('Clients', tally.clients), ...list('Destinations', tally.destinations)] : []),
    ...(reader === 'administrator' ? [...list('Found by', tally.reporters), fact('Outbreak', name)] : []),
    '',
    ...advice(news, reader),
  ].join('\n');
}

const WHAT: Readonly<Record<Level, string>> = {
  device: 'many viruses in the mail of one device',
  contact: 'many viruses in the mail of one customer',
  signature: 'one virus in the mail of several devices',
};

function where({ level, subject, label, tally }: Outbreak, reader: Reader): string[] {
  if (level === 'device') return [fact('Device', subject), fact('Called', plain(label) || '(no registered name)')];
  const devices = list('Devices', tally.devices);
  if (level === 'signature') return devices;
  return reader === 'administrator' ? ['Customer:', `${INDENT}${word(subject)}`, ...devices] : devices;
}

function advice({ outbreak, stage, name }: News, reader: Reader): string[] {
  if (outbreak.endedAt !== null)
    return ['No more detections came for a while. A machine that was not', 'cleaned will begin again.'];
  if (reader === 'customer')
    return [
      'What to do: take the machines with the client addresses above',
      'off the network, have them checked for viruses, and change the',
      'passwords of the mail accounts that were used on them. Mail of',
      'the others goes on; infected messages are held back.',
    ];
  const ack = stage === 'alert' || outbreak.ack === null ? [`I know: sekisho outbreak ack ${name} (no more digests)`] : [];
  return [
    'What to do: have the customer take the machines with the client',
    'addresses above off the network and clean them. To lock the',
    'whole office out meanwhile: sekisho device disable MAC',
    ...ack,
  ];
}

function title({ stage, outbreak }: News): string {
  return stage === 'alert' && outbreak.endedAt !== null ? 'Virus outbreak, over by now' : TITLES[stage];
}

function heading({ level, subject, label, tally }: Outbreak): string {
  const number = `${tally.count} detections`;
  if (level === 'device') return `${[plain(label).slice(0, MAX_SUBJECT_LABEL_CHARS).trim(), subject].filter((text) => text !== '').join(' ')}, ${number}`;
  return level === 'contact' ? `one customer, ${number}` : `one virus at several devices, ${number}`;
}

function many(message: Message): string {
  const parts = [
    [countLevel(message, 'device'), 'devices'],
    [countLevel(message, 'contact'), 'customers'],
    [countLevel(message, 'signature'), 'viruses'],
  ] as const;
  return parts
    .filter(([count]) => count > 0)
    .map(([count, noun]) => `${count} ${noun}`)
    .join(', ');
}

function fact(name: string, value: string): string {
  return `${`${name}:`.padEnd(10)}${value}`;
}

function list(name: string, { top, others }: TopNames): string[] {
  if (top.length === 0) return [];
  const rows = top.map(([text, count]) => `${INDENT}${String(count).padStart(6)}  ${word(text)}`);
  return [`${name}:`, ...rows, ...(others > 0 ? [`${INDENT}${String(others).padStart(6)}  (others)`] : [])];
}

/**
 * A stranger's word: on one line, cut, and without the signs of which the EICAR test file is made, so that no scanner takes
 * an alert for a virus and tells us of it again.
 */
function word(text: string): string {
  return printable(text).slice(0, MAX_WORD_CHARS).toWellFormed().replaceAll(/[!$%^<>{}]/gu, '_');
}

/** A registered name: letters, digits and a few signs, of any language. */
function plain(label: string): string {
  return label.slice(0, MAX_WORD_CHARS).toWellFormed().replaceAll(/[^\p{L}\p{M}\p{N} .,&'()_-]/gu, ' ').replaceAll(/ +/gu, ' ').trim();
}

function time(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}
