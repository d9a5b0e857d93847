import { isMailAddress } from '@sekisho/outbreak';
import { z } from 'zod';
import { noticesSchema } from './notices-schema.ts';
import { duration } from './quantities.ts';

/** outbreak of site.yaml: when it is one, and who is told (docs/outbreak.md). */

const MAX_ADMINISTRATORS = 20;
const LOOPBACK = /^(?:localhost|127\.[\d.]+|\[?::1\]?)$/iu;

const mailAddress = () => z.string().refine((text) => isMailAddress(text), 'a mail address is needed here, such as ann@example.com');
const threshold = (standard: number) => z.int().min(2).max(10_000).default(standard);

const submission = z
  .strictObject({
    host: z.string().regex(/^[^\s:/@[\]]+$|^[0-9a-f:.]+$/iu, 'the name or the address of a mail server is needed here').meta({
      description: 'A mail server that takes the alerts and delivers them. Not reached through this site, whose relays may be what fails.',
    }),
    port: z.int().min(1).max(65_535).default(587).meta({ description: '465 with `tls: implicit`.' }),
    tls: z.enum(['starttls', 'implicit', 'none']).default('starttls').meta({
      description: '`starttls`: nothing is sent to a server that does not offer it. `none`: only on a network of your own.',
    }),
    from: mailAddress().meta({ description: 'The sender of alerts. Somebody should read what comes back to it.' }),
    user: z.string().min(1).optional().meta({ description: 'To log in. Not set: without.' }),
    passwordFile: z.string().optional().meta({ description: 'The password of `user`; relative to this file, readable by its owner only.' }),
    caFile: z.string().optional().meta({ description: 'The CA in PEM that signed its certificate. Not set: those that the system trusts.' }),
  })
  .superRefine(({ host, tls, user, passwordFile, caFile }, context) => {
    const problem = (key: string, message: string): void => context.addIssue({ code: 'custom', path: [key], message });
    if (user !== undefined && passwordFile === undefined) problem('user', 'needs its password: name the file in passwordFile');
    if (passwordFile !== undefined && user === undefined) problem('passwordFile', 'needs to know whose it is: set user');
    if (user !== undefined && tls === 'none' && !LOOPBACK.test(host)) problem('tls', 'a password does not go over a network in clear text; use starttls or implicit');
    if (caFile !== undefined && tls === 'none') problem('caFile', 'is for TLS, which is off');
  });

const webhook = z.strictObject({
  url: z
    .url({ protocol: /^https?$/u })
    .refine((text) => !text.startsWith('http:') || LOOPBACK.test(new URL(text).hostname), 'must begin with https: unless it is on this machine; an alert names customers')
    .meta({ description: 'Where each alert is posted as JSON, besides the mails. http: on this machine only. Redirects are not followed.' }),
  secretFile: z.string().meta({ description: 'The secret of the signature, 16 characters or more; relative to this file, readable by its owner only.' }),
});

export const outbreakSchema = z
  .strictObject({
    to: z.array(mailAddress()).min(1).max(MAX_ADMINISTRATORS).meta({ description: 'The administrators: each gets a mail of his own.' }),
    customer: z.boolean().default(false).meta({
      description: "Whether the customer is told as well, if the device's contact (`device register --contact`) is a mail address. What a notice claims is never written to.",
    }),
    window: duration('10m', { min: '10s', max: '1d' }).meta({ description: 'Detections that come within it count together.' }),
    thresholds: z
      .strictObject({
        device: threshold(20).meta({ description: 'So many of one device are an outbreak; they then count towards nothing else.' }),
        contact: threshold(50).meta({ description: 'The same of all devices of one customer contact.' }),
        signature: threshold(100).meta({ description: 'The same of one virus, at whomever.' }),
      })
      .prefault({}),
    coolDown: duration('1h', { min: '10s', max: '7d' }).meta({ description: 'Silence after the alert, then a digest; and so on while it lasts.' }),
    clearAfter: duration('30m', { min: '10s', max: '7d' }).meta({ description: 'Without a detection for so long it is over. Not below `window`.' }),
    submission: submission.meta({ description: 'How mails are sent.' }),
    webhook: webhook.optional().meta({ description: 'A second way.' }),
    notices: noticesSchema.optional().meta({ description: 'Virus notices of other gateways. Not set: only what our own relays find.' }),
  })
  .superRefine(({ window, clearAfter }, context) => {
    if (clearAfter < window)
      context.addIssue({ code: 'custom', path: ['clearAfter'], message: 'is below window: an outbreak would be over while its detections still count' });
  });
