import type { NoticePattern } from './pattern.ts';

/**
 * Notices of common gateways as they leave the factory, in English. Many sites change these texts, so that a notice of
 * yours should be tried before one is relied on: docs/notices.md says how. Patterns of the operator are tried first.
 */
export const BUILT_IN_PATTERNS: readonly NoticePattern[] = [
  {
    // To the administrator, versions 2.4 and later; older ones name no client in the subject.
    name: 'amavis',
    lines: [
      'VIRUS ({signature}) in mail FROM {client} <{sender}>',
      'VIRUS ({signature}) in mail FROM <{sender}>',
      'VIRUS ({signature}) FROM {client} <{sender}>',
      'VIRUS ({signature}) FROM <{sender}>',
      'First upstream SMTP client IP address: {client}',
    ],
    until: ['Virus scanner output:', 'Return-Path: ', 'Received trace: ', '{any}BEGIN HEADERS'],
  },
  {
    // To the administrator; one notice lists all infected mails of a batch.
    name: 'mailscanner',
    requires: ['The following e-mails were found to have: {any}Virus Detected'],
    lines: [
      'Sender: {sender}',
      'IP Address: {client}',
      'Recipient: {recipient}',
      'Report: {any} was infected: {signature}',
      'Report: {any} contains {signature}',
    ],
    until: ['Full headers are:'],
  },
  {
    // MessageLabs, later Symantec Email Security.cloud: to the administrator of the domain.
    name: 'email-security-cloud',
    requires: ['Virus/Unauthorized code: '],
    lines: [
      'Sender: {sender}',
      'Sending server IP address: {client}',
      'Recipient: {recipient}',
      'Virus/Unauthorized code: >>> {signature}',
      'Virus/Unauthorized code: {signature}',
    ],
    until: ['Possible virus'],
  },
  {
    name: 'interscan',
    requires: ['{any}InterScan'],
    lines: [
      'Sender: {sender}',
      'From: {sender}',
      'Recipient: {recipient}',
      'To: {recipient}',
      'Client IP: {client}',
      'Protocol: {protocol}',
      'Virus name: {signature}',
      'Virus: {signature}',
    ],
  },
  {
    // The milter's notice to postmaster.
    name: 'clamav-milter',
    lines: [
      'The message {any} sent from {sender} to {recipient} contained {signature} and has not been delivered',
      'A message sent from {sender} to {recipient} contained {signature} and has not been delivered',
      'The sending machine was {client}',
    ],
  },
  {
    // Its macros include the address of the network card, %MACADDR%.
    name: 'avira',
    requires: ['{any}Avira'],
    lines: ['Virus: {signature}', 'Computer: {client}', 'MAC address: {device}', 'Sender: {sender}', 'Recipient: {recipient}'],
  },
];
