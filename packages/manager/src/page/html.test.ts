import { expect, test } from 'vitest';
import { html } from './html.ts';

test('values are escaped in content and in attributes, templates within are not', () => {
  const name = `<img src=x onerror=alert(1)>"'&`;
  const inner = html`<b>${name}</b>`;
  expect(html`<p title="${name}">${inner}${[inner, inner]}${null}${7}</p>`.text).toBe(
    `<p title="&lt;img src=x onerror=alert(1)&gt;&quot;&#39;&amp;">${`<b>&lt;img src=x onerror=alert(1)&gt;&quot;&#39;&amp;</b>`.repeat(3)}7</p>`,
  );
});

test('what turns the direction of writing, or is no character, is shown and not obeyed', () => {
  expect(html`${'s1\u202Etxt.exe\u0000\u001b[31m'}`.text).toBe('s1\\u202etxt.exe\\u0000\\u001b[31m');
});
