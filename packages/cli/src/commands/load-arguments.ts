import { isIP } from 'node:net';
import type { AgentSettings } from '@sekisho/agent';
import { InvalidArgumentError } from 'commander';
import type { z } from 'zod';
import { type AgentConfig, forwardSchema } from '../config/agent-schema.ts';
import { duration as durationSchema, size as sizeSchema } from '../config/quantities.ts';

/** What the options of `sekisho load` take, each refused in words. */

export type Forward = AgentConfig['forward'][number];
export type Relay = NonNullable<AgentSettings['relays']>[number];

export interface Watched {
  readonly name: string;
  readonly pid: number;
}

export const MAX_CLIENTS = 1_000_000;
export const MAX_PROCESSES = 64;
/** Sessions a second, or Mbit/s of a client: a load process that counts more than it can begin has no time for anything else. */
const MAX_RATE = 100_000;
/** More than a report has room for. */
const MAX_WATCHED = 32;

export function forward(text: string, previous: readonly Forward[]): Forward[] {
  return [...previous, parse(forwardSchema, text)];
}

export function relay(text: string, previous: readonly Relay[]): Relay[] {
  const [, name, v6, plain, port] = /^([a-z0-9-]+)=(?:\[([0-9a-f:.]+)\]|([^\s:]+)):(\d{1,5})$/iu.exec(text) ?? [];
  const host = v6 ?? plain;
  if (name === undefined || host === undefined || !isPort(Number(port)))
    throw new InvalidArgumentError('NAME=HOST:PORT is needed here, the name being that in the certificate of the relay: s9=192.0.2.19:7026.');
  return [...previous, { name, host, port: Number(port) }];
}

export function watched(text: string, previous: readonly Watched[]): Watched[] {
  const [, name, pid] = /^([^=]+)=(\d{1,10})$/u.exec(text) ?? [];
  if (name === undefined || pid === undefined) throw new InvalidArgumentError('NAME=PID is needed here, such as relay=1234.');
  if (name === 'load' || previous.some((one) => one.name === name)) throw new InvalidArgumentError(`The name ${name} is taken; choose another.`);
  if (previous.length >= MAX_WATCHED) throw new InvalidArgumentError(`At most ${MAX_WATCHED} processes can be watched.`);
  return [...previous, { name, pid: Number(pid) }];
}

export function collect(text: string, previous: readonly string[]): string[] {
  return [...previous, text];
}

export function address(text: string): string {
  if (isIP(text) === 0) throw new InvalidArgumentError('An address of this machine is needed here, such as 127.0.0.1.');
  return text;
}

export function count(least: number, most: number): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (!/^\d+$/u.test(text) || number < least || number > most) throw new InvalidArgumentError(`A whole number from ${least} to ${most} is needed here.`);
    return number;
  };
}

export function positive(text: string): number {
  const number = Number(text);
  if (!(number > 0 && number <= MAX_RATE)) throw new InvalidArgumentError(`A number above 0 and up to ${MAX_RATE} is needed here.`);
  return number;
}

export function share(text: string): number {
  const number = Number(text);
  if (text.trim() === '' || !(number >= 0 && number <= 1)) throw new InvalidArgumentError('A share from 0 to 1 is needed here.');
  return number;
}

export function duration(min: string, max: string): (text: string) => number {
  return (text) => parse(durationSchema(min, { min, max }), text);
}

export function size(text: string): number {
  return parse(sizeSchema('1KiB', { min: '1B', max: '1GiB' }), text);
}

function parse<T extends z.ZodType>(schema: T, text: string): z.output<T> {
  const parsed = schema.safeParse(text);
  if (!parsed.success) throw new InvalidArgumentError(parsed.error.issues.map(({ message }) => message).join('; '));
  return parsed.data;
}

function isPort(port: number): boolean {
  return port >= 1 && port <= 65_535;
}
