import { expect, test } from 'vitest';
import { interceptSchema } from '../config/intercept-schema.ts';
import { interceptionOf, wrongPort } from './interception.ts';

const intercept = interceptSchema.parse({ interfaces: ['br-lan'], ports: [25, 110] });
const sockets = [{ fd: 3, name: 'intercept' }, { fd: 4, name: 'other' }, { fd: 5, name: 'intercept' }];

test('the sockets of that name, and the ports that are carried', () => {
  expect(interceptionOf({ intercept }, sockets)).toEqual({ fds: [3, 5], ports: [25, 110] });
  expect(interceptionOf({}, [{ fd: 3, name: 'other' }])).toBeUndefined();
});

test('the one without the other is told, with what to do', () => {
  expect(() => interceptionOf({ intercept }, [])).toThrow(/no transparent sockets\. Enable sekisho-agent\.socket/u);
  expect(() => interceptionOf({}, sockets)).toThrow(/no intercept: section/u);
});

test('a socket at another port than agent.yaml has would be reached by nobody', () => {
  const at = (port: number) => ({ listen: { host: '127.0.0.1', port }, ports: [25] });
  expect(wrongPort({ intercept }, [at(7029), at(7029)])).toBeUndefined();
  expect(wrongPort({}, [])).toBeUndefined();
  expect(wrongPort({ intercept }, [at(7029), at(8025)])?.message).toContain('listens at port 8025, and intercept.listenPort of agent.yaml is 7029');
});
