import { isIP } from 'node:net';
import { PROTOCOL_OF_PORT } from '@sekisho/wire';
import { z } from 'zod';
import { isCidr } from './site-schema.ts';

/** `intercept:` of agent.yaml: which connections the rules of this machine bring to the agent, and which they leave alone. */

const MAIL_PORTS = [...PROTOCOL_OF_PORT.keys()];
/** Linux's IFNAMSIZ without its final zero. */
const INTERFACE = /^[a-z0-9_][a-z0-9_.-]{0,14}$/iu;
/** What `ip rule` and `ip route` know as default, main and local. */
const TABLES_OF_THE_SYSTEM: readonly number[] = [253, 254, 255];

const interfaceName = () =>
  z
    .string()
    .regex(INTERFACE, 'the name of one interface is needed here, such as br-lan')
    .refine((name) => name !== 'lo', 'nothing that this machine sends itself is intercepted; name the interface of the office');
const network = () =>
  z
    .string()
    .refine((text) => (isIP(text) !== 0 || isCidr(text)) && !text.includes('%'), 'an address or a network is needed here, such as 192.0.2.25 or 198.51.100.0/24');
const mailPort = () =>
  z.int().refine((port) => PROTOCOL_OF_PORT.has(port), {
    error: ({ input }) =>
      `port ${String(input)} is not a mail port, and whoever needs it, perhaps to reach this machine, would be cut off; allowed are ${MAIL_PORTS.join(', ')}`,
  }).meta({ range: MAIL_PORTS.join(', ') });

export const interceptSchema = z.strictObject({
  interfaces: z.array(interfaceName()).min(1, 'at least one interface is needed here, such as [br-lan]').max(32).meta({
    description: 'Where clients arrive, such as br-lan: a bridge, and not what is in it. What arrives elsewhere is left alone, and so is what this machine itself sends.',
  }),
  ports: z
    .array(mailPort())
    .min(1)
    .max(MAIL_PORTS.length)
    .refine((ports) => new Set(ports).size === ports.length, 'a port stands here twice; remove one of the two')
    .default(MAIL_PORTS)
    .meta({ description: 'TCP ports of mail. No other can be entered, so that nobody locks himself out.' }),
  exclude: z.array(network()).max(1000).default([]).meta({
    description: 'Destinations that are left alone, such as 192.0.2.25 or 198.51.100.0/24. Those of this machine always are.',
  }),
  privateNetworks: z.boolean().default(false).meta({
    description: 'Whether destinations in private networks are intercepted, too. Relays refuse them unless `relay.destinations.allow` has them.',
  }),
  ipv6: z.boolean().default(true).meta({ description: '`false` on a machine without IPv6; what comes over IPv6 then goes untouched.' }),
  listenPort: z
    .int()
    .min(1)
    .max(65_535)
    .refine((port) => !PROTOCOL_OF_PORT.has(port), 'must be another port than those of mail')
    .default(7029)
    .meta({ description: 'Where the agent listens for them, on 127.0.0.1 and ::1; the same as in sekisho-agent.socket.' }),
  mark: z
    .int()
    .min(1)
    .max(0xffff_ffff)
    .refine((mark) => (mark & (mark - 1)) === 0, 'must be a single bit, such as 0x40000000')
    .default(0x4000_0000)
    .meta({ description: 'The bit of the firewall mark that routes them to this machine (0x40000000); one that nothing else uses.' }),
  routeTable: z
    .int()
    .min(1)
    .max(0xffff_ffff)
    .refine((table) => !TABLES_OF_THE_SYSTEM.includes(table), 'is a table of the system; choose another number')
    .default(7029)
    .meta({ description: 'The routing table with that one route; one that nothing else uses.' }),
});

export type InterceptConfig = z.output<typeof interceptSchema>;
