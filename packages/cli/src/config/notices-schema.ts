import { isIP } from 'node:net';
import { MAX_PATTERNS, MAX_TEMPLATE_CHARS, MAX_TEMPLATES, templateProblem } from '@sekisho/outbreak';
import { z } from 'zod';
import { size } from './quantities.ts';

/** outbreak.notices of site.yaml: virus notices of other gateways, taken in by SMTP (docs/notices.md). */

const LISTEN = /^(?:([\d.]+)|\[([0-9a-f:.]+)\]):(\d{1,5})$/iu;
const LOOPBACK = /^(?:127\.|::1$)/u;
const PATTERN_NAME = /^[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?$/u;
const MAX_NETWORKS = 1000;

const listen = z
  .string()
  .regex(LISTEN, 'an address and a port are needed here, such as 192.0.2.11:2525 or [2001:db8::11]:2525')
  .transform((text) => {
    const [, v4, v6, port] = LISTEN.exec(text) ?? [];
    return { host: v4 ?? v6 ?? '', port: Number(port) };
  })
  .refine(({ host, port }) => isIP(host) !== 0 && port >= 1 && port <= 65_535, 'an address and a port from 1 to 65535 are needed here, such as 192.0.2.11:2525');

const network = z.string().transform((text, context) => {
  const [address = '', bits, ...rest] = text.split('/');
  const version = isIP(address);
  const most = version === 4 ? 32 : 128;
  const isNetwork = version !== 0 && !address.includes('%') && rest.length === 0 && (bits === undefined || (/^\d{1,3}$/u.test(bits) && Number(bits) <= most));
  if (!isNetwork) context.addIssue('an address or a network is needed here, such as 192.0.2.7 or 10.1.0.0/16');
  if (isNetwork && bits !== undefined && Number(bits) === 0) context.addIssue('lets everybody bring notices, and raise alarms; name the gateways');
  return `${address}/${bits ?? most}`;
});

const template = z
  .string()
  .max(MAX_TEMPLATE_CHARS)
  .superRefine((text, context) => {
    const problem = templateProblem(text);
    if (problem !== undefined) context.addIssue(problem);
  });
const templates = z.array(template).max(MAX_TEMPLATES);

const pattern = z.strictObject({
  name: z.string().regex(PATTERN_NAME, 'a name is 1 to 63 of a-z, 0-9, ".", "_" and "-"').meta({
    description: 'Stands, with the address of the gateway, where a detection says who reported it.',
  }),
  from: z.string().min(1).max(254).optional().meta({
    description: 'The address in From that these notices have, with `*` for any text. Not set: any.',
  }),
  requires: templates.default([]).meta({ description: 'Lines that must all be there: templates without places, or with `{any}`.' }),
  lines: templates
    .refine((list) => list.some((text) => text.includes('{signature}')), 'one of the templates must have {signature}; without the name of a virus there is no detection')
    .meta({
      description:
        'Beginnings of lines, the subject being the first line, with the places `{signature}` `{client}` `{sender}` `{recipient}` `{device}` `{protocol}` `{any}`.',
    }),
  until: templates.default([]).meta({ description: 'Nothing is read from a line on that is one of these: where the gateway quotes what the virus wrote.' }),
});

export const noticesSchema = z
  .strictObject({
    listen: listen.meta({ description: 'Where gateways bring notices, as `ADDRESS:PORT`. Not port 25: nothing else may come here.' }),
    allow: z.array(network).max(MAX_NETWORKS).default([]).meta({
      description: 'Addresses and networks of the gateways, which need not log in. Whoever is in them can raise an alarm.',
    }),
    usersFile: z.string().optional().meta({
      description: 'For gateways without a fixed address: a name and a scrypt hash a line; relative to this file, readable by its owner only.',
    }),
    certFile: z.string().optional().meta({
      description: 'For STARTTLS, in PEM; relative to this file. Without it passwords are taken from this machine only.',
    }),
    keyFile: z.string().optional().meta({ description: 'The key of certFile, in PEM; readable by its owner only.' }),
    maxBytes: size('256KB', { min: '16KB', max: '4MB' }).meta({
      description: 'A larger notice is refused with 552: a gateway should not attach the mail that it has stopped.',
    }),
    maxPerMinute: z.int().min(1).max(10_000_000).default(30_000).meta({
      description: 'Notices of one address in a minute, all of them at once if need be; more are answered 450 and come again later. High, because a flood of notices is what an outbreak looks like.',
    }),
    patterns: z.array(pattern).max(MAX_PATTERNS).default([]).meta({ description: 'How notices are read; the first pattern that finds a virus is taken.' }),
    builtInPatterns: z.boolean().default(true).meta({
      description: 'Whether those of common gateways (docs/notices.md) are tried after them.',
    }),
    keepDir: z.string().optional().meta({
      description: 'Where notices are kept that no pattern fits, one file each, until somebody removes them; relative to this file. Not set: `notices` in stateDir.',
    }),
    maxKept: z.int().min(1).max(10_000).default(1000).meta({ description: 'Notices kept there; when they are so many, further ones are answered 452 and come again later.' }),
    maxKeptBytes: size('50MB', { min: '1MB', max: '10GB' }).meta({ description: 'The same, in bytes.' }),
  })
  .superRefine(({ listen: { host }, allow, usersFile, certFile, keyFile, patterns }, context) => {
    const problem = (path: (string | number)[], message: string): void => context.addIssue({ code: 'custom', path, message });
    if (allow.length === 0 && usersFile === undefined) problem(['allow'], 'names nobody, and there is no usersFile; name the gateways in one of the two');
    if (certFile !== undefined && keyFile === undefined) problem(['certFile'], 'needs its key: name it in keyFile');
    if (keyFile !== undefined && certFile === undefined) problem(['keyFile'], 'needs its certificate: name it in certFile');
    if (usersFile !== undefined && certFile === undefined && !LOOPBACK.test(host))
      problem(['usersFile'], 'needs certFile and keyFile, or listen on loopback: passwords do not go over a network in clear text');
    patterns.forEach(({ name }, index) => {
      const first = patterns.findIndex((other) => other.name === name);
      if (first < index) problem(['patterns', index, 'name'], `${name} is already the name of patterns.${first}; choose another one`);
    });
  });

export type NoticesConfig = z.output<typeof noticesSchema>;
